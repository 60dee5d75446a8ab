/** @file Examples seen through a few numbers each: some of their elements, or a few projections; and weights brought back from there. */
import { SextantError } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { activationsOf, type Examples } from "./examples.js";
import type { Probe } from "./request.js";
import { dot } from "../../base/vectors.js";

/** Some elements of every example in a layer: axes `example, d_model`, in the order of the indices. */
export function elementsOf(examples: Examples, layer: number, elements: ArrayLike<number>): Tensor<Float32Array> {
  return reduced(examples, elements.length, (example, k) => activationsOf(examples, example, layer)[elements[k]!]!);
}

/** Every example's products with some directions in a layer: axes `example, d_model`. */
export function projectionsOf(examples: Examples, layer: number, directions: readonly Float64Array[]): Tensor<Float32Array> {
  return reduced(examples, directions.length, (example, k) => dot(directions[k]!, activationsOf(examples, example, layer)));
}

/** A probe of some elements as one of all `width`: the others weigh 0. */
export function spread(probe: Probe, elements: ArrayLike<number>, width: number): Probe {
  const classes = probe.weights.shape[0]!;
  const weights = new Float32Array(classes * width);
  for (let c = 0; c < classes; c++)
    for (let k = 0; k < elements.length; k++) weights[c * width + elements[k]!] = probe.weights.data[c * elements.length + k]!;
  return { ...probe, weights: tensor(weights, [classes, width], ["class", "d_model"]) };
}

/** Throws unless k is a whole number of elements that there are. */
export function checkElementCount(k: number, width: number): void {
  if (!(Number.isInteger(k) && k >= 1 && k <= width))
    throw new SextantError("request", `k must be a whole number of elements, 1 … ${width}, got ${k}`);
}

function reduced(examples: Examples, width: number, value: (example: number, k: number) => number): Tensor<Float32Array> {
  const data = new Float32Array(examples.count * width);
  for (let example = 0; example < examples.count; example++) for (let k = 0; k < width; k++) data[example * width + k] = value(example, k);
  return tensor(data, [examples.count, width], ["example", "d_model"]);
}
