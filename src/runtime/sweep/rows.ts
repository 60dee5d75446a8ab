/**
 * @file The rows of a sweep: row = one position of one variant of a prompt. A variant has rows only where it differs from the unedited
 * run (the base) of its prompt; rows stand variant by variant, positions ascending.
 */
import { must } from "../../base/errors.js";
import type { TensorData } from "../../base/tensor.js";
import { Scratch } from "./scratch.js";

export class Rows {
  /** Where each variant's rows begin, and behind them the number of rows. */
  readonly starts: Int32Array;
  /** The position of each row. */
  readonly positions: Int32Array;

  constructor(byVariant: readonly Int32Array[]) {
    this.starts = new Int32Array(byVariant.length + 1);
    byVariant.forEach((list, variant) => (this.starts[variant + 1] = this.starts[variant]! + list.length));
    this.positions = new Int32Array(this.count);
    byVariant.forEach((list, variant) => this.positions.set(list, this.starts[variant]));
  }

  get count(): number {
    return this.starts.at(-1) ?? 0;
  }

  get variants(): number {
    return this.starts.length - 1;
  }

  /** The positions that a variant has rows for. */
  of(variant: number): Int32Array {
    return this.positions.subarray(this.starts[variant], this.starts[variant + 1]);
  }

  /** Visits every row. */
  forEach(visit: (row: number, variant: number, position: number) => void): void {
    for (let variant = 0; variant < this.variants; variant++) {
      const start = this.starts[variant]!;
      this.of(variant).forEach((position, i) => visit(start + i, variant, position));
    }
  }

  /** The row of a variant at a position, −1 where it has none. */
  find(variant: number, position: number): number {
    let [low, high] = [this.starts[variant]!, this.starts[variant + 1]! - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const there = this.positions[middle]!;
      if (there === position) return middle;
      if (there < position) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

/** Other rows, and for each the old row that holds its value: the variant's own, or the base's where the variant had none. */
export interface Regrouped {
  readonly rows: Rows;
  /** Undefined where the rows are the same as before. */
  readonly index: Int32Array | undefined;
}

/** The rows with `positionsOf(variant)` in place of each variant's own positions. */
export function regroup(old: Rows, positionsOf: (variant: number) => Int32Array, baseOf: (variant: number) => number): Regrouped {
  const lists = Array.from({ length: old.variants }, (_, variant) => positionsOf(variant));
  if (lists.every((list, variant) => isSame(list, old.of(variant)))) return { rows: old, index: undefined };
  const rows = new Rows(lists);
  const index = new Int32Array(rows.count);
  lists.forEach((list, variant) => {
    let own = old.starts[variant]!;
    const end = old.starts[variant + 1]!;
    list.forEach((position, i) => {
      while (own < end && old.positions[own]! < position) own++;
      const isOwn = own < end && old.positions[own] === position;
      index[rows.starts[variant]! + i] = isOwn ? own : baseRow(old, baseOf(variant), position);
    });
  });
  return { rows, index };
}

function baseRow(rows: Rows, base: number, position: number): number {
  const row = rows.find(base, position);
  return must(row < 0 ? undefined : row, `position ${position} of a base`);
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Both lists as one, ascending, each value once; the first list itself where the second adds nothing. */
export function union(a: Int32Array, b: Iterable<number>): Int32Array {
  const known = new Set(a);
  const fresh = [...new Set(b)].filter((value) => !known.has(value));
  return fresh.length === 0 ? a : Int32Array.from([...a, ...fresh]).sort();
}

/** Rows of `data` (each `width` elements) at the indices; float32 ones in an array of the scratch, where there is one. */
export function gatherRows<D extends TensorData>(data: D, width: number, from: { index: Int32Array; scratch?: Scratch }): D {
  const { index, scratch = new Scratch() } = from;
  const out = (data instanceof Float32Array ? scratch.take(index.length * width) : new Int32Array(index.length * width)) as D;
  for (let row = 0; row < index.length;) {
    const first = index[row]!;
    let run = 1;
    while (row + run < index.length && index[row + run] === first + run) run++;
    out.set(data.subarray(first * width, (first + run) * width), row * width);
    row += run;
  }
  return out;
}
