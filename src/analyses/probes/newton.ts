/**
 * @file The least value of a smooth, strictly convex function, by Newton's method with conjugate gradients for its steps and a line
 * search that halves (Nocedal & Wright 2006, Numerical Optimization, chapter 7.1). Deterministic; it ends at a point whose gradient is
 * 1e-9 of that at the start, or it throws.
 */
import { refuse } from "../../base/errors.js";
import { addTo, dot } from "../../base/vectors.js";

const MOST_STEPS = 200;
const MOST_PRODUCTS = 2000;
const TOLERANCE = 1e-9;

/** A function around one point. */
export interface Surroundings {
  readonly value: number;
  readonly gradient: Float64Array;
  /** The Hessian times a vector. */
  readonly curve: (direction: Float64Array) => Float64Array;
}

/** The point at which the function is least, coming from `start`. */
export function minimise(at: (point: Float64Array) => Surroundings, start: Float64Array): Float64Array {
  let point = start;
  let here = at(point);
  // An element's gradient of 1e-13 is rounding where features have deviation 1.
  const enough = Math.max(TOLERANCE * lengthOf(here.gradient), 1e-13 * Math.sqrt(start.length));
  for (let step = 0; step < MOST_STEPS; step++) {
    if (lengthOf(here.gradient) <= enough) return point;
    const direction = newtonStep(here);
    const next = search(at, { point, here, direction });
    if (!next) return point;
    [point, here] = [next.point, next.here];
  }
  const why = `the gradient is still ${lengthOf(here.gradient)} after ${MOST_STEPS} steps`;
  throw refuse({ what: "the fit did not converge", why, instead: "standardise, or make l2 larger" }, "request");
}

/** An approximate solution of Hessian · step = −gradient. */
function newtonStep({ gradient, curve }: Surroundings): Float64Array {
  const step = new Float64Array(gradient.length);
  const rest = gradient.map((value) => -value);
  const size = lengthOf(gradient);
  const enough = Math.min(0.1, Math.sqrt(size)) * size;
  let direction = Float64Array.from(rest);
  let square = dot(rest, rest);
  for (let product = 0; product < MOST_PRODUCTS && Math.sqrt(square) > enough; product++) {
    const curved = curve(direction);
    const along = dot(direction, curved);
    if (!(along > 0)) break;
    addTo(step, square / along, direction);
    addTo(rest, -square / along, curved);
    const next = dot(rest, rest);
    direction = direction.map((value, i) => rest[i]! + (next / square) * value);
    square = next;
  }
  return dot(step, step) > 0 ? step : rest;
}

interface Position {
  readonly point: Float64Array;
  readonly here: Surroundings;
}

/** The first point on the way, halving, that is lower in proportion to the slope; undefined where rounding hides any descent. */
function search(at: (point: Float64Array) => Surroundings, from: Position & { readonly direction: Float64Array }): Position | undefined {
  const slope = dot(from.here.gradient, from.direction);
  const rounding = 1e-13 * (1 + Math.abs(from.here.value));
  for (let share = 1; share > 1e-10; share /= 2) {
    const point = Float64Array.from(from.point);
    addTo(point, share, from.direction);
    const here = at(point);
    if (here.value <= from.here.value + 1e-4 * share * slope + rounding) return { point, here };
  }
  return undefined;
}

function lengthOf(x: Float64Array): number {
  return Math.sqrt(dot(x, x));
}
