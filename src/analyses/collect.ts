/** @file Values of points at chosen positions of many rows, a few rows at a time, so that only what is asked for is ever held. */
import { must, SextantError } from "../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../base/tensor.js";
import { expandAddresses, type Place } from "../models/address.js";
import { pointRow } from "../models/points.js";
import type { ModelSpec } from "../models/spec.js";
import type { Edit } from "../runtime/edit.js";
import type { Model, RunOptions } from "../runtime/model.js";

/** One value to collect: a position of a row. */
export interface Site {
  readonly row: number;
  readonly position: number;
}

export interface CollectRequest {
  readonly rows: readonly (readonly number[])[];
  /** In the order of the examples that come back; a row may have many, or none. */
  readonly sites: readonly Site[];
  /** Addresses of points that have a position axis behind the batch: streams, heads, units. */
  readonly read: readonly string[];
  readonly edits?: readonly Edit[];
  /** Rows a forward pass. Default: as many as take some 64 MiB, at most 32. */
  readonly batch?: number;
}

const MOST_FLOATS = 2 ** 24;
const MOST_ROWS = 32;

/** By address: axes `example`, then those of the point behind `pos`, such as `example, d_model` or `example, head, d_head`. */
export async function collectAt(
  model: Model,
  request: CollectRequest,
  options: RunOptions = {},
): Promise<Record<string, Tensor<Float32Array>>> {
  const { rows, sites, read, edits = [] } = request;
  checkSites(request);
  const wanted = [...new Set(sites.map(({ row }) => row))].toSorted((a, b) => rows[a]!.length - rows[b]!.length);
  const out = new Map<string, Tensor<Float32Array>>();
  for (let from = 0; from < wanted.length;) {
    const size = request.batch ?? batchSize(model, read, rows[wanted[Math.min(from + MOST_ROWS, wanted.length) - 1]!]!.length);
    const chosen = wanted.slice(from, from + size);
    const { activations } = await model.forward({ tokens: chosen.map((row) => rows[row]!), read, edits, logits: false }, signalOf(options));
    const places = new Map(chosen.map((row, place) => [row, place]));
    for (const address of Object.keys(activations)) take(out, address, activations[address]!, { sites, places });
    from += chosen.length;
    options.onProgress?.({ stage: "reading", done: from, total: wanted.length });
  }
  return Object.fromEntries(out);
}

function checkSites({ rows, sites, read, batch = 1 }: CollectRequest): void {
  if (sites.length === 0 || read.length === 0) throw new SextantError("request", "collecting needs at least one site and one address");
  if (!(Number.isInteger(batch) && batch > 0)) throw new SextantError("request", `batch must be a whole number above 0, got ${batch}`);
  for (const { row, position } of sites)
    if (!(position >= 0 && position < (rows[row]?.length ?? 0)))
      throw new SextantError("request", `there is no position ${position} in row ${row} of ${rows.length}`);
}

function batchSize({ spec }: Model, read: readonly string[], length: number): number {
  const floats = expandAddresses(spec, read).reduce((sum, place) => sum + widthOf(spec, place), 0);
  return Math.min(MOST_ROWS, Math.max(1, Math.floor(MOST_FLOATS / (floats * length))));
}

/** Values of a place at one position, at least as many as the stream has. */
function widthOf({ dModel, layers }: ModelSpec, { point, layer = 0 }: Place): number {
  const axes: readonly string[] = pointRow(point).axes;
  const { attention, mlp } = layers[layer]!;
  const perHead = axes.includes("head") ? attention.heads * (axes.includes("d_model") ? dModel : attention.dHead) : 0;
  return Math.max(dModel, perHead, axes.includes("d_mlp") && mlp && "dMlp" in mlp ? mlp.dMlp : 0);
}

function take(
  out: Map<string, Tensor<Float32Array>>,
  address: string,
  value: Tensor,
  { sites, places }: { readonly sites: readonly Site[]; readonly places: ReadonlyMap<number, number> },
): void {
  const [, positions = 0, ...rest] = value.shape;
  if (value.axes[1] !== "pos") throw new SextantError("request", `${address} has no position behind the batch: ${value.axes.join(", ")}`);
  const width = sizeOf(rest);
  let target = out.get(address);
  if (!target) {
    target = tensor(new Float32Array(sites.length * width), [sites.length, ...rest], ["example", ...value.axes.slice(2)]);
    out.set(address, target);
  }
  const { data } = target;
  for (const [example, { row, position }] of sites.entries()) {
    const place = places.get(row);
    if (place === undefined) continue;
    const start = (place * positions + position) * width;
    data.set(must(value.data as Float32Array, address).subarray(start, start + width), example * width);
  }
}

/** The options without progress, for runs that are parts of a longer piece of work. */
export function signalOf({ signal }: RunOptions): RunOptions {
  return signal ? { signal } : {};
}
