/**
 * @file AdamW (Loshchilov & Hutter 2019, algorithm 2): Adam's moments with bias correction, and weight decay beside the gradient, not in it. The
 * arithmetic is float64, the moments are kept in float32, so that what a checkpoint holds is all that there is.
 */
import { must, SextantError } from "../base/errors.js";
import { quote } from "../formats/json.js";
import type { Parameter, Parameters } from "./step-types.js";

/** How AdamW moves: plain data. The learning rate comes with each update. */
export interface AdamWOptions {
  /** Share of the old mean of gradients that is kept. Default 0.9. */
  readonly beta1?: number;
  /** Share of the old mean of squared gradients that is kept. Default 0.999. */
  readonly beta2?: number;
  /** Added to the root of the mean square. Default 1e-8. */
  readonly epsilon?: number;
  /** λ: each update takes `learning rate · λ` of a parameter away. Default 0.01. */
  readonly weightDecay?: number;
  /** What decays. `matrices`, the default: nothing with a single axis, which norms and biases are. */
  readonly decays?: "matrices" | "all";
}

/** Running means of a parameter's gradients and of their squares, in its own layout. */
export interface Moments {
  readonly m: Float32Array;
  readonly v: Float32Array;
}

/** What an update is made with. */
export interface UpdateOptions {
  readonly learningRate: number;
  /** What gradients are multiplied with before use, such as a clipping. Default 1. */
  readonly scale?: number;
}

/** An optimiser with its state. */
export interface AdamW {
  /** All settings, defaults filled in. */
  readonly options: Required<AdamWOptions>;
  /** By parameter; changed in place. */
  readonly moments: ReadonlyMap<string, Moments>;
  /** Updates that were made. To be set where moments were read from a file. */
  updates: number;
  /** Changes the parameters in place. A parameter without a gradient stays as it is, with its moments. */
  update(gradients: ReadonlyMap<string, Float32Array>, options: UpdateOptions): void;
}

/** An optimiser of the parameters, at rest: moments of 0. A tensor that is used twice has one name, and so one update. */
export function makeAdamW(parameters: Parameters, options: AdamWOptions = {}): AdamW {
  const all = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, decays: "matrices" as const, ...options };
  checkOptions(all);
  const zeros = ({ data }: Parameter): Moments => ({ m: new Float32Array(data.length), v: new Float32Array(data.length) });
  const moments = new Map([...parameters].map(([name, parameter]) => [name, zeros(parameter)]));
  const optimiser: AdamW = {
    options: all,
    moments,
    updates: 0,
    update(gradients, { learningRate, scale = 1 }) {
      checkGradients(gradients, parameters);
      optimiser.updates++;
      const factors = factorsOf(all, optimiser.updates, { learningRate, scale });
      for (const [name, gradient] of gradients) {
        const { data, shape } = must(parameters.get(name), `parameter ${quote(name)}`);
        const decays = all.decays === "all" || shape.length > 1;
        move(data, gradient, must(moments.get(name), `moments of ${quote(name)}`), decays ? factors : { ...factors, keep: 1 });
      }
    },
  };
  return optimiser;
}

/** What is the same for all elements of an update. */
interface Factors {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly scale: number;
  /** 1 − learning rate · λ. */
  readonly keep: number;
  /** Learning rate / (1 − β₁ᵗ). */
  readonly rate: number;
  /** 1 / √(1 − β₂ᵗ). */
  readonly root: number;
}

function factorsOf(options: Required<AdamWOptions>, t: number, { learningRate, scale }: Required<UpdateOptions>): Factors {
  const { beta1, beta2, epsilon, weightDecay } = options;
  return {
    beta1,
    beta2,
    epsilon,
    scale,
    keep: 1 - learningRate * weightDecay,
    rate: learningRate / (1 - beta1 ** t),
    root: 1 / Math.sqrt(1 - beta2 ** t),
  };
}

/** Two elements at a time, so that neither waits for the other's root and division: a quarter less time where the processor must check each access. */
function move(data: Float32Array, gradient: Float32Array, { m, v }: Moments, factors: Factors): void {
  const { beta1, beta2, epsilon, scale, keep, rate, root } = factors;
  const [new1, new2] = [1 - beta1, 1 - beta2];
  for (let i = 0; i < data.length; i += 2) {
    // The last of an odd number is its own neighbour: both come to the same.
    const j = i + 1 < data.length ? i + 1 : i;
    const g = gradient[i]! * scale;
    const h = gradient[j]! * scale;
    const meanI = m[i]! * beta1 + g * new1;
    const meanJ = m[j]! * beta1 + h * new1;
    const squareI = v[i]! * beta2 + g * g * new2;
    const squareJ = v[j]! * beta2 + h * h * new2;
    const movedI = data[i]! * keep - (rate * meanI) / (Math.sqrt(squareI) * root + epsilon);
    const movedJ = data[j]! * keep - (rate * meanJ) / (Math.sqrt(squareJ) * root + epsilon);
    m[i] = meanI;
    m[j] = meanJ;
    v[i] = squareI;
    v[j] = squareJ;
    data[i] = movedI;
    data[j] = movedJ;
  }
}

function checkOptions({ beta1, beta2, epsilon, weightDecay }: Required<AdamWOptions>): void {
  const demands: readonly [name: string, value: number, holds: boolean, demand: string][] = [
    ["beta1", beta1, beta1 >= 0 && beta1 < 1, "0 or more and below 1"],
    ["beta2", beta2, beta2 >= 0 && beta2 < 1, "0 or more and below 1"],
    ["epsilon", epsilon, epsilon > 0 && epsilon < Infinity, "above 0"],
    ["weightDecay", weightDecay, weightDecay >= 0 && weightDecay < Infinity, "0 or more"],
  ];
  for (const [name, value, holds, demand] of demands)
    if (!holds) throw new SextantError("request", `AdamW: ${name} must be ${demand}, got ${value}`);
}

function checkGradients(gradients: ReadonlyMap<string, Float32Array>, parameters: Parameters): void {
  for (const [name, { length }] of gradients) {
    const wanted = parameters.get(name)?.data.length;
    if (wanted === undefined) throw new SextantError("request", `AdamW: there is a gradient of ${quote(name)}, which is no parameter`);
    if (wanted !== length)
      throw new SextantError("request", `AdamW: the gradient of ${quote(name)} has ${length} elements, the parameter ${wanted}`);
  }
}
