/**
 * @file How well cheap scores stand for exact ones, item by item. A rank correlation over all items is flattered or spoilt by the many that do
 * nothing, so how many of the largest are found is said beside it.
 */
import { SextantError } from "../../base/errors.js";
import { pearson, spearman } from "../../base/correlation.js";

export interface ScoreAgreement {
  /** Absent where a side is constant. */
  readonly spearman?: number;
  readonly pearson?: number;
  /** Share of the `top` largest |exact| that are among the `top` largest |estimated|. */
  readonly found: number;
  readonly top: number;
  /** Of those `top`, the share whose sign is right. */
  readonly sameSign: number;
  /** Items. */
  readonly n: number;
}

/** The agreement of estimates with exact effects of the same items. `top` defaults to a tenth of them, at least one. */
export function compareScores(
  estimated: ArrayLike<number>,
  exact: ArrayLike<number>,
  options: { readonly top?: number } = {},
): ScoreAgreement {
  const n = exact.length;
  const top = options.top ?? Math.max(1, Math.round(n / 10));
  if (estimated.length !== n || n === 0) throw new SextantError("request", `scores: ${estimated.length} estimates for ${n} exact effects`);
  if (!Number.isInteger(top) || top < 1 || top > n) throw new SextantError("request", `top must be 1 to ${n}, got ${String(top)}`);
  const [rank, line] = [spearman(estimated, exact), pearson(estimated, exact)];
  const largest = largestOf(exact, top);
  const guessed = new Set(largestOf(estimated, top));
  return {
    ...(rank !== undefined && { spearman: rank }),
    ...(line !== undefined && { pearson: line }),
    found: largest.filter((item) => guessed.has(item)).length / top,
    top,
    sameSign: largest.filter((item) => Math.sign(estimated[item]!) === Math.sign(exact[item]!)).length / top,
    n,
  };
}

function largestOf(values: ArrayLike<number>, count: number): number[] {
  const items = Array.from({ length: values.length }, (_, item) => item);
  return items.toSorted((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b).slice(0, count);
}
