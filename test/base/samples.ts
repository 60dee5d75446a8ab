/** @file What tests of statistics share: random data with known laws, and refusals in words. */
import fc from "fast-check";
import type { Random } from "../../src/base/random.js";
import { thrownBy } from "../formats/folder.js";

/** Independent normal values with mean 0 and deviation 1 (Box & Muller). */
export function normals(random: Random, count: number): Float64Array {
  return Float64Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** Series of numbers, with ties and without −0. */
export function seriesOf(minLength: number, maxLength: number): fc.Arbitrary<number[]> {
  const value = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ min: -1e6, max: 1e6, noNaN: true }));
  return fc.array(
    value.map((number) => number + 0),
    { minLength, maxLength },
  );
}

/** Kind and message of the error that an action ends with. */
export function refusalOf(action: () => unknown): string {
  const { kind, message } = thrownBy(action);
  return `${kind}: ${message}`;
}
