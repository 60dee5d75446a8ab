/**
 * @file Examples as a fit sees them: centred, divided by each element's deviation where that is asked for, in float64; and the way back,
 * by which a probe's weights are folded so that they apply to activations as they are.
 */
import { tensor } from "../../base/tensor.js";
import { activationsOf, type Examples } from "./examples.js";
import type { Probe, ProbeKind } from "./request.js";
import { addTo } from "../../base/vectors.js";

/** x becomes (x − mean) / scale, each element on its own. */
export interface Scaling {
  readonly mean: Float64Array;
  readonly scale: Float64Array;
}

/** score = W x + b: a row of weights and a bias for each output. */
export interface LinearMap {
  readonly weights: readonly Float64Array[];
  readonly bias: Float64Array;
}

/** What a fit is given: scaled training examples as rows, and their labels. */
export interface Problem {
  readonly rows: readonly Float64Array[];
  readonly width: number;
  readonly labels: Int32Array;
  readonly classes: number;
}

/** Mean and deviation (divisor n) of each element over some examples of a layer; an element that hardly varies is not divided. */
export function scalingOf(examples: Examples, layer: number, side: readonly number[], standardise: boolean): Scaling {
  const mean = new Float64Array(examples.width);
  for (const example of side) addTo(mean, 1 / side.length, activationsOf(examples, example, layer));
  const scale = new Float64Array(examples.width).fill(1);
  if (!standardise) return { mean, scale };
  const squares = new Float64Array(examples.width);
  for (const example of side) {
    const row = activationsOf(examples, example, layer);
    for (let i = 0; i < row.length; i++) squares[i]! += (row[i]! - mean[i]!) ** 2 / side.length;
  }
  return { mean, scale: squares.map((square, i) => (square > 1e-12 * mean[i]! ** 2 ? Math.sqrt(square) : 1)) };
}

/** No scaling: activations as they are. */
export function unscaled(width: number): Scaling {
  return { mean: new Float64Array(width), scale: new Float64Array(width).fill(1) };
}

/** One example scaled, in a new array. */
export function scaledRow(row: Float32Array, { mean, scale }: Scaling): Float64Array {
  const out = new Float64Array(row.length);
  for (let i = 0; i < out.length; i++) out[i] = (row[i]! - mean[i]!) / scale[i]!;
  return out;
}

/** The training examples of a layer as a problem to be solved. */
export function problemOf(examples: Examples, layer: number, side: readonly number[], scaling: Scaling): Problem {
  return {
    rows: side.map((example) => scaledRow(activationsOf(examples, example, layer), scaling)),
    width: examples.width,
    labels: Int32Array.from(side, (example) => examples.labels[example]!),
    classes: examples.classes,
  };
}

/** The probe that gives activations as they are the scores that the map gives scaled ones. */
export function foldBack(map: LinearMap, { mean, scale }: Scaling, kind: ProbeKind): Probe {
  const width = mean.length;
  const weights = new Float32Array(map.weights.length * width);
  const bias = new Float32Array(map.weights.length);
  for (const [c, row] of map.weights.entries()) {
    let offset = map.bias[c]!;
    for (let i = 0; i < width; i++) {
      const weight = Math.fround(row[i]! / scale[i]!);
      weights[c * width + i] = weight;
      offset -= weight * mean[i]!;
    }
    bias[c] = offset;
  }
  return { kind, weights: tensor(weights, [bias.length, width], ["class", "d_model"]), bias: tensor(bias, [bias.length], ["class"]) };
}
