/** @file Adam (Kingma & Ba 2015, arXiv 1412.6980) on one array of numbers in float64: the step that it would take, which the caller takes. */

const EPSILON = 1e-8;

/** Gives what to take off for a gradient, at a learning rate of 1. */
export type Adam = (gradient: Float64Array) => Float64Array;

/** Adam for `count` numbers, with the decays of both means. */
export function makeAdam(count: number, [decay1, decay2]: readonly [number, number] = [0.9, 0.999]): Adam {
  const [first, second] = [new Float64Array(count), new Float64Array(count)];
  let steps = 0;
  return (gradient) => {
    steps++;
    return gradient.map((slope, i) => {
      first[i] = decay1 * first[i]! + (1 - decay1) * slope;
      second[i] = decay2 * second[i]! + (1 - decay2) * slope * slope;
      const size = Math.sqrt(second[i]! / (1 - decay2 ** steps));
      return first[i]! / (1 - decay1 ** steps) / (size + EPSILON);
    });
  };
}
