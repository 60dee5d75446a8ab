/** @file Where everything is kept: sizes, the subspaces of the residual stream, the channels of a head, and all strengths. */
import { CLASS_NAMES, CODE_LENGTH, VOCABULARY } from "./words.js";

/** The sizes that `config.json` states. */
export const SIZES = {
  vocab: VOCABULARY.length,
  dModel: 64,
  layers: 2,
  heads: 4,
  dHead: 32,
  dMlp: 16,
  context: 128,
  ropeTheta: 1e8,
  normEps: 1e-5,
} as const;

/** Some coordinates of a space, in order. */
export type Subspace = readonly number[];

/** The subspaces of the residual stream. They do not overlap and fill it. */
export const STREAM = {
  TOKEN: range(0, CODE_LENGTH),
  PREVIOUS: range(16, CODE_LENGTH),
  ANSWER: range(32, CODE_LENGTH),
  GRAMMAR: range(48, CLASS_NAMES.length),
  ONE: range(56, 1),
  FIRST: range(57, 1),
  SECOND: range(58, 1),
  FOUND: range(59, 1),
  NOTES: range(60, 4),
} as const satisfies Record<string, Subspace>;

/**
 * The channels of a query or key. Pair i is coordinates i and i + 16, and turns by 10^(-i/2) radians a token: four fast pairs
 * tell distances apart, pair 7 and the eight slow pairs hardly turn within the context.
 */
export const CHANNELS = {
  DISTANCE: [0, 1, 2, 3],
  REST: [7],
  CONTENT: [...range(8, 8), ...range(24, 8)],
} as const satisfies Record<string, Subspace>;

/** Radians a token by which rotary pair `i` turns. */
export function turn(pair: number): number {
  return Math.pow(SIZES.ropeTheta, (-2 * pair) / SIZES.dHead);
}

/** The value of a flag that is on (ONE, FIRST, SECOND): as long as a code. */
export const FLAG = Math.sqrt(CODE_LENGTH);

/** Strengths. `nats` are attention scores, differences of which are log odds. */
export const STRENGTH = {
  /** Each of the four distance pairs, at the distance that is looked for. */
  distanceNats: 20,
  /** A match of content. Other words get at most a quarter of it. */
  matchNats: 28,
  /** The induction head's resting place, halfway between a match and the best other word. */
  inductionRestNats: 17.5,
  /** The resting place of the heads that always rest. */
  restNats: 20,
  /** What a head without a part in induction may write. */
  note: 1 / 8,
  /** How far a neuron's gate is from zero, on either side. */
  gate: 10,
  /** From ANSWER to the logits. */
  answer: 0.75,
  /** From GRAMMAR to the logit of the first word of a class. */
  grammar: 3,
  /** By what part of that each further word of the class gets less, so that no two expected words tie. */
  rarer: 0.03,
  /** From ONE to the logit of `<bos>`, which is never the next word. */
  neverBos: -5,
} as const;

/** Squared length that the stream is made to have at each norm, by which the norm's weight undoes the division. */
export const SQUARED_LENGTH = {
  "layers.0.input_layernorm": 32,
  "layers.0.post_attention_layernorm": 48,
  "layers.1.input_layernorm": 49,
  "layers.1.post_attention_layernorm": 66,
  norm: 65,
} as const;

function range(start: number, count: number): Subspace {
  return Array.from({ length: count }, (_, i) => start + i);
}
