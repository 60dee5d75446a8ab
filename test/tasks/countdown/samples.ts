/** @file Settings and samples that tests of CountDown share. */
import { seededRandom } from "../../../src/base/random.js";
import { makeSample, type Sample, type TraceOptions } from "../../../src/tasks/countdown/trace.js";

/** Tasks of 3 or 4 small numbers. */
export const RECIPE: TraceOptions = { counts: [3, 4], operators: ["+", "-", "*", "/"], largestNumber: 12, largestTarget: 99, mostWrong: 5 };

export function samples(count: number, options: TraceOptions = RECIPE, seed = 5): Sample[] {
  return Array.from({ length: count }, (_, index) => makeSample(seededRandom(seed, index), options));
}
