/** @file Steps along the probe's direction, and along random directions of the same length. */
import { normalNumbers } from "../../base/draws.js";
import type { Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";
import type { Edit } from "../../runtime/edit.js";
import type { StepContext } from "../study.js";
import type { SelfVerificationParameters } from "./parameters.js";
import { classVector } from "./probe-vectors.js";
import type { ProbeState, SearchesState, StepState } from "./state.js";

type Context = StepContext<SelfVerificationParameters>;

/** For each layer: the direction from `not` to `this` as long as the stream's mean there, and placebos of the same length. */
export interface Directions {
  readonly layers: readonly number[];
  readonly real: readonly Float32Array[];
  readonly placebos: readonly (readonly Float32Array[])[];
}

/** The directions of a run. */
export function directions({ parameters: { steer }, random }: Context, probe: Tensor, { norms }: ProbeState): Directions {
  const { layers, placebos } = steer;
  const scaled = (vector: ArrayLike<number>, length: number): Float32Array => {
    const own = Math.sqrt(dot(vector, vector));
    return Float32Array.from(vector, (value) => (value / own) * length);
  };
  const real = layers.map((layer) => scaled(classVector(probe, layer, 1), norms[layer]!));
  const draw = random("placebos");
  return {
    layers,
    real,
    placebos: Array.from({ length: placebos }, () =>
      real.map((vector, i) => scaled(normalNumbers(vector.length, draw), norms[layers[i]!]!)),
    ),
  };
}

/** What is steered, where, along what. */
export interface Work {
  readonly context: Context;
  readonly searches: SearchesState;
  readonly vectors: Directions;
  readonly cases: readonly StepState[];
}

/** A step along one vector a layer, at each row's last position. */
export function editsAlong(layers: readonly number[], vectors: readonly Float32Array[], strength: number): Edit[] {
  return layers.map((layer, i) => ({ at: `resid_post.${layer}`, op: "add", vector: Array.from(vectors[i]!), strength, positions: [-1] }));
}
