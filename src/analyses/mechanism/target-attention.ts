/**
 * @file Heads that look back at earlier mentions of something: for each head the attention that goes from one query to given keys, summed over the keys and
 * averaged over cases. Lee et al. 2025 (arXiv 2504.14379) call those above a threshold previous-token heads: from the last digit of a right result
 * they look at where the prompt names the target.
 *
 * When it misleads: attention says where a head reads from, not what it moves nor whether anything uses it; a head that spreads evenly gives more to more
 * keys, so hold the density against `even` and against control keys (other numbers); the threshold is a choice, so look at how the list changes with it; and
 * cases from one template are not independent, so that intervals are too narrow.
 */
import { bootstrapIntervals, type Interval, type IntervalOptions } from "../../base/bootstrap.js";
import { must, SextantError } from "../../base/errors.js";
import type { Tensor } from "../../base/tensor.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { headsOf, type HeadPlace } from "../heads.js";

/** The index of the last token of every occurrence of `target` that ends before `end`; occurrences may overlap. */
export function mentions(tokens: readonly number[], target: readonly number[], end: number): number[] {
  if (target.length === 0) throw new SextantError("request", "mentions: the target must have a token or more");
  const lasts = Array.from({ length: Math.max(0, Math.min(end, tokens.length)) }, (_, i) => i);
  return lasts.filter((last) => last >= target.length - 1 && target.every((token, i) => tokens[last - target.length + 1 + i] === token));
}

/** One case: from where attention is measured, and to where. */
export interface AttentionCase {
  readonly tokens: readonly number[];
  /** Position of the query. What stands behind it is not run. */
  readonly query: number;
  /** Positions of the keys, each once, none behind the query. */
  readonly keys: readonly number[];
  /** Other keys to compare with, by name; the same names in every case. */
  readonly controls?: Readonly<Record<string, readonly number[]>>;
}

export interface TargetAttentionOptions extends RunOptions, IntervalOptions {
  /** Cases run at once. Default 4. */
  readonly batch?: number;
  /** Only the last so many cases count: what the released code computes, whose list of patterns starts anew with each batch of 4. */
  readonly lastBatch?: number;
  /** Bytes that the patterns held at once may take, of one layer at least. Default 256 MiB. */
  readonly memoryBudget?: number;
}

/** A share of attention in 0 … 1, the mean over cases. */
export interface Density {
  readonly density: number;
  /** Of the mean over cases; none for one case. */
  readonly interval?: Interval;
}

/** A head with what it gives to the keys, and to the controls by name. */
export interface HeadDensity extends HeadPlace, Density {
  readonly controls: Readonly<Record<string, Density>>;
}

export interface TargetAttention {
  /** In layer order. */
  readonly heads: readonly HeadDensity[];
  /** What a head would give that spreads evenly over the positions up to the query, by the keys' names. */
  readonly even: { readonly density: number; readonly controls: Readonly<Record<string, number>> };
  /** Cases behind the means. */
  readonly cases: number;
}

/** How much of each head's attention goes from the cases' queries to their keys. */
export async function targetAttention(
  model: Pick<Model, "spec" | "forward">,
  cases: readonly AttentionCase[],
  options: TargetAttentionOptions,
): Promise<TargetAttention> {
  const { batch = 4, lastBatch, onProgress, memoryBudget = 2 ** 28 } = options;
  checkCounts({ batch, ...(lastBatch !== undefined && { lastBatch }) });
  const names = namesOf(cases);
  const used = (lastBatch === undefined ? cases : cases.slice(-lastBatch)).map((one) => ({
    ...one,
    tokens: one.tokens.slice(0, one.query + 1),
  }));
  const places = headsOf(model);
  const series = names.map(() => places.map(() => new Float64Array(used.length)));
  for (let from = 0; from < used.length; from += batch) {
    onProgress?.({ stage: "cases", done: from, total: used.length });
    const part = used.slice(from, from + batch);
    await readPatterns(model, { tokens: part.map(({ tokens }) => tokens), memoryBudget }, options, (layer, pattern) => {
      const first = places.findIndex((place) => place.layer === layer);
      takeDensities(pattern, part, ({ row, head, set }, density) => (series[set]![first + head]![from + row] = density));
    });
  }
  onProgress?.({ stage: "cases", done: used.length, total: used.length });
  return summary({ places, names, series, used }, options);
}

/** The heads whose density is above the threshold, highest first; at most so many. */
export function headsAbove<H extends HeadPlace & { readonly density: number }>(
  heads: readonly H[],
  { threshold, most = Infinity }: { readonly threshold: number; readonly most?: number },
): H[] {
  const above = heads.filter(({ density }) => density > threshold);
  return above.toSorted((a, b) => b.density - a.density || a.layer - b.layer || a.head - b.head).slice(0, most);
}

/** The keys of a case in order: those of interest, then the controls by name. */
function keySetsOf({ keys, controls = {} }: AttentionCase): (readonly number[])[] {
  return [
    keys,
    ...Object.keys(controls)
      .toSorted()
      .map((name) => controls[name]!),
  ];
}

