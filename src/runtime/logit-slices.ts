/** @file Logits that are computed slice by slice of the vocabulary: put together, and taken apart. */
import type { Stage } from "./stage.js";

/** Some of the logits, and where they stand among all. */
export interface LogitSlice {
  readonly stage: Stage;
  readonly from: number;
  readonly count: number;
}

/** Puts a slice's logits into their columns of all: both row-major, `vocab` wide and `count` wide. */
export function putColumns(all: Float32Array, vocab: number, part: Float32Array, { from, count }: LogitSlice): void {
  for (let row = 0; row * vocab < all.length; row++) all.set(part.subarray(row * count, (row + 1) * count), row * vocab + from);
}

/** A slice's columns of all logits; the same array where they are all. */
export function takeColumns(all: Float32Array, vocab: number, { from, count }: LogitSlice): Float32Array {
  if (count === vocab) return all;
  const rows = all.length / vocab;
  const part = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) part.set(all.subarray(row * vocab + from, row * vocab + from + count), row * count);
  return part;
}
