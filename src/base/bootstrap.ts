/**
 * @file Percentile bootstrap intervals (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13): items are drawn
 * with replacement, as many as there are, the statistic of those drawn is taken, again and again, and the interval holds the
 * middle share of what came out. Paired data have one value a pair, so that pairs are drawn whole. All series of a call
 * share their draws, and so do all calls with the same seed, number of items and number of resamples.
 *
 * When they mislead: with few items they are too narrow. Intervals of level 0.95 held the mean of normal data in 0.83 of 4000 data
 * sets of 5 items, in 0.89 of 10, 0.93 of 20 and 0.94 of 100; of exponential data in 0.79, 0.86, 0.89 and 0.93. Where items depend on
 * each other (prompts from one template) they are far too narrow. Each holds its level on its own: of 180 at 0.95, some 9 miss.
 */
import { SextantError } from "./errors.js";
import { seededRandom } from "./random.js";
import { checkResampling, finiteSeries, finiteValues } from "./series.js";
import { mean, sortedValueAt } from "./statistics.js";

const LEVEL = 0.95;
const RESAMPLES = 2000;

/** The ends of an interval, in the unit of the statistic. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** A number of the drawn items, undefined where these have none; the array is used anew for the next draw. */
export type Statistic = (values: Float64Array) => number | undefined;

/** How items are drawn, and how much of the statistic's distribution the interval holds. */
export interface IntervalOptions {
  readonly seed: number;
  /** The share of resamples between the ends, above 0 and below 1; 0.95 by default. */
  readonly level?: number;
  /** How often items are drawn; 2000 by default, at least one for each tail: 2 / (1 − level). */
  readonly resamples?: number;
}

/** Options of an interval, and what it is of: the mean by default. */
export interface BootstrapOptions extends IntervalOptions {
  readonly statistic?: Statistic;
}

/** The interval of a statistic over one value an item; undefined for one item, which says nothing of how items differ. */
export function bootstrapInterval(values: ArrayLike<number>, options: BootstrapOptions): Interval | undefined {
  return intervalsOf([finiteValues(values)], options)[0];
}

/**
 * The interval of each of many series over the same items, from the same draws, so that intervals belong together and equal
 * series have equal ones; each is what `bootstrapInterval` gives for the series alone.
 */
export function bootstrapIntervals(series: readonly ArrayLike<number>[], options: BootstrapOptions): (Interval | undefined)[] {
  return intervalsOf(finiteSeries(series), options);
}

/**
 * The interval of Σ effects / Σ gaps for each of many series of effects, drawing pairs whole: the normalised effect, with
 * patched − corrupted as a pair's effect and clean − corrupted as its gap. It is a ratio of means: a mean of ratios would be ruled by
 * the pairs of small gap. Where a draw's gaps sum to 0 or to the other sign,
 * the ratio may be anything and counts as below the low end and above the high one; where an end can then not be told, the
 * interval is undefined, as Fieller's (1954) is unbounded: the gap itself is not known to differ from 0.
 */
export function bootstrapRatioIntervals(
  effects: readonly ArrayLike<number>[],
  gaps: ArrayLike<number>,
  options: IntervalOptions,
): (Interval | undefined)[] {
  const known = finiteValues(gaps, "gaps");
  const series = finiteSeries(effects, "effects", known.length);
  const draws = drawsOf(known.length, options);
  const sign = Math.sign(mean(known));
  const divisors = estimatesOf(draws, known, mean).map((gap) => (sign !== 0 && Math.sign(gap) === sign ? gap : NaN));
  return series.map((values) => {
    const ratios = estimatesOf(draws, values, mean).map((effect, i) => effect / divisors[i]!);
    return values.length < 2 ? undefined : middleOf(ratios, options.level);
  });
}

function intervalsOf(series: readonly Float64Array[], options: BootstrapOptions): (Interval | undefined)[] {
  const draws = drawsOf(series[0]?.length ?? 1, options);
  return series.map((values) => {
    return values.length < 2 ? undefined : middleOf(estimatesOf(draws, values, options.statistic ?? mean), options.level);
  });
}

/** The items drawn, one resample after the other. */
function drawsOf(count: number, { seed, level = LEVEL, resamples = RESAMPLES }: IntervalOptions): Int32Array {
  if (!(level > 0 && level < 1)) throw new SextantError("request", `level must be above 0 and below 1, got ${level}`);
  checkResampling(seed, resamples, 4 * count + 16);
  const least = Math.ceil(2 / (1 - level) - 1e-6);
  if (resamples < least)
    throw new SextantError("request", `an interval of level ${level} needs ${least} resamples or more, got ${resamples}`);
  const random = seededRandom(seed);
  return new Int32Array(resamples * count).map(() => Math.floor(random() * count));
}

/** The statistic of each resample, NaN where there is none. */
function estimatesOf(draws: Int32Array, values: Float64Array, statistic: Statistic): Float64Array {
  const drawn = new Float64Array(values.length);
  const estimates = new Float64Array(draws.length / values.length);
  for (let resample = 0; resample < estimates.length; resample++) {
    const from = resample * drawn.length;
    for (let i = 0; i < drawn.length; i++) drawn[i] = values[draws[from + i]!]!;
    estimates[resample] = statistic(drawn) ?? NaN;
  }
  return estimates;
}

/** The middle share of the estimates; those that are NaN count as below the low end and above the high one. */
function middleOf(estimates: Float64Array, level = LEVEL): Interval | undefined {
  const sorted = estimates.toSorted(); // NaN comes last
  const unknown = sorted.length - sorted.findLastIndex((estimate) => !Number.isNaN(estimate)) - 1;
  const [tail, last] = [(1 - level) / 2, sorted.length - 1];
  const low = sortedValueAt(sorted, tail * last - unknown);
  const high = sortedValueAt(sorted, (1 - tail) * last);
  return Number.isFinite(low) && Number.isFinite(high) ? { low, high } : undefined;
}
