/** @file Correction of p-values for being many. */
import { SextantError } from "./errors.js";

/**
 * The q-value of each p-value, in their order: the least rate of false discoveries (0 … 1) at which it counts as one, by
 * Benjamini & Hochberg (1995): the least of p₍ⱼ₎ · m / j over its own and larger p-values. What has no p-value (undefined or
 * NaN) has no q-value and does not count among the m. Holds for tests that are independent or hang together positively, as
 * cells of a grid over the same pairs mostly do; otherwise it may be too small by a factor of up to Σ 1/j, 5.8 for 180 (Benjamini &
 * Yekutieli 2001). It bounds the expected share of false ones among those called discoveries, not the chance of any; where cells
 * are left out after a look at them, it bounds nothing.
 */
export function benjaminiHochberg(pValues: ArrayLike<number | undefined>): (number | undefined)[] {
  const known = Array.from(pValues, (p, index) => ({ p: p ?? NaN, index })).filter(({ p }) => !Number.isNaN(p));
  const stray = known.find(({ p }) => !(p >= 0 && p <= 1));
  if (stray) throw new SextantError("request", `pValues[${stray.index}]: a p-value must be in 0 … 1, got ${stray.p}`);
  const qValues = Array.from<number | undefined>({ length: pValues.length });
  let least = 1;
  for (const [after, { p, index }] of known.toSorted((a, b) => b.p - a.p).entries()) {
    least = Math.min(least, p * (known.length / (known.length - after)));
    qValues[index] = least;
  }
  return qValues;
}
