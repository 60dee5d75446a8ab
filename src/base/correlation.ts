/** @file How two series over the same items go together, −1 … 1. Says nothing of which causes which, or of a third that causes both. */
import { checkCount, finiteValues } from "./series.js";
import { mean } from "./statistics.js";

/**
 * Pearson's correlation: how close the items lie to a straight line; undefined where a side is constant to within rounding (1e-13 of its
 * mean). Misleads where a few items are far from the rest, which decide it alone, and where the relation is not a line.
 */
export function pearson(a: ArrayLike<number>, b: ArrayLike<number>): number | undefined {
  const [x, y] = pairOf(a, b).map(deviationsOf);
  if (!x || !y) return undefined;
  const r = dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  return Math.max(-1, Math.min(1, r));
}

/**
 * Spearman's rank correlation: Pearson's of the ranks, where ties share the average of theirs; undefined where a side is constant. It asks
 * whether one grows with the other, by whatever curve. Misleads where most values are near 0 and their order is noise.
 */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number | undefined {
  const [x, y] = pairOf(a, b).map(ranksOf);
  return pearson(x!, y!);
}

function pairOf(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array[] {
  checkCount(b, a.length, "b");
  return [finiteValues(a, "a"), finiteValues(b, "b")];
}

/** The distances from the mean in units of the largest, so that no square is lost or overflows; undefined where all are rounding. */
function deviationsOf(values: Float64Array): Float64Array | undefined {
  const middle = mean(values);
  const deviations = values.map((value) => value - middle);
  const largest = deviations.reduce((most, deviation) => Math.max(most, Math.abs(deviation)), 0);
  return largest <= 1e-13 * Math.abs(middle) ? undefined : deviations.map((deviation) => deviation / largest);
}

/** The place of each value in order of size, from 1; equal values have the average of their places. */
function ranksOf(values: Float64Array): Float64Array {
  const order = Array.from(values.keys()).toSorted((i, j) => values[i]! - values[j]!);
  const ranks = new Float64Array(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let place = from; place < to; place++) ranks[order[place]!] = (from + 1 + to) / 2;
  }
  return ranks;
}

function dot(x: Float64Array, y: Float64Array): number {
  return x.reduce((total, value, i) => total + value * y[i]!, 0);
}