/** Names of the key sets; checks the cases. */
function namesOf(cases: readonly AttentionCase[]): string[] {
  const [first] = cases;
  if (!first) throw failure("needs a case or more");
  const names = Object.keys(first.controls ?? {}).toSorted();
  for (const [index, one] of cases.entries()) {
    const own = Object.keys(one.controls ?? {}).toSorted();
    if (own.join("\0") !== names.join("\0"))
      throw failure(`case ${index} must have the controls ${names.join(", ") || "none"}, got ${own.join(", ") || "none"}`);
    checkPositions(one, index);
  }
  return ["keys", ...names];
}

function checkPositions(one: AttentionCase, index: number): void {
  const { query, tokens, keys } = one;
  if (!Number.isInteger(query) || query < 0 || query >= tokens.length)
    throw failure(`case ${index}: query must be one of its ${tokens.length} positions, got ${query}`);
  if (keys.length === 0) throw failure(`case ${index} has no keys`);
  for (const set of keySetsOf(one)) {
    const stray = set.find((key) => !Number.isInteger(key) || key < 0 || key > query);
    if (stray !== undefined) throw failure(`case ${index}: a key must be a position up to the query's, ${query}, got ${stray}`);
    if (new Set(set).size !== set.length) throw failure(`case ${index}: a key is named twice`);
  }
}

function checkCounts(counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts))
    if (!Number.isInteger(value) || value < 1) throw failure(`${name} must be a whole number above 0, got ${value}`);
}

/**
 * Hands over the pattern of each layer, a few layers at a time: the run goes on from the stream behind the last of them, so that nothing is computed twice and no more
 * patterns than the budget allows are in memory.
 */
async function readPatterns(
  model: Pick<Model, "spec" | "forward">,
  { tokens, memoryBudget }: { readonly tokens: readonly (readonly number[])[]; readonly memoryBudget: number },
  { signal }: RunOptions,
  take: (layer: number, pattern: Tensor) => void,
): Promise<void> {
  const depth = model.spec.layers.length;
  const together = layersAtOnce(model.spec, tokens, memoryBudget);
  let resid: Tensor<Float32Array> | undefined;
  for (let first = 0; first < depth; first += together) {
    const layers = Array.from({ length: Math.min(together, depth - first) }, (_, i) => first + i);
    const next = first + layers.length;
    const stream = `resid_post.${next - 1}`;
    const read = [...layers.map((layer) => `pattern.${layer}`), ...(next < depth ? [stream] : [])];
    const resume = resid && { resume: { layer: first, resid } };
    const { activations } = await model.forward({ tokens, read, logits: false, ...resume }, { ...(signal && { signal }) });
    for (const layer of layers) take(layer, must(activations[`pattern.${layer}`], `pattern.${layer}`));
    if (next < depth) resid = must(activations[stream], stream) as Tensor<Float32Array>;
  }
}

function layersAtOnce({ layers }: ModelSpec, tokens: readonly (readonly number[])[], budget: number): number {
  const positions = Math.max(...tokens.map((row) => row.length));
  const heads = Math.max(...layers.map(({ attention }) => attention.heads));
  return Math.max(1, Math.floor(budget / (4 * tokens.length * heads * positions ** 2)));
}

/** The attention that each row and head gives from its query to each set of keys. */
function takeDensities(
  { data, shape }: Tensor,
  part: readonly AttentionCase[],
  take: (place: { readonly row: number; readonly head: number; readonly set: number }, density: number) => void,
): void {
  const [, heads = 0, queries = 0, keys = 0] = shape;
  for (const [row, one] of part.entries()) {
    const sets = keySetsOf(one);
    for (let head = 0; head < heads; head++) {
      const start = ((row * heads + head) * queries + one.query) * keys;
      for (const [set, positions] of sets.entries()) {
        const density = positions.reduce((sum, key) => sum + data[start + key]!, 0);
        take({ row, head, set }, density);
      }
    }
  }
}

interface Measured {
  readonly places: readonly HeadPlace[];
  readonly names: readonly string[];
  /** By set of keys and head: one density a case. */
  readonly series: readonly (readonly Float64Array[])[];
  readonly used: readonly AttentionCase[];
}

function summary({ places, names, series, used }: Measured, { seed, level, resamples }: IntervalOptions): TargetAttention {
  const drawing = { seed, ...(level !== undefined && { level }), ...(resamples !== undefined && { resamples }) };
  const densities = series.map((list) => {
    const intervals = bootstrapIntervals(list, drawing);
    return list.map((values, i): Density => ({ density: meanOf(values), ...(intervals[i] && { interval: intervals[i] }) }));
  });
  const byName = <T>(values: readonly T[]): Record<string, T> =>
    Object.fromEntries(names.slice(1).map((name, i) => [name, values[i + 1]!]));
  const heads = places.map((place, i) => ({ ...place, ...densities[0]![i]!, controls: byName(densities.map((list) => list[i]!)) }));
  const even = names.map((_, set) => meanOf(used.map((one) => keySetsOf(one)[set]!.length / (one.query + 1))));
  return { heads, even: { density: even[0]!, controls: byName(even) }, cases: used.length };
}

function meanOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

function failure(what: string): SextantError {
  return new SextantError("request", `targetAttention: ${what}`);
}
