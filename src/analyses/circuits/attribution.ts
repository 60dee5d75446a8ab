/**
 * @file Attribution patching (Nanda 2023; Kramár et al. 2024, arXiv 2403.00745): what patching any value with the other run's would do to the
 * metric, to first order, (patched − run) · gradient, for every place of a model at once from two runs forward and one back.
 *
 * `noise`: the clean run is patched with corrupted values, gradients are the clean run's. `denoise`: the corrupted run with clean values.
 *
 * When it misleads: as every first-order estimate where the model bends between the runs, most of all at queries and keys of heads whose
 * attention is saturated (`attention.ts` has the remedy), and where direct and indirect effects cancel.
 */
import { must } from "../../base/errors.js";
import { bootstrapIntervals, type Interval } from "../../base/bootstrap.js";
import { stridesOf, tensor, type Tensor } from "../../base/tensor.js";
import { expandAddresses } from "../../models/address.js";
import type { Edit } from "../../runtime/edit.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import {
  checkDirection,
  checkEquallyLong,
  checkPairs,
  partsOf,
  sidesOf,
  type CircuitData,
  type Direction,
  type TokenRows,
} from "./pairs.js";

export interface AttributionRequest extends CircuitData {
  /** Addresses, as in `read`: `z.*`, `mlp_post.3`, `resid_pre.*`. */
  readonly at: readonly string[];
  /** Axes that stay, such as `head`, `pos` or `d_mlp`; over all others the products are summed. Default: `head` and `kv_head` where there are any. */
  readonly keep?: readonly string[];
  /** Default: noise. */
  readonly direction?: Direction;
  /** Seed of the intervals; without it there are none. */
  readonly seed?: number;
}

/** The estimated effects at one address. */
export interface Attribution {
  readonly address: string;
  /** Mean over pairs: the kept axes. */
  readonly effects: Tensor<Float32Array>;
  /** One value a pair: pair, then the kept axes. */
  readonly perPair: Tensor<Float32Array>;
  /** Percentile bootstrap over pairs, 0.95, one an effect. */
  readonly intervals?: readonly (Interval | undefined)[];
  readonly n: number;
}

/** The estimated effect of patching each value that is kept apart, by address in forward order. */
export function attributionPatch(model: Model, request: AttributionRequest, options: RunOptions = {}): Promise<Attribution[]> {
  return attributionHolding(model, request, [], options);
}

/** As `attributionPatch`, with addresses held at the run's own values: no gradient flows back through them. */
export async function attributionHolding(
  model: Model,
  request: AttributionRequest,
  held: readonly string[],
  options: RunOptions = {},
): Promise<Attribution[]> {
  const { pairs, of, at, direction = "noise", seed } = request;
  checkPairs(pairs);
  checkDirection(direction);
  const keep = request.keep ?? ["head", "kv_head"];
  const isByPosition = keep.some((axis) => axis === "pos" || axis === "query" || axis === "key");
  if (isByPosition) checkEquallyLong(pairs, "keep");
  const places = expandAddresses(model.spec, at).map(({ address }) => address as string);
  const found = new Map<string, Float32Array[]>(places.map((address) => [address, []]));
  const shapes = new Map<string, { shape: number[]; axes: string[] }>();
  const width = Math.max(1, places.length) * model.spec.dModel * 4;
  for (const { data } of partsOf({ pairs, of }, width)) {
    const { tokens, others } = sidesOf(data.pairs, direction);
    const edits = await holding(model, tokens, held, options);
    const run = await model.gradient({ tokens: tokens, of: data.of, at: places, read: places, edits }, options);
    const other = await model.forward({ tokens: others, read: places, logits: false }, options);
    for (const address of places) {
      const slope = must(run.gradients[address], address);
      const products = slope.data.map((grad, i) => finite(other.activations[address]!.data[i]!, run.activations[address]!.data[i]!) * grad);
      const kept = sumOver(tensor(products, slope.shape, slope.axes), ["batch", ...keep]);
      found.get(address)!.push(kept.data);
      shapes.set(address, { shape: kept.shape.slice(1), axes: kept.axes.slice(1) });
    }
  }
  return places.map((address) => attributionOf(address, { parts: found.get(address)!, ...shapes.get(address)!, n: pairs.length, seed }));
}

/** Edits that set each row's values at the addresses to what they are. */
async function holding(model: Model, tokens: TokenRows, held: readonly string[], options: RunOptions): Promise<Edit[]> {
  if (held.length === 0) return [];
  const { activations } = await model.forward({ tokens, read: held, logits: false }, options);
  return held.flatMap((at) =>
    tokens.map((row, index): Edit => {
      const { data, shape, axes } = must(activations[at], at) as Tensor<Float32Array>;
      const width = shape[2]!;
      const from = index * shape[1]! * width;
      const value = tensor(data.slice(from, from + row.length * width), [row.length, width], axes.slice(1));
      return { at, op: "set", value, rows: [index] };
    }),
  );
}

/** Masked scores are −∞ in both runs, and do not change. */
function finite(theirs: number, own: number): number {
  return theirs === own ? 0 : theirs - own;
}

function attributionOf(
  address: string,
  { parts, shape, axes, n, seed }: { parts: readonly Float32Array[]; shape: number[]; axes: string[]; n: number; seed: number | undefined },
): Attribution {
  const size = shape.reduce((product, length) => product * length, 1);
  const all = new Float32Array(n * size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return attributionFrom(address, tensor(all, [n, ...shape], ["pair", ...axes]), seed);
}

/** Means over pairs, and their intervals where there is a seed. `perPair`: pair, then the kept axes. */
export function attributionFrom(address: string, perPair: Tensor<Float32Array>, seed: number | undefined): Attribution {
  const [n = 1, ...shape] = perPair.shape;
  const size = perPair.data.length / n;
  const series = Array.from({ length: size }, (_, i) =>
    Float64Array.from({ length: n }, (_unused, pair) => perPair.data[pair * size + i]!),
  );
  const effects = Float32Array.from(series, (values) => values.reduce((sum, value) => sum + value, 0) / n);
  return {
    address,
    effects: tensor(effects, shape, perPair.axes.slice(1)),
    perPair,
    ...(seed !== undefined && { intervals: bootstrapIntervals(series, { seed }) }),
    n,
  };
}

/** The tensor summed, in float64, over all axes but those named, which keep their order. */
export function sumOver(
  { data, shape, axes }: Tensor<Float32Array>,
  keep: readonly string[],
): { data: Float32Array; shape: number[]; axes: string[] } {
  const kept = axes.flatMap((axis, i) => (keep.includes(axis) ? [i] : []));
  const outShape = kept.map((axis) => shape[axis]!);
  const [strides, outStrides] = [stridesOf(shape), stridesOf(outShape)];
  const sums = new Float64Array(outShape.reduce((product, length) => product * length, 1));
  data.forEach((value, i) => {
    let to = 0;
    kept.forEach((axis, place) => (to += (Math.floor(i / strides[axis]!) % shape[axis]!) * outStrides[place]!));
    sums[to]! += value;
  });
  return { data: Float32Array.from(sums), shape: outShape, axes: kept.map((axis) => axes[axis]!) };
}
