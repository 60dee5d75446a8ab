/** @file How far two tensors, or two runs, are apart. Cosine alone hides an error of scale, and relative error alone its direction. */
import { tensor, type Tensor } from "../../base/tensor.js";

/** `relative` is max |Δ| over the largest finite |value| of the second tensor. */
export interface Difference {
  readonly absolute: number;
  readonly relative: number;
  readonly cosine: number;
}

const UNLIKE: Difference = { absolute: Infinity, relative: Infinity, cosine: 0 };

/** How `ours` differs from `theirs`. Equal infinities do not differ; NaN differs from everything, as does another shape. */
export function differenceOf(ours: Tensor | undefined, theirs: Tensor): Difference {
  if (String(ours?.shape) !== String(theirs.shape)) return UNLIKE;
  let [absolute, largest, ab, aa, bb] = [0, 0, 0, 0, 0];
  for (let i = 0; i < theirs.data.length; i++) {
    const [a, b] = [ours!.data[i]!, theirs.data[i]!];
    if (a === b && !Number.isFinite(a)) continue;
    const apart = Math.abs(a - b);
    absolute = Math.max(absolute, Number.isNaN(apart) ? Infinity : apart);
    if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b));
    ab += a * b;
    aa += a * a;
    bb += b * b;
  }
  return { absolute, relative: absolute === 0 ? 0 : absolute / largest, cosine: absolute === 0 ? 1 : ab / Math.sqrt(aa * bb) };
}

/** Tensors by name: points of a run, and its logits. */
export type Values = Readonly<Record<string, Tensor>>;

/** The worst of several differences, and where it was. */
export interface Worst {
  readonly name: string;
  readonly relative: number;
}

/** The largest relative difference over the values of `theirs`; a value that `ours` lacks is infinitely far. */
export function worstOf(ours: Values, theirs: Values): Worst {
  return Object.entries(theirs).reduce<Worst>(
    (worst, [name, value]) => {
      const { relative } = differenceOf(ours[name], value);
      return relative > worst.relative ? { name, relative } : worst;
    },
    { name: "", relative: 0 },
  );
}

/** The larger of two. */
export function worse(a: Worst, b: Worst): Worst {
  return b.relative > a.relative ? b : a;
}

/** One row of values whose first axis is batch, cut to its own length along every axis of positions. */
export function rowOf(values: Values, row: number, length: number): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, sliceRow(value, row, length)]));
}

function sliceRow({ data, shape, axes }: Tensor, row: number, length: number): Tensor {
  const lengths = shape.map((size, axis) => (axis === 0 ? 1 : ["pos", "query", "key"].includes(axes[axis] ?? "") ? length : size));
  const size = shape.slice(1).reduce((product, count) => product * count, 1);
  const mine = data.subarray(row * size, (row + 1) * size);
  return tensor(cropped(mine, shape.slice(1), lengths.slice(1)), lengths, axes);
}

/** The first `lengths` elements along each axis. */
function cropped(data: Tensor["data"], shape: readonly number[], lengths: readonly number[]): Tensor["data"] {
  const [count = 1, ...inner] = lengths;
  if (shape.every((size, axis) => size === lengths[axis])) return data;
  const step = shape.slice(1).reduce((product, size) => product * size, 1);
  const parts = Array.from({ length: count }, (_, i) => cropped(data.subarray(i * step, (i + 1) * step), shape.slice(1), inner));
  const out = data.slice(
    0,
    parts.reduce((total, part) => total + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
