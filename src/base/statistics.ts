/** @file What a list of numbers is like: its middle and its spread. Sums run in float64; values that are not finite are refused. */
import { SextantError } from "./errors.js";
import { finiteValues } from "./series.js";

/** The arithmetic mean, in the unit of the values. Misleads where a few values are far from the rest: look at the median too. */
export function mean(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  // A value that is not finite shows in the total, so that a second pass is needed only to name it.
  if (values.length === 0 || !Number.isFinite(total)) finiteValues(values);
  return total / values.length;
}

/**
 * The standard deviation of the population that the values are a sample of (divisor n − 1), in the unit of the values;
 * undefined for one value. It says how far items differ, not how well their mean is known: that is the standard error.
 */
export function standardDeviation(values: ArrayLike<number>): number | undefined {
  const middle = mean(values);
  if (values.length < 2) return undefined;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - middle) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}

/**
 * The standard error of the mean: standard deviation / √n, in the unit of the values; undefined for one value. Misleads where
 * items depend on each other (prompts from one template): then it is too small.
 */
export function standardError(values: ArrayLike<number>): number | undefined {
  const deviation = standardDeviation(values);
  return deviation === undefined ? undefined : deviation / Math.sqrt(values.length);
}

/** The middle value in order of size, or the mean of the two middle ones. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/**
 * The value below which a share (0 … 1) of the values lies: position share · (n − 1) in order of size, and a straight line
 * between neighbours (type 7 of Hyndman & Fan 1996, the default of numpy and R). Near 0 and 1 it depends on single values.
 */
export function quantile(values: ArrayLike<number>, share: number): number {
  if (!(share >= 0 && share <= 1)) throw new SextantError("request", `a quantile's share must be in 0 … 1, got ${share}`);
  const sorted = finiteValues(values).sort();
  return sortedValueAt(sorted, share * (sorted.length - 1));
}

/** The value at a position of sorted values, on a straight line between neighbours; NaN beyond the ends. */
export function sortedValueAt(sorted: Float64Array, position: number): number {
  const [before, after] = [Math.floor(position), Math.ceil(position)];
  const [low, high] = [sorted[before] ?? NaN, sorted[after] ?? NaN];
  return low + (high - low) * (position - before);
}
