/** @file Losses and gradients of several micro-batches as those of one batch: each weighs what it has tokens that count. */
import { SextantError } from "../base/errors.js";
import { mean } from "../base/statistics.js";
import { quote } from "../formats/json.js";
import type { StepResult } from "./step-types.js";

/** What micro-batches gave together. */
export interface Accumulated {
  /** Mean loss of all tokens that count; NaN where none does. */
  readonly loss: number;
  readonly count: number;
  /** Times `share`, the gradients of that loss. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly share: number;
  /** The mean of the micro-batches' rewards, where they have some. */
  readonly reward?: number;
}

/** Sums over the micro-batches of a step; its memory is used again for the next. */
export class Accumulator {
  readonly #sums = new Map<string, Float32Array>();
  /** The gradients themselves where there is a single micro-batch. */
  #only: ReadonlyMap<string, Float32Array> | undefined;
  #loss = 0;
  #count = 0;
  #rewards: number[] = [];

  clear(): void {
    this.#only = undefined;
    this.#loss = 0;
    this.#count = 0;
    this.#rewards = [];
    for (const sum of this.#sums.values()) sum.fill(0);
  }

  /** Adds a result; one that is not `summed` must be the only one, and its gradients are used where they are. */
  add({ loss, count, gradients, reward }: StepResult, summed: boolean): void {
    if (reward !== undefined) this.#rewards.push(reward);
    if (count > 0) this.#loss += loss * count;
    this.#count += count;
    if (!summed) this.#only = gradients;
    else if (count > 0) for (const [name, gradient] of gradients) addTo(this.#sumOf(name, gradient.length), gradient, count);
  }

  mean(): Accumulated {
    const [count, loss] = [this.#count, this.#loss / this.#count];
    const reward = this.#rewards.length > 0 && { reward: mean(this.#rewards) };
    if (this.#only) return { loss, count, gradients: this.#only, share: 1, ...reward };
    return { loss, count, gradients: this.#sums, share: 1 / count, ...reward };
  }

  #sumOf(name: string, length: number): Float32Array {
    const sum = this.#sums.get(name) ?? new Float32Array(length);
    this.#sums.set(name, sum);
    if (sum.length === length) return sum;
    throw new SextantError(
      "request",
      `the gradient of ${quote(name)} had ${sum.length} elements in one micro-batch and ${length} in another`,
    );
  }
}

function addTo(sum: Float32Array, gradient: Float32Array, weight: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + gradient[i]! * weight;
}
