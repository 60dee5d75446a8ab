/**
 * @file Series: one finite number an item, such as an effect a prompt pair. What statistics are given is checked and copied to
 * float64 here, since a NaN that is sorted, ranked or resampled becomes a plausible wrong number.
 */
import { SextantError } from "./errors.js";

/** What the draws of one call may take. */
const MOST_BYTES = 2 ** 29;

/** The values in float64; refuses none at all, and one that is not finite, by its index. */
export function finiteValues(values: ArrayLike<number>, name = "values"): Float64Array {
  if (values.length === 0) throw new SextantError("request", `${name}: a statistic needs at least one value, got none`);
  const copy = new Float64Array(values);
  const stray = copy.findIndex((value) => !Number.isFinite(value));
  if (stray >= 0) throw new SextantError("request", `${name}[${stray}]: a statistic needs finite numbers, got ${copy[stray]}`);
  return copy;
}

/** Series over the same `count` items (as many as the first has) in float64; refuses what `finiteValues` refuses, and other lengths. */
export function finiteSeries(series: readonly ArrayLike<number>[], name = "series", count = series[0]?.length ?? 0): Float64Array[] {
  return series.map((values, i) => {
    checkCount(values, count, `${name}[${i}]`);
    return finiteValues(values, `${name}[${i}]`);
  });
}

/** Throws unless there is one value for each of `count` items. */
export function checkCount(values: ArrayLike<number>, count: number, name: string): void {
  if (values.length !== count) throw new SextantError("request", `${name}: needs a value for each of ${count} items, got ${values.length}`);
}

/** Throws unless the seed and the number of resamples can be used, and memory should hold `bytesEach` for every resample. */
export function checkResampling(seed: number, resamples: number, bytesEach: number): void {
  if (!Number.isInteger(seed)) throw new SextantError("request", `seed must be a whole number, got ${seed}`);
  const most = Math.floor(MOST_BYTES / bytesEach);
  if (Number.isInteger(resamples) && resamples >= 1 && resamples <= most) return;
  throw new SextantError("request", `resamples must be a whole number, 1 … ${most} for so many items, got ${resamples}`);
}
