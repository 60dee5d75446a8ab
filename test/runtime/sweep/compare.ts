/**
 * @file A sweep's numbers held against those of the naive loop: metrics from full logits in float64, with their definitions written
 * down a second time, and what to say about the first number that differs.
 */
import type { Model } from "../../../src/runtime/model.js";
import type { Answer, Counterfactual, SweepOptions, SweepPair, SweepRequest, SweepResult } from "../../../src/runtime/sweep/request.js";
import { naiveSweep, type NaiveRun, type NaiveSweep } from "./naive.js";

/**
 * Of the largest |logit| of the run. Both sides compute in float32, in products of other sizes and cut at other places, and so sum in
 * another order; a log-probability, a probability or a divergence moves by no more than twice what the logits do. Seen are up to
 * 3e-6, while a wrong position, key or row shows at 1e-2.
 */
export const TOLERANCE = 1e-5;

export const METRICS = ["logit_diff", "log_prob", "prob", "rank", "kl", "accuracy", "slope"] as const;

/** A measure of one's own: linear, with weights that sum to nothing, and no larger than the logits. */
export const MEASURES: NonNullable<SweepOptions["measures"]> = { slope };

function slope(logits: Float32Array): number {
  return logits.reduce((sum, logit, token) => sum + logit * (((token * 7) % 5) - 2), 0) / (2 * logits.length);
}

/** Least and greatest value that logits within the tolerance may give; the same for metrics that are continuous. */
type Bounds = readonly [number, number];

interface Taken {
  readonly logits: Float32Array;
  readonly clean: Float32Array;
  readonly pair: SweepPair;
  /** How far a logit may be off. */
  readonly slack: number;
}

const FORMULAS: Readonly<Record<(typeof METRICS)[number], (taken: Taken) => number | Bounds>> = {
  logit_diff: ({ logits, pair }) => mean(logits, listOf(pair.answer)) - mean(logits, listOf(pair.wrong)),
  log_prob: ({ logits, pair }) => logAnswer(logits, pair),
  prob: ({ logits, pair }) => Math.exp(logAnswer(logits, pair)),
  rank({ logits, pair, slack }) {
    const best = Math.max(...listOf(pair.answer).map((token) => logits[token]!));
    const above = (bound: number): number => [...logits].filter((logit) => logit > bound).length;
    return [1 + above(best + slack), 1 + above(best - slack)];
  },
  kl: ({ logits, clean }) => {
    const [p, q] = [logSoftmax(clean), logSoftmax(logits)];
    return p.reduce((sum, value, token) => sum + Math.exp(value) * (value - q[token]!), 0);
  },
  accuracy({ logits, pair, slack }) {
    const right = Math.max(...listOf(pair.answer).map((token) => logits[token]!));
    const other = Math.max(...[...logits].filter((_, token) => !listOf(pair.answer).includes(token)));
    return [right > other + slack ? 1 : 0, right > other - slack ? 1 : 0];
  },
  slope: ({ logits }) => slope(logits),
};

function listOf(answer: Answer | undefined): readonly number[] {
  return answer === undefined ? [] : typeof answer === "number" ? [answer] : answer;
}

function mean(logits: Float32Array, tokens: readonly number[]): number {
  return tokens.reduce((sum, token) => sum + logits[token]!, 0) / tokens.length;
}

/** Log-probability of any of the answers. */
function logAnswer(logits: Float32Array, { answer }: SweepPair): number {
  const logs = logSoftmax(logits);
  const own = listOf(answer).map((token) => logs[token]!);
  const top = Math.max(...own);
  return top + Math.log(own.reduce((sum, value) => sum + Math.exp(value - top), 0));
}

const known = new WeakMap<Float32Array, Float64Array>();

function logSoftmax(logits: Float32Array): Float64Array {
  const made = known.get(logits) ?? madeLogSoftmax(logits);
  known.set(logits, made);
  return made;
}

function madeLogSoftmax(logits: Float32Array): Float64Array {
  const top = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return Float64Array.from(logits, (logit) => logit - top - Math.log(total));
}

/** The largest deviation of a metric, of its run's largest |logit|, and a sentence on the first one beyond the tolerance. */
interface Compared {
  readonly worst: number;
  readonly first: string | undefined;
}

/** Holds a sweep's metrics against the naive loop's. */
export function compared(request: SweepRequest, swept: SweepResult, naive: NaiveSweep, tolerance = TOLERANCE): Compared {
  let worst = 0;
  let first: string | undefined;
  const { pairs, counterfactuals } = request;
  for (const name of request.metrics as readonly (typeof METRICS)[number][]) {
    const metric = swept.metrics[name]!;
    const check = (got: number | undefined, run: NaiveRun, at: { pair: number; where: string }): void => {
      const scale = Math.max(...run.logits.map(Math.abs));
      const pair = pairs[at.pair]!;
      const made = FORMULAS[name]({ logits: run.logits, clean: naive.clean[at.pair]!.logits, pair, slack: 2 * tolerance * scale });
      const [least, most] = typeof made === "number" ? [made, made] : made;
      const gap = got === undefined ? Infinity : Math.max(0, least - got, got - most);
      const off = gap === 0 ? 0 : gap / scale;
      if (Number.isNaN(off) || off > tolerance)
        first ??= `${at.where}, pair ${at.pair}, ${name}: the sweep has ${got}, the naive loop ${least === most ? least : `${least} to ${most}`}`;
      worst = Number.isNaN(off) ? Infinity : Math.max(worst, off);
    };
    pairs.forEach((_, pair) => {
      check(metric.clean[pair], naive.clean[pair]!, { pair, where: "the clean run" });
      const corrupted = naive.corrupted[pair];
      if (corrupted && metric.corrupted) check(metric.corrupted[pair], corrupted, { pair, where: "the corrupted run" });
      counterfactuals.forEach((counterfactual, i) =>
        check(metric.values[i * pairs.length + pair], naive.cells[i]![pair]!, { pair, where: written(counterfactual, i) }),
      );
    });
  }
  return { worst, first };
}

/** A counterfactual as JSON, its tensors by their shape and first elements. */
export function written(counterfactual: Counterfactual, index: number): string {
  const short = (_: string, value: unknown): unknown => {
    if (ArrayBuffer.isView(value))
      return `${Array.from(value as Float32Array)
        .slice(0, 3)
        .join()}, …`;
    return value;
  };
  return `counterfactuals[${index}] = ${JSON.stringify(counterfactual, short)}`;
}

/** Runs a sweep and the naive loop, and compares them. */
export async function equality(model: Model, request: SweepRequest, options: SweepOptions = {}): Promise<Compared> {
  const swept = await model.sweep(request, { measures: MEASURES, ...options });
  return compared(request, swept, await naiveSweep(model, request));
}
