/** @file The end of a metric in the logits: its value in each row, and its gradient by the rows of logits that it reads. Sums run in float64. */
import { logSumExp } from "../../base/log-sum-exp.js";
import type { Prediction, ReadyMetric, ReadyTerm } from "./metric.js";

/** A row of logits that a metric needs: a position of a row of tokens. */
export interface LogitRow {
  readonly row: number;
  readonly position: number;
}

/** The rows of logits that the metric reads, each once. `lengths`: tokens in each row. */
export function logitRowsOf(metric: ReadyMetric, lengths: readonly number[]): LogitRow[] {
  const found = new Map<string, LogitRow>();
  const add = (row: number, position: number): unknown => found.set(`${row},${position}`, { row, position });
  if (metric.kind === "cross_entropy") for (const { row, position } of metric.predictions) add(row, position);
  if (metric.kind === "terms")
    metric.rows.forEach((terms, row) => {
      for (const term of terms) if (term.reading !== "place") add(row, term.position);
    });
  if (metric.kind === "seeds" && metric.seeds.some(({ place }) => place.point === "logits"))
    lengths.forEach((length, row) => {
      for (let position = 0; position < length; position++) add(row, position);
    });
  return [...found.values()];
}

/** What the logits add to each row's metric, and the gradient by them (row-major over `rows`, vocab). */
export interface Readout {
  readonly values: Float64Array;
  readonly gradient: Float32Array;
}

/** `logits`: row-major over `rows`, vocab. `batch`: how many rows of tokens there are. */
export function readOut(
  metric: ReadyMetric,
  logits: Float32Array,
  { rows, vocab, batch, width }: { rows: readonly LogitRow[]; vocab: number; batch: number; width: number },
): Readout {
  const readout = { values: new Float64Array(batch), gradient: new Float32Array(rows.length * vocab) };
  rows.forEach(({ row, position }, i) => {
    const part = { logits: logits.subarray(i * vocab, (i + 1) * vocab), gradient: readout.gradient.subarray(i * vocab, (i + 1) * vocab) };
    if (metric.kind === "terms") for (const term of metric.rows[row]!) readout.values[row]! += readTerm(term, position, part);
    if (metric.kind === "seeds") {
      const at = (row * width + position) * vocab;
      for (const { place, gradient } of metric.seeds)
        if (place.point === "logits") gradient.data.subarray(at, at + vocab).forEach((value, token) => (part.gradient[token]! += value));
    }
  });
  if (metric.kind === "cross_entropy") readLosses(metric.predictions, { logits, rows, vocab, readout });
  return readout;
}

interface Part {
  readonly logits: Float32Array;
  readonly gradient: Float32Array;
}

/** Adds one term's gradient, and gives its value; 0 where it reads another position. */
function readTerm(term: ReadyTerm, position: number, { logits, gradient }: Part): number {
  if (term.reading === "place" || term.position !== position) return 0;
  const { weight, token, reading } = term;
  if (reading === "logits") {
    gradient[token]! += weight;
    return weight * logits[token]!;
  }
  const total = logSumExp(logits);
  const logprob = logits[token]! - total;
  const slope = reading === "logprobs" ? weight : weight * Math.exp(logprob);
  for (let other = 0; other < logits.length; other++) gradient[other]! -= slope * Math.exp(logits[other]! - total);
  gradient[token]! += slope;
  return reading === "logprobs" ? weight * logprob : slope;
}

/** Mean cross-entropy: `(softmax − one-hot) / n` by each row of logits. */
function readLosses(
  predictions: readonly Prediction[],
  { logits, rows, vocab, readout }: { logits: Float32Array; rows: readonly LogitRow[]; vocab: number; readout: Readout },
): void {
  const share = 1 / predictions.length;
  const tokenAt = new Map(predictions.map(({ row, position, token }) => [`${row},${position}`, token] as const));
  rows.forEach(({ row, position }, i) => {
    const token = tokenAt.get(`${row},${position}`)!;
    const part = { logits: logits.subarray(i * vocab, (i + 1) * vocab), gradient: readout.gradient.subarray(i * vocab, (i + 1) * vocab) };
    readout.values[row]! += readTerm({ weight: -share, reading: "logprobs", position, token }, position, part);
  });
}
