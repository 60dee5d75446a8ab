/**
 * @file Sign-flip tests that a mean is 0 (Fisher 1935): where an effect is as likely to be −x as x, every choice of signs was as
 * likely as the one seen, and p is the share of choices whose mean is at least as far from 0. All 2ⁿ choices are taken where
 * they are no more than the resamples; otherwise random ones, b of m at least as far, with p = (b + 1) / (m + 1), so that p is never 0
 * (Phipson & Smyth 2010).
 *
 * When they mislead: the hypothesis is that effects are symmetric about 0, so that skewed effects whose mean is 0 can have a small
 * p. Items that depend on each other make p too small. And p has a floor, 2 / 2ⁿ or 1 / (m + 1): with 5 pairs it cannot be
 * below 0.0625, and a lone effect among 180 corrected cells needs a floor below 0.05 / 180.
 */
import { seededRandom } from "./random.js";
import { checkResampling, finiteSeries, finiteValues } from "./series.js";

/** How signs are chosen. */
export interface SignFlipOptions {
  /** Decides nothing where all choices are taken. */
  readonly seed: number;
  /** How many choices of signs are taken at most; 10 000 by default, which is all choices up to 13 items. */
  readonly resamples?: number;
}

/** Choices of signs: bit j of `bytes[8-item group][choice]` is set where item j of the group is flipped. */
interface Flips {
  readonly bytes: readonly Uint8Array[];
  readonly isExact: boolean;
}

/** The two-sided p-value (above 0, at most 1) of the mean of one value an item being 0; 1 for one item. */
export function signFlipTest(values: ArrayLike<number>, options: SignFlipOptions): number {
  return pValuesOf([finiteValues(values)], options)[0]!;
}

/** The p-value of each of many series over the same items, from the same flips; each is what `signFlipTest` gives for it alone. */
export function signFlipTests(series: readonly ArrayLike<number>[], options: SignFlipOptions): number[] {
  return pValuesOf(finiteSeries(series), options);
}

function pValuesOf(series: readonly Float64Array[], { seed, resamples = 10_000 }: SignFlipOptions): number[] {
  const count = series[0]?.length ?? 1;
  const groups = Math.ceil(count / 8);
  checkResampling(seed, resamples, groups + 8);
  const isExact = 2 ** count <= resamples;
  const flips: Flips = { bytes: isExact ? allChoices(count, groups) : randomChoices(groups, resamples, seed), isExact };
  return series.map((values) => pValueOf(values, flips));
}

function allChoices(count: number, groups: number): Uint8Array[] {
  return Array.from({ length: groups }, (_, group) => Uint8Array.from({ length: 2 ** count }, (_unused, choice) => choice >> (8 * group)));
}

function randomChoices(groups: number, resamples: number, seed: number): Uint8Array[] {
  const random = seededRandom(seed);
  return Array.from({ length: groups }, () => new Uint8Array(resamples).map(() => Math.floor(random() * 256)));
}

function pValueOf(values: Float64Array, { bytes, isExact }: Flips): number {
  const sums = new Float64Array(bytes[0]!.length);
  for (const [group, choices] of bytes.entries()) {
    const table = flippedSums(values.subarray(8 * group, 8 * group + 8));
    for (let choice = 0; choice < sums.length; choice++) sums[choice] = sums[choice]! + table[choices[choice]!]!;
  }
  const [seen, size] = values.reduce(([sum, sizes], value) => [sum + value, sizes + Math.abs(value)], [0, 0]);
  // Sums that are equal on paper differ by rounding, whose scale is that of Σ|x|, not of a sum that nearly cancels.
  const least = Math.abs(seen) - 1e-12 * size;
  const extreme = sums.reduce((found, sum) => found + (Math.abs(sum) >= least ? 1 : 0), 0);
  return isExact ? extreme / sums.length : (extreme + 1) / (sums.length + 1);
}

/** The sums of up to 8 values under all 256 choices of signs: a lookup then does the work of 8 multiplications. */
function flippedSums(values: Float64Array): Float64Array {
  const sums = new Float64Array(256);
  for (const [bit, value] of values.entries()) {
    const half = 1 << bit;
    for (let choice = 0; choice < half; choice++) {
      sums[choice + half] = sums[choice]! - value;
      sums[choice] = sums[choice]! + value;
    }
  }
  // Bits of a random byte beyond the last value flip nothing.
  for (let choice = 1 << values.length; choice < 256; choice++) sums[choice] = sums[choice % (1 << values.length)]!;
  return sums;
}
