/** @file The learning rate of each step: a linear warm-up, then the shape of a decay, never below a floor. */
import { SextantError } from "../base/errors.js";

/** How the learning rate goes after the warm-up. */
export type Decay = "constant" | "linear" | "cosine";

/** A course of learning rates as plain data. */
export interface Schedule {
  /** The highest learning rate. */
  readonly peak: number;
  /** Steps on which it rises in equal parts, the last of which has the peak. Default 0. */
  readonly warmUp?: number;
  /** Default `cosine`: half a wave, as of Loshchilov & Hutter (2017), without restarts. */
  readonly decay?: Decay;
  /** Steps until the decay ends, the warm-up included; afterwards the floor. Not used where it is constant. */
  readonly steps: number;
  /** The learning rate at the end, as a share of the peak. Default 0. */
  readonly floor?: number;
}

/** Share of the way from floor to peak after a share of the decay. */
const SHAPES: { readonly [D in Decay]: (done: number) => number } = {
  constant: () => 1,
  linear: (done) => 1 - done,
  cosine: (done) => (1 + Math.cos(Math.PI * done)) / 2,
};

/** The learning rate of a step, counted from 0. */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { peak, warmUp = 0, decay = "cosine", steps, floor = 0 } = schedule;
  if (step < warmUp) return (peak * (step + 1)) / warmUp;
  const done = Math.min(1, (step - warmUp) / Math.max(1, steps - warmUp));
  return peak * (floor + (1 - floor) * SHAPES[decay](done));
}

/** Throws unless every step has a learning rate. */
export function checkSchedule({ peak, warmUp = 0, decay = "cosine", steps, floor = 0 }: Schedule): void {
  const demands: readonly [name: string, value: unknown, holds: boolean, demand: string][] = [
    ["peak", peak, peak > 0 && peak < Infinity, "a number above 0"],
    ["decay", decay, Object.hasOwn(SHAPES, decay), `one of ${Object.keys(SHAPES).join(", ")}`],
    ["steps", steps, isCount(steps) && steps > 0, "a whole number above 0"],
    ["warmUp", warmUp, isCount(warmUp) && warmUp <= steps, `a whole number from 0 to ${steps}`],
    ["floor", floor, floor >= 0 && floor <= 1, "a share of the peak, 0 to 1"],
  ];
  for (const [name, value, holds, demand] of demands)
    if (!holds) throw new SextantError("request", `schedule: ${name} must be ${demand}, got ${String(value)}`);
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0;
}
