/**
 * @file What is planted in the model of `planted-model.ts`, and so what a study of it must find. The model is built from these tables, so that they cannot differ
 * from it. They hold whatever the seed of its noise.
 */
import { normalNumbers } from "../../../src/base/draws.js";
import { seededRandom } from "../../../src/base/random.js";
import { SIZES, STREAM } from "./planted-layout.js";

export interface PlantedHead {
  readonly layer: number;
  readonly head: number;
}

export interface PlantedUnit {
  readonly layer: number;
  readonly unit: number;
}

export interface PlantedTruth {
  /** The unit direction, axis `d_model`, along which the stream at ` (` is positive exactly where the attempt is right. */
  readonly direction: Float32Array;
  /** Layers at whose output the judgement can be read at ` (`, and those at whose output it cannot. At no other token can it be read anywhere. */
  readonly readable: readonly number[];
  readonly unreadable: readonly number[];
  /** The units that write along the direction, one a digit: open where the result is that digit, and writing where the target is, too. */
  readonly validUnits: readonly (PlantedUnit & { readonly digit: number })[];
  /** The unit that writes against the direction at each ` (`. */
  readonly invalidUnit: PlantedUnit;
  /** Units that are as active at each ` (`, and write what nothing reads. */
  readonly decoyUnits: readonly PlantedUnit[];
  /** The heads that fetch the target from the prompt, each for its own digits. They look at it from the result's digit and from ` (`. */
  readonly verificationHeads: readonly (PlantedHead & { readonly digits: readonly number[] })[];
  /** The head that looks at the target as well, and writes what nothing reads. */
  readonly decoyHead: PlantedHead;
  /** The head that brings each token what the token before it is: at ` (`, the result. */
  readonly previousTokenHead: PlantedHead;
}

/** Places of the valid units by digit, scattered so that no order gives them away. */
const VALID_UNITS = [41, 7, 58, 23, 12, 50, 3, 34, 61, 18] as const;

export const plantedTruth: PlantedTruth = {
  direction: judgementDirection(),
  readable: [1, 2],
  unreadable: [0],
  validUnits: VALID_UNITS.map((unit, digit) => ({ layer: 1, unit, digit })),
  invalidUnit: { layer: 1, unit: 29 },
  decoyUnits: [5, 26, 47].map((unit) => ({ layer: 2, unit })),
  verificationHeads: [
    { layer: 1, head: 0, digits: [0, 1, 2, 3] },
    { layer: 1, head: 1, digits: [4, 5, 6] },
    { layer: 1, head: 2, digits: [7, 8, 9] },
  ],
  decoyHead: { layer: 1, head: 3 },
  previousTokenHead: { layer: 0, head: 0 },
};

/** A random direction within its block. */
function judgementDirection(): Float32Array {
  const values = normalNumbers(STREAM.JUDGEMENT.length, seededRandom(20));
  const length = Math.hypot(...values);
  const direction = new Float32Array(SIZES.dModel);
  STREAM.JUDGEMENT.forEach((coordinate, i) => (direction[coordinate] = values[i]! / length));
  return direction;
}
