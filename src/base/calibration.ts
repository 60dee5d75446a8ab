/**
 * @file Whether probabilities mean what they say: of items given 0.8, eight in ten should be right. Bins, the expected calibration
 * error (Naeini et al. 2015), the Brier score (1950), and the one temperature that calibrates scores best (Guo et al. 2017, arXiv 1706.04599).
 *
 * When they mislead: with few items a bin the expected calibration error is above 0 for perfect probabilities too, and depends on the
 * number of bins; it looks at the most probable class only. The Brier score mixes calibration with how well classes are told apart.
 */
import { SextantError } from "./errors.js";
import { logSumExp } from "./log-sum-exp.js";
import { sizeOf } from "./tensor.js";

/** The items whose confidence lies above `from` and up to `to`; the first bin holds 0 too. Means are absent where it is empty. */
export interface ReliabilityBin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** The mean probability of the class that was called. */
  readonly confidence?: number;
  /** The share of calls that were right. */
  readonly accuracy?: number;
}

/** How probabilities and outcomes go together. */
export interface Calibration {
  /** Σ over bins of their share of the items · |accuracy − confidence|, 0 … 1. */
  readonly expectedError: number;
  /** Mean over items of Σ over classes (probability − (1 for the true class, else 0))², 0 … 2. */
  readonly brier: number;
  /** Mean −log probability of the true class, in nats. */
  readonly crossEntropy: number;
  readonly bins: readonly ReliabilityBin[];
}

/** Scores or probabilities of every class, axes `item, class`, with the true class of each item. */
export interface ScoredItems {
  readonly scores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly classes: number;
}

/** The calibration of softmax(score / temperature), in `bins` bins (10 by default) of equal width; temperature 1 by default. */
export function calibrationOf(items: ScoredItems, options: { readonly temperature?: number; readonly bins?: number } = {}): Calibration {
  const { temperature = 1, bins = 10 } = options;
  checkItems(items);
  if (!Number.isInteger(bins) || bins < 1) throw new SextantError("request", `bins must be a whole number of 1 or more, got ${bins}`);
  const tally = Array.from({ length: bins }, () => ({ count: 0, confidence: 0, right: 0 }));
  let [brier, crossEntropy] = [0, 0];
  for (let item = 0; item < items.labels.length; item++) {
    const logs = logProbabilitiesOf(items, item, temperature);
    const label = items.labels[item]!;
    const called = logs.indexOf(Math.max(...logs));
    const confidence = Math.exp(logs[called]!);
    const bin = tally[Math.max(0, Math.min(bins, Math.ceil(confidence * bins)) - 1)]!;
    bin.count++;
    bin.confidence += confidence;
    if (called === label) bin.right++;
    brier += logs.reduce((sum, log, c) => sum + (Math.exp(log) - (c === label ? 1 : 0)) ** 2, 0);
    crossEntropy -= logs[label]!;
  }
  const count = items.labels.length;
  const expectedError = tally.reduce((sum, bin) => sum + Math.abs(bin.right - bin.confidence), 0) / count;
  return { expectedError, brier: brier / count, crossEntropy: crossEntropy / count, bins: tally.map(binOf) };
}

/**
 * The temperature at which softmax(score / temperature) has the least cross-entropy; undefined where none has: the items are told
 * apart perfectly (colder is always better), or scores say nothing of classes (hotter is). Fit it on items that the scores were not fitted to.
 */
export function temperatureOf(items: ScoredItems): number | undefined {
  checkItems(items);
  // The cross-entropy is convex in 1 / temperature, so its slope changes sign once.
  const typical = Math.max(...Array.from(items.scores, Math.abs));
  if (typical === 0) return undefined;
  let [low, high] = [Math.log(1e-6 / typical), Math.log(1e6 / typical)];
  if (slopeAt(items, Math.exp(low)) >= 0 || slopeAt(items, Math.exp(high)) <= 1e-12 * typical) return undefined;
  for (let round = 0; round < 64; round++) {
    const middle = (low + high) / 2;
    if (slopeAt(items, Math.exp(middle)) < 0) low = middle;
    else high = middle;
  }
  return Math.exp(-(low + high) / 2);
}

/** The derivative of the mean cross-entropy by `inverse`, with softmax(score · inverse). */
function slopeAt(items: ScoredItems, inverse: number): number {
  let slope = 0;
  for (let item = 0; item < items.labels.length; item++) {
    const logs = logProbabilitiesOf(items, item, 1 / inverse);
    const row = item * items.classes;
    const expected = logs.reduce((sum, log, c) => sum + Math.exp(log) * items.scores[row + c]!, 0);
    slope += expected - items.scores[row + items.labels[item]!]!;
  }
  return slope / items.labels.length;
}

function logProbabilitiesOf({ scores, classes }: ScoredItems, item: number, temperature: number): Float64Array {
  const logs = Float64Array.from({ length: classes }, (_, c) => scores[item * classes + c]! / temperature);
  const total = logSumExp(logs);
  return logs.map((log) => log - total);
}

function binOf(bin: { count: number; confidence: number; right: number }, index: number, all: readonly unknown[]): ReliabilityBin {
  const ends = { from: index / all.length, to: (index + 1) / all.length, count: bin.count };
  return bin.count === 0 ? ends : { ...ends, confidence: bin.confidence / bin.count, accuracy: bin.right / bin.count };
}

function checkItems({ scores, labels, classes }: ScoredItems): void {
  if (labels.length === 0) throw new SextantError("request", "calibration needs at least one item, got none");
  if (scores.length !== sizeOf([labels.length, classes]))
    throw new SextantError(
      "request",
      `scores: ${labels.length} items of ${classes} classes need ${labels.length * classes}, got ${scores.length}`,
    );
  for (let item = 0; item < labels.length; item++) {
    const label = labels[item]!;
    if (!(Number.isInteger(label) && label >= 0 && label < classes))
      throw new SextantError("request", `labels[${item}] must be a class of 0 … ${classes - 1}, got ${label}`);
  }
  const stray = Array.from(scores).findIndex((score) => !Number.isFinite(score));
  if (stray >= 0) throw new SextantError("request", `scores[${stray}]: calibration needs finite numbers, got ${scores[stray]}`);
}
