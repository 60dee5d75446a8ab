/**
 * @file The next token from logits. Filters in the order of `transformers`: repetition penalty, temperature, top-k, top-p, min-p;
 * then one draw from a generator of the row's own, which depends on seed and prompt only, so that a row samples the same alone and
 * in a batch.
 */
import { SextantError } from "../base/errors.js";
import { seededRandom, type Random } from "../base/random.js";
import type { Sampling } from "./model.js";

/** Chooses a token from a row's logits; `seen` are the tokens of the row so far. */
export type Sampler = (logits: Float32Array, seen: readonly number[]) => number;

/** One sampler a prompt. Equal prompts have different generators: the first, the second, and so on. */
export function samplersOf(sampling: Sampling | undefined, prompts: readonly (readonly number[])[]): Sampler[] {
  const settings = checked(sampling ?? {});
  if (settings.temperature === 0) return prompts.map(() => (logits, seen) => argmax(penalised(logits, seen, settings.repetitionPenalty)));
  const met = new Map<string, number>();
  return prompts.map((prompt) => {
    const key = prompt.join();
    const before = met.get(key) ?? 0;
    met.set(key, before + 1);
    const random = seededRandom(settings.seed, hashOf(prompt) + before);
    return (logits, seen) => draw(penalised(logits, seen, settings.repetitionPenalty), settings, random);
  });
}

/** FNV-1a of the tokens, 32 bits. */
function hashOf(tokens: readonly number[]): number {
  return tokens.reduce((hash, token) => Math.imul(hash ^ token, 0x01000193), 0x811c9dc5 | 0);
}

type Settings = Required<Sampling>;

const DEFAULTS: Settings = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };

/** What each setting must be, and whether a value is that. */
const DEMANDS: { readonly [K in keyof Settings]: readonly [what: string, accepts: (value: number) => boolean] } = {
  temperature: ["0 or more", (value) => value >= 0 && Number.isFinite(value)],
  topK: ["a whole number, 0 for all", (value) => Number.isInteger(value) && value >= 0],
  topP: ["above 0 and at most 1", (value) => value > 0 && value <= 1],
  minP: ["0 or more and below 1", (value) => value >= 0 && value < 1],
  repetitionPenalty: ["above 0", (value) => value > 0 && Number.isFinite(value)],
  seed: ["a whole number", Number.isInteger],
};

/** The settings with their defaults: greedy unless one that needs a draw is given. */
function checked(sampling: Sampling): Settings {
  const stated = Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined)) as Sampling;
  const draws = (["topK", "topP", "minP", "seed"] as const).some((name) => stated[name] !== undefined);
  const settings = { ...DEFAULTS, temperature: draws ? 1 : 0, ...stated };
  for (const [name, [what, accepts]] of Object.entries(DEMANDS)) {
    const value = settings[name as keyof Settings];
    if (!accepts(value)) throw new SextantError("request", `sampling: ${name} must be ${what}, got ${value}`);
  }
  return settings;
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
