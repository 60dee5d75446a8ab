/**
 * @file The next token from logits. Filters in the order of `transformers`: repetition penalty, temperature, top-k, top-p, min-p;
 * then one draw from a generator of the row's own, so that a row samples the same alone and in a batch.
 */
import { SextantError } from "../base/errors.js";
import { seededRandom, type Random } from "../base/random.js";
import type { Sampling } from "./model.js";

/** Chooses a token from a row's logits; `seen` are the tokens of the row so far. */
export type Sampler = (logits: Float32Array, seen: readonly number[]) => number;

/** One sampler a row. */
export function samplersOf(sampling: Sampling | undefined, rows: number): Sampler[] {
  const settings = checked(sampling ?? {});
  if (settings.temperature === 0)
    return Array.from({ length: rows }, () => (logits, seen) => argmax(penalised(logits, seen, settings.repetitionPenalty)));
  return Array.from({ length: rows }, (_, row) => {
    const random = seededRandom(settings.seed, row);
    return (logits, seen) => draw(penalised(logits, seen, settings.repetitionPenalty), settings, random);
  });
}

type Settings = Required<Sampling>;

function checked(sampling: Sampling): Settings {
  const { topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seed = 0 } = sampling;
  const isGreedy = sampling.topK === undefined && sampling.topP === undefined && sampling.minP === undefined && sampling.seed === undefined;
  const temperature = sampling.temperature ?? (isGreedy ? 0 : 1);
  const demand = (name: string, value: number, accepts: boolean, what: string): void => {
    if (!accepts) throw new SextantError("request", `sampling: ${name} must be ${what}, got ${value}`);
  };
  demand("temperature", temperature, temperature >= 0 && Number.isFinite(temperature), "0 or more");
  demand("topK", topK, Number.isInteger(topK) && topK >= 0, "a whole number, 0 for all");
  demand("topP", topP, topP > 0 && topP <= 1, "above 0 and at most 1");
  demand("minP", minP, minP >= 0 && minP < 1, "0 or more and below 1");
  demand("repetitionPenalty", repetitionPenalty, repetitionPenalty > 0 && Number.isFinite(repetitionPenalty), "above 0");
  demand("seed", seed, Number.isInteger(seed), "a whole number");
  return { temperature, topK, topP, minP, repetitionPenalty, seed };
}

/** The index of the largest value; the first of equal ones. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index;
  return best;
}

/** Logits of tokens already seen, divided by the penalty where positive, multiplied where negative (Keskar et al. 2019). */
function penalised(logits: Float32Array, seen: readonly number[], penalty: number): Float32Array {
  if (penalty === 1) return logits;
  const changed = logits.slice();
  for (const token of new Set(seen)) changed[token] = logits[token]! > 0 ? logits[token]! / penalty : logits[token]! * penalty;
  return changed;
}

function draw(logits: Float32Array, { temperature, topK, topP, minP }: Settings, random: Random): number {
  let kept = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (topK > 0) kept = kept.slice(0, topK);
  const highest = logits[kept[0]!]!;
  const weights = kept.map((token) => Math.exp((logits[token]! - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const inNucleus = nucleusSize(weights, topP * total);
  const enough = weights.slice(0, inNucleus).filter((weight) => weight >= minP).length;
  return kept[pick(weights.slice(0, Math.max(enough, 1)), random())]!;
}

/** How many of the largest weights reach the share. */
function nucleusSize(weights: readonly number[], share: number): number {
  let sum = 0;
  for (let count = 0; count < weights.length; count++) {
    sum += weights[count]!;
    if (sum >= share) return count + 1;
  }
  return weights.length;
}

function pick(weights: readonly number[], point: number): number {
  let left = point * weights.reduce((sum, weight) => sum + weight, 0);
  for (let index = 0; index < weights.length; index++) {
    left -= weights[index]!;
    if (left < 0) return index;
  }
  return weights.length - 1;
}
