/** @file How far results of two sides are apart. */

/** How far two lists of numbers are apart at most, as a share of the largest of the first; NaN where their lengths differ. */
export function farthest(mine: ArrayLike<number>, theirs: ArrayLike<number | bigint> | undefined): number {
  if (mine.length !== theirs?.length) return Number.NaN;
  let [off, largest] = [0, 0];
  for (let i = 0; i < mine.length; i++) {
    off = Math.max(off, Math.abs(mine[i]! - Number(theirs[i])));
    largest = Math.max(largest, Math.abs(mine[i]!));
  }
  return off / largest;
}
