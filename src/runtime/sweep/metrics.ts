/**
 * @file What is measured at a position's logits. `answer` and `wrong` are the pair's tokens; where there are several, log-probabilities
 * are of any of them, logit differences of their means. Sums in float64.
 */
import { refuse, SextantError } from "../../base/errors.js";
import { logSumExp } from "../../base/log-sum-exp.js";
import { describeJson } from "../../formats/json.js";
import type { PreparedPair } from "./pairs.js";
import type { MetricName, SweepOptions } from "./request.js";

/** Logits of one position, as far as they are needed. */
export interface LogitView {
  /** Logit of a token. */
  readonly of: (token: number) => number;
  /** All of them: vocab. */
  readonly all: Float32Array;
}

/** What a metric may look at besides the logits. */
export interface MetricContext {
  readonly pair: PreparedPair;
  /** Log-probabilities of the clean run, in nats: vocab. */
  readonly reference: Float64Array | undefined;
}

interface MetricRow {
  /** Tokens that the pair must name. */
  readonly tokens: readonly ("answer" | "wrong")[];
  /** `columns`: the logits of those tokens suffice. */
  readonly needs: "columns" | "all";
  readonly reference?: true;
  /** A run that does as the clean one scores lower. */
  readonly isDistance?: true;
  readonly meaning: string;
  readonly of: (logits: LogitView, context: MetricContext) => number;
}

/** Every metric; its row says what it needs, what it means, and how it is computed. */
export const METRICS: { readonly [K in MetricName]: MetricRow } = {
  logit_diff: {
    tokens: ["answer", "wrong"],
    needs: "columns",
    meaning: "logit(answer) − logit(wrong), in nats",
    of: ({ of }, { pair }) => meanOf(pair.answer.map(of)) - meanOf(pair.wrong.map(of)),
  },
  log_prob: {
    tokens: ["answer"],
    needs: "all",
    meaning: "log-probability of the answer, in nats",
    of: ({ of, all }, { pair }) => logSumExp(pair.answer.map(of)) - logSumExp(all),
  },
  prob: {
    tokens: ["answer"],
    needs: "all",
    meaning: "probability of the answer, 0..1",
    of: ({ of, all }, { pair }) => Math.exp(logSumExp(pair.answer.map(of)) - logSumExp(all)),
  },
  rank: {
    tokens: ["answer"],
    needs: "all",
    isDistance: true,
    meaning: "rank of the answer: 1 is the most probable token, tokens of equal logit share the better rank",
    of: ({ of, all }, { pair }) => 1 + countAbove(all, Math.max(...pair.answer.map(of))),
  },
  kl: {
    tokens: [],
    needs: "all",
    reference: true,
    isDistance: true,
    meaning: "KL(clean ‖ this run), in nats: 0 where this run says what the clean one says",
    of: ({ all }, { reference }) => divergence(reference ?? new Float64Array(0), all),
  },
  accuracy: {
    tokens: ["answer"],
    needs: "all",
    meaning: "1 where the most probable token is an answer, else 0; over pairs the interchange intervention accuracy",
    of: ({ all }, { pair }) => (pair.answer.includes(largest(all)) ? 1 : 0),
  },
};

/** The names of all metrics. */
export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** One metric of a sweep, ready to be taken. */
export interface Metric {
  readonly name: string;
  readonly needs: "columns" | "all";
  readonly needsReference: boolean;
  readonly of: (logits: LogitView, context: MetricContext, at: { pair: number; counterfactual?: number }) => number | Promise<number>;
}

/** The metrics of a request, held against what its pairs name. */
export function prepareMetrics(
  names: readonly string[],
  pairs: readonly PreparedPair[],
  measures: SweepOptions["measures"] = {},
): Metric[] {
  if (!Array.isArray(names)) throw new SextantError("request", `metrics must be a list of names, got ${describeJson(names)}`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new SextantError("request", `metrics: ${describeJson(twice)} is there twice`);
  return names.map((name) => {
    const own = typeof name === "string" && Object.hasOwn(measures, name) ? measures[name] : undefined;
    if (own) return { name, needs: "all", needsReference: false, of: async ({ all }, _, at) => finite(await own(all, at), name) };
    if (!isMetricName(name)) {
      const known = [...METRIC_NAMES, ...Object.keys(measures)].join(", ");
      throw new SextantError("request", `metrics: ${describeJson(name)} is none of ${known}`);
    }
    const row: MetricRow = METRICS[name];
    pairs.forEach((pair, index) => refuseUnnamed(row, pair, { name, index }));
    return { name, needs: row.needs, needsReference: row.reference === true, of: row.of };
  });
}

/** Whether a metric of that name is lower in a run that does as the clean one; measures of one's own are taken not to be. */
export function isDistance(name: string): boolean {
  return isMetricName(name) && (METRICS[name] as MetricRow).isDistance === true;
}

function isMetricName(name: unknown): name is MetricName {
  return typeof name === "string" && Object.hasOwn(METRICS, name);
}

function refuseUnnamed(row: MetricRow, pair: PreparedPair, { name, index }: { name: string; index: number }): void {
  const missing = row.tokens.find((token) => pair[token].length === 0);
  if (missing) {
    const instead = `give the pair "${missing}"`;
    throw refuse({ what: `cannot measure ${name}`, why: `pairs[${index}] names no ${missing} token`, instead }, "request");
  }
  if (row.tokens.includes("wrong") && pair.answer.some((token) => pair.wrong.includes(token)))
    throw new SextantError("request", `pairs[${index}]: a token is both answer and wrong, so ${name} says nothing`);
}

function finite(value: unknown, name: string): number {
  if (typeof value === "number") return value;
  throw new SextantError("request", `the measure ${name} must give a number, it gave ${describeJson(value)}`);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Log-probabilities, in nats. */
export function logProbabilities(logits: Float32Array): Float64Array {
  const total = logSumExp(logits);
  return Float64Array.from(logits, (logit) => logit - total);
}

function divergence(reference: Float64Array, logits: Float32Array): number {
  const total = logSumExp(logits);
  let sum = 0;
  for (let token = 0; token < reference.length; token++) {
    const p = reference[token]!;
    if (p > -Infinity) sum += Math.exp(p) * (p - (logits[token]! - total));
  }
  return Math.max(0, sum);
}

function countAbove(logits: Float32Array, bound: number): number {
  let count = 0;
  for (const logit of logits) if (logit > bound) count++;
  return count;
}

function largest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token;
  return best;
}
