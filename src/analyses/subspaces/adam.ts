/** @file Adam (Kingma & Ba 2015, arXiv 1412.6980) on one array of numbers in float64: the step that it would take, which the caller takes. */

const DECAY_1 = 0.9;
const DECAY_2 = 0.999;
const EPSILON = 1e-8;

/** Gives what to take off for a gradient, at a learning rate of 1. */
export type Adam = (gradient: Float64Array) => Float64Array;

/** Adam for `count` numbers, with decays of 0.9 and 0.999. */
export function makeAdam(count: number): Adam {
  const [first, second] = [new Float64Array(count), new Float64Array(count)];
  let steps = 0;
  return (gradient) => {
    steps++;
    return gradient.map((slope, i) => {
      first[i] = DECAY_1 * first[i]! + (1 - DECAY_1) * slope;
      second[i] = DECAY_2 * second[i]! + (1 - DECAY_2) * slope * slope;
      const size = Math.sqrt(second[i]! / (1 - DECAY_2 ** steps));
      return first[i]! / (1 - DECAY_1 ** steps) / (size + EPSILON);
    });
  };
}
