/** @file A probe put to use: scores and probabilities of activations, and its direction, for steering (edits `add`, `project_out`, `clamp`). */
import { SextantError } from "../../base/errors.js";
import { logSumExp } from "../../base/log-sum-exp.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import type { Probe } from "./request.js";
import { dot } from "../../base/vectors.js";

/** score = W x + b of every vector: axes of the activations, with `class` in the place of the last, `d_model`. */
export function scoreWithProbe(probe: Probe, activations: Tensor<Float32Array>): Tensor<Float32Array> {
  const [classes = 0, width = 0] = probe.weights.shape;
  const { shape, axes, data } = activations;
  if (shape.at(-1) !== width)
    throw new SextantError("request", `the probe is of activations of ${width} elements, got shape [${shape.join(", ")}]`);
  const out = new Float32Array((data.length / width) * classes);
  for (let item = 0; item * width < data.length; item++)
    out.set(scoresOfOne(probe, data.subarray(item * width, (item + 1) * width)), item * classes);
  return tensor(out, [...shape.slice(0, -1), classes], axes.length > 0 ? [...axes.slice(0, -1), "class"] : []);
}

/** softmax(score / temperature) of every vector: 0 … 1, axes as of `scoreWithProbe`. Of ridge and difference of means only with a temperature. */
export function probabilitiesWithProbe(probe: Probe, activations: Tensor<Float32Array>): Tensor<Float32Array> {
  if (!hasProbabilities(probe))
    throw new SextantError("request", `scores of ${probe.kind} are no log-probabilities: fit the probe with temperature: true`);
  const scores = scoreWithProbe(probe, activations);
  const classes = scores.shape.at(-1)!;
  for (let from = 0; from < scores.data.length; from += classes) {
    const row = scores.data.subarray(from, from + classes);
    const logs = Float64Array.from(row, (score) => score / (probe.temperature ?? 1));
    const total = logSumExp(logs);
    for (const [c, log] of logs.entries()) row[c] = Math.exp(log - total);
  }
  return scores;
}

/** Whether softmax of its scores means probabilities. */
export function hasProbabilities({ kind, temperature }: Pick<Probe, "kind" | "temperature">): boolean {
  return temperature !== undefined || (kind !== "ridge" && kind !== "difference_of_means");
}

/** Which way: towards a class; away from another one, where that is given. */
export interface DirectionChoice {
  /** The last class by default. */
  readonly toward?: number;
  readonly from?: number;
}

/**
 * The unit vector, axis `d_model`, along which the score of a class (or its lead over another) grows fastest. It is the direction by which
 * the probe reads, which need not be the one by which the model writes or reads: a correlated direction that the model ignores does as well.
 */
export function directionOf(probe: Probe, { toward, from }: DirectionChoice = {}): Tensor<Float32Array> {
  const target = rowOf(probe, toward ?? probe.weights.shape[0]! - 1, "toward");
  const other = from === undefined ? undefined : rowOf(probe, from, "from");
  const difference = Float64Array.from(target, (value, i) => value - (other?.[i] ?? 0));
  const length = Math.sqrt(dot(difference, difference));
  if (!(length > 0)) throw new SextantError("request", "the probe has no such direction: its weights are 0 there");
  return tensor(
    Float32Array.from(difference, (value) => value / length),
    [difference.length],
    ["d_model"],
  );
}

/** The scores of one vector, in float64. */
export function scoresOfOne({ weights, bias }: Probe, activation: Float32Array): Float64Array {
  const width = activation.length;
  return Float64Array.from(bias.data, (offset, c) => offset + dot(weights.data.subarray(c * width, (c + 1) * width), activation));
}

function rowOf({ weights }: Probe, index: number, name: string): Float32Array {
  const [classes = 0, width = 0] = weights.shape;
  if (!(Number.isInteger(index) && index >= 0 && index < classes))
    throw new SextantError("request", `${name} must be a class of 0 … ${classes - 1}, got ${index}`);
  return weights.data.subarray(index * width, (index + 1) * width);
}
