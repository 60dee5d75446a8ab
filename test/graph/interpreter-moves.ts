/** @file Ops that give another shape to an array, or cut, join, repeat and pad arrays. */
import { sizeOf, stridesOf } from "../../src/base/tensor.js";
import type { OpName } from "../../src/graph/graph.js";
import { input, knowsOnly, numbers, whole, type Kernel } from "./kernel.js";
import { axisOf, broadcastShape, broadcastStrides, filled, ndArray, offsetOf, strided, vectorOf, type NdArray } from "./nd-array.js";

/** 0 copies the axis at that place, -1 is what remains. */
function reshaped(x: NdArray, target: readonly number[]): NdArray {
  const known = target.map((length, axis) => (length === 0 ? x.shape[axis]! : length));
  const rest = sizeOf(known.filter((length) => length !== -1));
  return ndArray(
    known.map((length) => (length === -1 ? (rest === 0 ? 0 : x.data.length / rest) : length)),
    x.data,
  );
}

/** `length` elements of an axis from `start` on. */
function cut(x: NdArray, axis: number, start: number, length: number): NdArray {
  const strides = stridesOf(x.shape);
  const shape = x.shape.map((whole, i) => (i === axis ? length : whole));
  return strided(x, shape, { strides, start: start * strides[axis]! });
}

function joined(parts: readonly NdArray[], axis: number): NdArray {
  const shape = parts[0]!.shape.map((length, i) => (i === axis ? parts.reduce((total, part) => total + part.shape[axis]!, 0) : length));
  const out = ndArray(shape);
  const inner = sizeOf(shape.slice(axis + 1));
  const outer = sizeOf(shape.slice(0, axis));
  let from = 0;
  for (const part of parts) {
    if (part.shape.some((length, i) => i !== axis && length !== shape[i])) throw new Error("parts differ off their axis");
    const run = part.shape[axis]! * inner;
    for (let row = 0; row < outer; row++) out.data.set(part.data.subarray(row * run, (row + 1) * run), row * shape[axis]! * inner + from);
    from += run;
  }
  return out;
}

/** A bound of a slice, held within the axis. */
function bound(value: number, length: number): number {
  return Math.min(Math.max(value < 0 ? value + length : value, 0), length);
}

type Moves = "Concat" | "Expand" | "Pad" | "Reshape" | "Shape" | "Slice" | "Split" | "Transpose" | "Unsqueeze";

export const MOVES: { readonly [K in OpName & Moves]: Kernel } = {
  Reshape: (inputs, attributes) => {
    knowsOnly(attributes);
    return [reshaped(input(inputs, 0), numbers(inputs, 1))];
  },
  Unsqueeze: (inputs) => {
    const x = input(inputs, 0);
    const axes = numbers(inputs, 1);
    const shape = [...x.shape];
    for (const axis of axes.map((one) => axisOf(one, x.shape.length + axes.length)).toSorted((a, b) => a - b)) shape.splice(axis, 0, 1);
    return [ndArray(shape, x.data)];
  },
  Transpose: (inputs, attributes) => {
    const x = input(inputs, 0);
    const order = attributes["perm"] as readonly number[];
    const strides = stridesOf(x.shape);
    const shape = order.map((axis) => x.shape[axis]!);
    return [strided(x, shape, { strides: order.map((axis) => strides[axis]!) })];
  },
  Shape: (inputs, attributes) => {
    const { shape } = input(inputs, 0);
    return [vectorOf(shape.slice(whole(attributes, "start", 0), whole(attributes, "end", shape.length)))];
  },
  Expand: (inputs) => {
    const x = input(inputs, 0);
    const shape = broadcastShape(x.shape, numbers(inputs, 1));
    return [strided(x, shape, { strides: broadcastStrides(x.shape, shape) })];
  },
  Concat: (inputs, attributes) => {
    const parts = inputs.map((_, place) => input(inputs, place));
    return [joined(parts, axisOf(whole(attributes, "axis"), parts[0]!.shape.length))];
  },
  Split: (inputs, attributes) => {
    const x = input(inputs, 0);
    const axis = axisOf(whole(attributes, "axis", 0), x.shape.length);
    const sizes = numbers(inputs, 1);
    if (sizes.reduce((total, size) => total + size, 0) !== x.shape[axis]) throw new Error(`pieces of ${sizes.join(", ")} do not add up`);
    return sizes.map((size, i) =>
      cut(
        x,
        axis,
        sizes.slice(0, i).reduce((total, one) => total + one, 0),
        size,
      ),
    );
  },
  Slice: (inputs) => {
    const x = input(inputs, 0);
    if (inputs.length > 4) throw new Error("slices with steps are not known");
    const [starts, ends, axes] = [numbers(inputs, 1), numbers(inputs, 2), numbers(inputs, 3)];
    const made = axes.reduce((rest: NdArray, one, i) => {
      const axis = axisOf(one, x.shape.length);
      const [start, end] = [bound(starts[i]!, x.shape[axis]!), bound(ends[i]!, x.shape[axis]!)];
      return cut(rest, axis, start, Math.max(end - start, 0));
    }, x);
    return [made];
  },
  Pad: (inputs, attributes) => {
    knowsOnly(attributes);
    const x = input(inputs, 0);
    const pads = numbers(inputs, 1);
    const rank = x.shape.length;
    if (pads.length !== 2 * rank || inputs.length > 2) throw new Error("pads are counted in front and behind along each axis");
    const strides = stridesOf(x.shape);
    const shape = x.shape.map((length, axis) => length + pads[axis]! + pads[axis + rank]!);
    return [
      filled(shape, (index) => {
        const from = index.map((at, axis) => at - pads[axis]!);
        return from.every((at, axis) => at >= 0 && at < x.shape[axis]!) ? x.data[offsetOf(strides, from)]! : 0;
      }),
    ];
  },
};
