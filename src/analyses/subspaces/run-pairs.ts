/** @file Pairs run with their vectors changed: what comes out right, what the metric is, and its slope by the changed vectors. */
import { must } from "../../base/errors.js";
import { bootstrapInterval } from "../../base/bootstrap.js";
import { mean } from "../../base/statistics.js";
import { wilson } from "../../base/wilson.js";
import type { Edit } from "../../runtime/edit.js";
import { readyMetric } from "../../runtime/gradient/metric.js";
import { logitRowsOf, readOut } from "../../runtime/gradient/readout.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { rowsTogether, type CachedPair } from "./cached-pairs.js";
import type { InterchangeScore } from "./request.js";
import { editAt, vectorAt, type Site } from "./site.js";

/** What is added to a vector of the base, given the difference to the source's; `pair` and `slot` say which it is. */
export type Change = (difference: Float64Array, pair: number, slot: number) => Float64Array;

/** Where pairs are run. */
export interface Bench {
  readonly model: Model;
  readonly site: Site;
  readonly signal: AbortSignal | undefined;
}

/** One number a pair. */
export interface PairOutcomes {
  readonly metrics: readonly number[];
  readonly isRight: readonly boolean[];
}

/** The source's vectors less the base's. */
export function differencesOf({ base, source }: CachedPair): Float64Array[] {
  return base.map((vector, slot) => vector.map((value, unit) => source[slot]![unit]! - value));
}

/** Runs all pairs with a change; without one as they are. */
export async function runPairs(bench: Bench, pairs: readonly CachedPair[], change?: Change): Promise<PairOutcomes> {
  const together = rowsTogether(
    bench.model.spec,
    pairs.map(({ tokens }) => tokens),
  );
  const found = { metrics: [] as number[], isRight: [] as boolean[] };
  for (let from = 0; from < pairs.length; from += together) {
    const part = pairs.slice(from, from + together);
    const edits = change ? part.map((pair, row) => changedBy(bench.site, { pair, row, index: from + row, change })) : [];
    const outcomes = await readPart(bench, part, edits);
    found.metrics.push(...outcomes.metrics);
    found.isRight.push(...outcomes.isRight);
  }
  return found;
}

function changedBy(site: Site, { pair, row, index, change }: { pair: CachedPair; row: number; index: number; change: Change }): Edit {
  const vectors = differencesOf(pair).map((difference, slot) => sumOf(pair.base[slot]!, change(difference, index, slot)));
  return editAt(site, row, { positions: pair.positions, vectors });
}

function sumOf(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]!);
}

/** One forward run; the logits that metrics and answers need, and no others. */
async function readPart({ model, signal }: Bench, pairs: readonly CachedPair[], edits: readonly Edit[]): Promise<PairOutcomes> {
  const tokens = pairs.map((pair) => pair.tokens);
  const metric = readyMetric(model.spec, { terms: pairs.map(({ goal }) => goal.terms) }, tokens);
  const lengths = tokens.map((row) => row.length);
  const wanted = logitRowsOf(metric, lengths);
  const offsets = [...new Set([-1, ...wanted.map(({ row, position }) => position - lengths[row]!)])].sort((a, b) => a - b);
  const shortest = Math.min(...lengths);
  const isEverywhere = offsets[0]! >= -shortest;
  const request = { tokens, ...(edits.length > 0 && { edits }), logits: { positions: isEverywhere ? offsets : ("all" as const) } };
  const run = await model.forward(request, signal ? { signal } : {});
  const { data, shape } = must(run.logits, "logits");
  const [, stored = 0, vocab = 0] = shape;
  const logitsAt = (row: number, position: number): Float32Array => {
    const slot = isEverywhere ? offsets.indexOf(position - lengths[row]!) : position;
    return data.subarray((row * stored + slot) * vocab, (row * stored + slot + 1) * vocab);
  };
  const picked = new Float32Array(wanted.length * vocab);
  wanted.forEach(({ row, position }, i) => picked.set(logitsAt(row, position), i * vocab));
  const { values } = readOut(metric, picked, { rows: wanted, vocab, batch: pairs.length, width: Math.max(...lengths) });
  const isRight = pairs.map(({ goal }, row) =>
    goal.answer === undefined ? values[row]! > 0 : isLargest(logitsAt(row, lengths[row]! - 1), goal.answer),
  );
  return { metrics: [...values], isRight };
}

/** Whether a token has the largest logit; one that is equal elsewhere does not count. */
function isLargest(logits: Float32Array, token: number): boolean {
  return logits.every((value, other) => other === token || value < logits[token]!);
}

/** The metric of each pair with its vectors set to the base's plus `changes`, and its slope by the vectors so set. */
export async function slopesOf(
  { model, site, signal }: Bench,
  pairs: readonly CachedPair[],
  changes: readonly (readonly Float64Array[])[],
): Promise<{ readonly metrics: readonly number[]; readonly slopes: readonly (readonly Float64Array[])[] }> {
  const edits = pairs.map(({ base, positions }, row) =>
    editAt(site, row, { positions, vectors: base.map((vector, slot) => sumOf(vector, changes[row]![slot]!)) }),
  );
  const options: RunOptions = signal ? { signal } : {};
  const of = { terms: pairs.map(({ goal }) => goal.terms) };
  const run = await model.gradient({ tokens: pairs.map(({ tokens }) => tokens), of, at: [site.address], edits }, options);
  const gradient = must(run.gradients[site.address], site.address);
  return {
    metrics: run.values,
    slopes: pairs.map(({ positions }, row) => positions.map((position) => vectorAt(site, gradient, row, position))),
  };
}

/** Outcomes as a share with its interval and a mean with its. */
export function scoreOf({ metrics, isRight }: PairOutcomes, seed: number): InterchangeScore {
  const interval = bootstrapInterval(metrics, { seed });
  const iia = wilson(isRight.filter(Boolean).length, isRight.length);
  return { iia, metric: mean(metrics), ...(interval && { metricInterval: interval }) };
}
