/** @file Why a run came out with values that are not numbers: looks for them in the checkpoint and names the tensor. */
import { SextantError } from "../base/errors.js";
import type { TensorData } from "../base/tensor.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { weightsOf } from "../models/check-weights.js";
import type { ModelSpec } from "../models/spec.js";
import type { Pass } from "./pass.js";

/** Whether all values are finite. */
export function areFinite(data: TensorData): boolean {
  let total = 0;
  for (let i = 0; i < data.length; i++) total += Math.abs(data[i]!);
  return Number.isFinite(total);
}

/** Whether the values of all real tokens are finite; padding does not count. */
export function isFinite32(data: TensorData, { rows, width }: Pass): boolean {
  const perToken = data.length / (rows.length * width);
  return rows.every((tokens, row) => {
    const start = row * width * perToken;
    return areFinite(data.subarray(start, start + tokens.length * perToken));
  });
}

/** For each tensor that the model computes with, one after another: the error for what it holds, or undefined where all of it are numbers. */
export function* brokenWeights(checkpoint: Checkpoint, spec: ModelSpec): Generator<SextantError | undefined> {
  for (const name of new Set(weightsOf(spec).map((weight) => weight.name))) {
    const values = checkpoint.readFloat32(name);
    const index = areFinite(values) ? -1 : values.findIndex((value) => !Number.isFinite(value));
    const what = `tensor ${name} holds ${values[index]} at element ${index} (${checkpoint.stored(name).file})`;
    yield index === -1 ? undefined : new SextantError("weights", `the weights cannot be computed with: ${what}`);
  }
}

/** The error for a stream that holds NaN or infinity: the first tensor of the checkpoint that does, or the edits, or overflow. */
export function explainNonFinite(checkpoint: Checkpoint, spec: ModelSpec, { hasEdits }: { hasEdits: boolean }): SextantError {
  for (const broken of brokenWeights(checkpoint, spec)) if (broken) return broken;
  const what = "the run came out with values that are not finite, though the weights are";
  if (hasEdits) return new SextantError("request", `${what}: an edit is too strong`);
  return new SextantError("weights", `${what}: they overflow float32`);
}
