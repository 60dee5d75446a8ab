/** @file Intervals of shares by Wilson's score (Wilson 1927): they stay between 0 and 1, and are honest for small counts. */
import { SextantError } from "./errors.js";

/** A share and the interval that holds the true one in 95 of 100 cases (`z` = 1.96). */
export interface ShareInterval {
  readonly share: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/** The interval of `count` hits among `n`. */
export function wilson(count: number, n: number, z = 1.959964): ShareInterval {
  if (!(n > 0 && count >= 0 && count <= n))
    throw new SextantError("request", `wilson: counts must satisfy 0 ≤ count ≤ n and n > 0, got ${count} of ${n}`);
  const share = count / n;
  const squared = z * z;
  const middle = (share + squared / (2 * n)) / (1 + squared / n);
  const half = (z / (1 + squared / n)) * Math.sqrt((share * (1 - share)) / n + squared / (4 * n * n));
  return { share, low: Math.max(0, middle - half), high: Math.min(1, middle + half), n };
}
