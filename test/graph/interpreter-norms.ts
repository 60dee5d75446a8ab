/** @file Norms, softmax and sums in float64. */
import { sizeOf, stridesOf } from "../../src/base/tensor.js";
import type { OpName } from "../../src/graph/graph.js";
import { float, input, knowsOnly, numbers, whole, type Attributes, type Inputs, type Kernel } from "./kernel.js";
import { axisOf, combine, eachIndex, mapped, ndArray, type NdArray } from "./nd-array.js";

/** Sums over axes, which stay with length 1. */
function summed(x: NdArray, axes: readonly number[]): NdArray {
  const out = ndArray(x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length)));
  const strides = stridesOf(out.shape);
  eachIndex(x.shape, (index, at) => {
    let to = 0;
    for (let axis = 0; axis < index.length; axis++) if (!axes.includes(axis)) to += index[axis]! * strides[axis]!;
    out.data[to]! += x.data[at]!;
  });
  return out;
}

const reduction =
  (isMean: boolean): Kernel =>
  (inputs, attributes) => {
    knowsOnly(attributes, "keepdims");
    const x = input(inputs, 0);
    const axes = numbers(inputs, 1).map((axis) => axisOf(axis, x.shape.length));
    const total = summed(x, axes);
    const count = isMean ? sizeOf(axes.map((axis) => x.shape[axis]!)) : 1;
    const made = isMean ? mapped(total, (value) => value / count) : total;
    return [
      whole(attributes, "keepdims", 1) === 1
        ? made
        : ndArray(
            x.shape.filter((_, axis) => !axes.includes(axis)),
            made.data,
          ),
    ];
  };

function lastAxis(x: NdArray, attributes: Attributes): number {
  const axis = axisOf(whole(attributes, "axis", -1), x.shape.length);
  if (axis !== x.shape.length - 1) throw new Error("only the last axis is known");
  return axis;
}

/** `x` less the largest of the last axis, and the sum of its exponentials. */
function exponents(x: NdArray): { shifted: NdArray; total: NdArray } {
  const [axis, width] = [x.shape.length - 1, x.shape.at(-1)!];
  const shifted = ndArray(x.shape);
  for (let row = 0; row < x.data.length; row += width) {
    const part = x.data.subarray(row, row + width);
    const largest = part.reduce((a, b) => Math.max(a, b), -Infinity);
    shifted.data.set(
      part.map((value) => value - largest),
      row,
    );
  }
  return { shifted, total: summed(mapped(shifted, Math.exp), [axis]) };
}

const softmax =
  (isLog: boolean): Kernel =>
  (inputs, attributes) => {
    knowsOnly(attributes, "axis");
    const x = input(inputs, 0);
    lastAxis(x, attributes);
    const { shifted, total } = exponents(x);
    return [combine(shifted, total, isLog ? (a, sum) => a - Math.log(sum) : (a, sum) => Math.exp(a) / sum)];
  };

/** What norms are made of: `x`, less its mean where `isCentred`; 1 / sqrt(mean square + ε); the mean. */
function normalised(inputs: Inputs, attributes: Attributes, isCentred: boolean): { y: NdArray; inverse: NdArray; mean: NdArray } {
  knowsOnly(attributes, "axis", "epsilon");
  const x = input(inputs, 0);
  const axis = lastAxis(x, attributes);
  const [width, epsilon] = [x.shape[axis]!, float(attributes, "epsilon", 1e-5)];
  const mean = mapped(summed(x, [axis]), (sum) => sum / width);
  const centred = isCentred ? combine(x, mean, (a, b) => a - b) : x;
  const power = summed(
    mapped(centred, (value) => value * value),
    [axis],
  );
  const inverse = mapped(power, (sum) => 1 / Math.sqrt(sum / width + epsilon));
  const scaled = combine(
    combine(centred, inverse, (a, b) => a * b),
    input(inputs, 1),
    (a, b) => a * b,
  );
  const bias = inputs[2];
  return { y: bias ? combine(scaled, bias, (a, b) => a + b) : scaled, inverse, mean };
}

type Norms = "LayerNormalization" | "LogSoftmax" | "ReduceMean" | "ReduceSum" | "SimplifiedLayerNormalization" | "Softmax";

export const NORMS: { readonly [K in OpName & Norms]: Kernel } = {
  LayerNormalization: (inputs, attributes) => {
    const { y, mean, inverse } = normalised(inputs, attributes, true);
    return [y, mean, inverse];
  },
  SimplifiedLayerNormalization: (inputs, attributes) => {
    const { y, inverse } = normalised(inputs, attributes, false);
    return [y, inverse];
  },
  Softmax: softmax(false),
  LogSoftmax: softmax(true),
  ReduceMean: reduction(true),
  ReduceSum: reduction(false),
};
