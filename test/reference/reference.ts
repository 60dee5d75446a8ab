/**
 * @file The reference: a slow, obvious forward pass of every family, in float64 and plain loops. It knows nothing of the product
 * but how files are read, so a misreading would have to happen twice.
 *
 *   B rows of a batch · T positions of a row · C width of the residual stream · V vocabulary
 *   H query heads · KV key/value heads · D width of a head · E experts · K experts chosen for a token
 *
 * A row is computed by itself: its arrays have no batch axis and there is no padding. Shapes in words: the stream is `[T, C]`, heads
 * are `[T, H, D]`, scores and pattern `[H, query, key]`, weights as torch stores them `[out, in]`.
 */
import { floats, sizeOf, type Floats } from "./arrays.js";
import { readConfig } from "./config.js";
import type { Edit, Vectors } from "./edits.js";
import { FAMILIES } from "./families.js";
import { startRun } from "./run.js";
import { Weights } from "./weights.js";

/** What may be asked of a forward pass. */
export interface ReferenceOptions {
  readonly edits?: readonly Edit[];
  /** The tensors that edits name. */
  readonly vectors?: Vectors;
  /** Which points to keep; all by default. */
  readonly points?: readonly string[] | "all";
  /**
   * Positions from here on were decoded one by one with a cache of keys: each is turned by the rotary table of its own moment, and
   * the keys before it stay as they were. By default a row is one forward pass.
   */
  readonly decodedFrom?: number;
}

/** One row: its points in forward order, without a batch axis, and its logits `[T, V]`. */
interface ReferenceRow {
  readonly points: Map<string, Floats>;
  readonly logits: Floats;
}

/** All rows, and their points stacked along a batch axis. Rows shorter than the longest are filled up with NaN at their end. */
export interface ReferenceResult extends ReferenceRow {
  readonly rows: readonly ReferenceRow[];
}

/** The points and logits of `tokens` in the model of `folder`. Points are recorded as edits leave them. */
export function referenceForward(folder: string, tokens: readonly (readonly number[])[], options?: ReferenceOptions): ReferenceResult {
  return openReference(folder)(tokens, options);
}

/** As `referenceForward`, for a folder whose weights are kept between calls. */
export function openReference(folder: string): (tokens: readonly (readonly number[])[], options?: ReferenceOptions) => ReferenceResult {
  const config = readConfig(folder);
  const weights = new Weights(folder);
  const type = config.text("model_type", "");
  const family = FAMILIES[type];
  if (!family) throw new Error(`no reference for model_type ${type}`);
  return (tokens, { edits = [], vectors = {}, points = "all", decodedFrom } = {}) => {
    const results = tokens.map((ids, row): ReferenceRow => {
      const seen = new Map<string, Floats>();
      const lengths = ids.map((_, t) => (decodedFrom === undefined ? ids.length : Math.max(decodedFrom, t + 1)));
      const record = (address: string, x: Floats): void => void seen.set(address, x);
      const logits = family(startRun({ config, weights, tokens: ids, lengths, row, edits, vectors, record }));
      record("logits", logits);
      checkAddresses(edits, seen);
      return { points: keep(seen, points), logits };
    });
    return { rows: results, points: stackAll(results), logits: stack(results.map(({ logits }) => logits)) };
  };
}

/** An edit at an address that the model lacks, or after which nothing runs, would be lost without a word. */
function checkAddresses(edits: readonly Edit[], seen: ReadonlyMap<string, Floats>): void {
  const stray = edits.find(({ at }) => at === "logits" || !seen.has(at));
  if (stray) throw new Error(`an edit names ${stray.at}, where nothing can be edited`);
}

function keep(seen: Map<string, Floats>, points: readonly string[] | "all"): Map<string, Floats> {
  if (points === "all") return seen;
  const missing = points.find((address) => !seen.has(address));
  if (missing) throw new Error(`the model has no point ${missing}`);
  return new Map([...seen].filter(([address]) => points.includes(address)));
}

function stackAll(results: readonly ReferenceRow[]): Map<string, Floats> {
  const addresses = [...(results[0]?.points.keys() ?? [])];
  return new Map(addresses.map((address) => [address, stack(results.map(({ points }) => points.get(address)!))]));
}

/** B arrays of one rank → `[B, …]`, each axis as long as the longest, NaN where a row has nothing. */
function stack(parts: readonly Floats[]): Floats {
  const shape = parts.reduce<number[]>((longest, { shape: own }) => own.map((n, axis) => Math.max(n, longest[axis] ?? 0)), []);
  const size = sizeOf(shape);
  const out = floats([parts.length, ...shape], new Float64Array(parts.length * size).fill(NaN));
  parts.forEach((part, b) => copyInto(part, shape, out.data.subarray(b * size, (b + 1) * size)));
  return out;
}

/** Puts `part` into the corner of an array of `shape`. */
function copyInto(part: Floats, shape: readonly number[], out: Float64Array): void {
  const width = part.shape.at(-1)!;
  for (let line = 0; line < part.data.length / width; line++) {
    let [rest, at, stride] = [line, 0, shape.at(-1)!];
    for (let axis = shape.length - 2; axis >= 0; axis--) {
      at += (rest % part.shape[axis]!) * stride;
      rest = Math.floor(rest / part.shape[axis]!);
      stride *= shape[axis]!;
    }
    out.set(part.data.subarray(line * width, (line + 1) * width), at);
  }
}
