/** @file Dense row-major arrays of float64 with NumPy's broadcasting: what the interpreter computes on. Whole numbers and truth values too. */
import { sizeOf, stridesOf } from "../../src/base/tensor.js";

/** A dense row-major array. Without axes it holds one number. */
export interface NdArray {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

/** An array over `data`, or of zeros. */
export function ndArray(shape: readonly number[], data: ArrayLike<number> = new Float64Array(sizeOf(shape))): NdArray {
  if (data.length !== sizeOf(shape)) throw new Error(`shape [${shape.join(", ")}] needs ${sizeOf(shape)} elements, got ${data.length}`);
  return { data: data instanceof Float64Array ? data : Float64Array.from(data), shape };
}

/** One axis of numbers. */
export function vectorOf(values: readonly number[]): NdArray {
  return ndArray([values.length], values);
}

/** Visits every index of a shape in row-major order; `index` is one array that changes. */
export function eachIndex(shape: readonly number[], visit: (index: readonly number[], at: number) => void): void {
  const index = shape.map(() => 0);
  const size = sizeOf(shape);
  for (let at = 0; at < size; at++) {
    visit(index, at);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]! += 1;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** An array of a shape whose element at each index is given. */
export function filled(shape: readonly number[], element: (index: readonly number[], at: number) => number): NdArray {
  const out = ndArray(shape);
  eachIndex(shape, (index, at) => (out.data[at] = element(index, at)));
  return out;
}

/** Where the element at an index lies. */
export function offsetOf(strides: readonly number[], index: readonly number[]): number {
  let offset = 0;
  for (let axis = 0; axis < strides.length; axis++) offset += strides[axis]! * index[axis]!;
  return offset;
}

/** The elements of `x` in another shape, found by strides of their own from `start` on. */
export function strided(
  x: NdArray,
  shape: readonly number[],
  { strides, start = 0 }: { strides: readonly number[]; start?: number },
): NdArray {
  return filled(shape, (index) => x.data[start + offsetOf(strides, index)]!);
}

/** The shape that two shapes are broadcast to. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [left, right] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (left !== right && left !== 1 && right !== 1) throw new Error(`shapes [${a.join(", ")}] and [${b.join(", ")}] do not fit`);
    return left === 1 ? right : left;
  });
}

/** Strides of an array seen with a shape that it is broadcast to: 0 along the axes on which it is repeated. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const own = stridesOf(from);
  return to.map((_, axis) => {
    const at = axis - to.length + from.length;
    return at < 0 || from[at] === 1 ? 0 : own[at]!;
  });
}

/** `f` of each pair of elements, broadcast. */
export function combine(a: NdArray, b: NdArray, f: (a: number, b: number) => number): NdArray {
  if (String(a.shape) === String(b.shape))
    return ndArray(
      a.shape,
      a.data.map((value, i) => f(value, b.data[i]!)),
    );
  const shape = broadcastShape(a.shape, b.shape);
  const [left, right] = [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)];
  return filled(shape, (index) => f(a.data[offsetOf(left, index)]!, b.data[offsetOf(right, index)]!));
}

/** `f` of each element. */
export function mapped({ data, shape }: NdArray, f: (value: number) => number): NdArray {
  return { data: data.map(f), shape };
}

/** An axis counted from the front. */
export function axisOf(axis: number, rank: number): number {
  const from = axis < 0 ? axis + rank : axis;
  if (!(from >= 0 && from < rank)) throw new Error(`axis ${axis} of ${rank}`);
  return from;
}
