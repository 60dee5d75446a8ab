/**
 * @file The area under the receiver operating characteristic: the chance that a positive item scores above a negative one, ties counted
 * half (Hanley & McNeil 1982). 0.5 is chance, 1 perfect, below 0.5 the wrong way round. It asks for order only, so it says nothing of
 * where a threshold lies, and nothing of calibration; where positives are rare, a high area may still go with few right among those called.
 */
import { SextantError } from "./errors.js";
import { checkCount, finiteValues } from "./series.js";

/** The area, 0 … 1, where `positive[i]` says whether item i is positive; undefined where there are no positives or no negatives. */
export function auroc(scores: ArrayLike<number>, positive: ArrayLike<boolean>): number | undefined {
  return weightedAuroc(scores, positive)(new Float64Array(scores.length).fill(1));
}

/** The area with a weight an item, such as how often it was drawn; from one sorting for many weightings. */
export type WeightedAuroc = (weights: ArrayLike<number>) => number | undefined;

/** Sorts the items once and gives the area for any weights, 0 or more; undefined where a side has no weight. */
export function weightedAuroc(scores: ArrayLike<number>, positive: ArrayLike<boolean>): WeightedAuroc {
  checkSides(scores, positive);
  const values = finiteValues(scores, "scores");
  const order = Int32Array.from(values.keys()).sort((i, j) => values[i]! - values[j]!);
  return (weights) => {
    checkCount(weights, values.length, "weights");
    const sides = { positive: 0, negative: 0, above: 0 };
    for (let from = 0, to = 0; from < order.length; from = to) {
      const tie = { positive: 0, negative: 0 };
      for (; to < order.length && values[order[to]!] === values[order[from]!]; to++) {
        const item = order[to]!;
        tie[positive[item]! ? "positive" : "negative"] += weights[item]!;
      }
      sides.above += tie.positive * (sides.negative + tie.negative / 2);
      sides.positive += tie.positive;
      sides.negative += tie.negative;
    }
    return sides.positive > 0 && sides.negative > 0 ? sides.above / (sides.positive * sides.negative) : undefined;
  };
}

/** The area, and its standard error by DeLong. */
export interface DelongEstimate {
  readonly auroc: number;
  readonly standardError: number;
}

/**
 * The area with its standard error (DeLong, DeLong & Clarke-Pearson 1988): from how often each positive beats the negatives, and each
 * negative loses. It holds where items are independent; with several items a prompt it is too small, and a bootstrap over prompts is to
 * be used. It is 0 where the sides are apart, which does not mean that nothing is uncertain. Needs two items of each side.
 */
export function delong(scores: ArrayLike<number>, positive: ArrayLike<boolean>): DelongEstimate {
  checkSides(scores, positive);
  const values = finiteValues(scores, "scores");
  const above = values.filter((_, i) => positive[i]!).sort();
  const below = values.filter((_, i) => !positive[i]!).sort();
  if (above.length < 2 || below.length < 2)
    throw new SextantError(
      "request",
      `DeLong's error needs two items of each side, got ${above.length} positive and ${below.length} negative`,
    );
  const wins = above.map((value) => sharesBelow(below, value));
  const losses = below.map((value) => 1 - sharesBelow(above, value));
  const area = wins.reduce((sum, share) => sum + share, 0) / wins.length;
  return { auroc: area, standardError: Math.sqrt(varianceOf(wins) / wins.length + varianceOf(losses) / losses.length) };
}

/** The share of sorted values below one, ties half. */
function sharesBelow(sorted: Float64Array, value: number): number {
  return (countWhere(sorted, (other) => other < value) + countWhere(sorted, (other) => other <= value)) / 2 / sorted.length;
}

/** How many values at the front of a sorted list hold, by halving. */
function countWhere(sorted: Float64Array, holds: (value: number) => boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(sorted[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function varianceOf(values: Float64Array): number {
  const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
}

function checkSides(scores: ArrayLike<number>, positive: ArrayLike<boolean>): void {
  if (positive.length !== scores.length)
    throw new SextantError("request", `positive: needs a value for each of ${scores.length} items, got ${positive.length}`);
}
