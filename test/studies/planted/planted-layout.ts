/** @file Where the planted model keeps what: sizes, the blocks of its residual stream, the channels of its heads, and all strengths. */
import { TOKENS, VOCABULARY, idOf } from "../../../src/tasks/countdown/vocabulary.js";

/** The sizes that `config.json` states. */
export const SIZES = {
  vocab: VOCABULARY.length,
  dModel: 96,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  dHead: 16,
  dMlp: 64,
  context: 256,
  /** Rotary pair i turns by 10^(−3i/4) radians a token: four fast pairs tell distances apart, the slow ones hardly turn within the context. */
  ropeTheta: 1e6,
  normEps: 1e-6,
} as const;

/** Some coordinates of a space, in order. */
export type Block = readonly number[];

/** The digits, each with a coordinate of its own in `PREVIOUS`, `TARGET` and `DECOY`. */
export const DIGITS: readonly number[] = range(0, 10);

/** The blocks of the residual stream. They do not overlap and fill it. */
export const STREAM = {
  /** Which token stands here. */
  TOKEN: range(0, 38),
  /** `STRENGTH.one`, everywhere. */
  ONE: range(38, 1),
  /** Which digit the token before is. */
  PREVIOUS: range(39, 10),
  /** Whether the token before is ` target`, ` =`, `not`. */
  BEHIND_TARGET: range(49, 1),
  BEHIND_EQUALS: range(50, 1),
  BEHIND_NOT: range(51, 1),
  /** Which digit the target is. */
  TARGET: range(52, 10),
  /** Where the judgement's direction lies. */
  JUDGEMENT: range(62, 16),
  /** What the decoy head writes; nothing reads it. */
  DECOY: range(78, 10),
  /** What the decoy units write; nothing reads it. */
  SPARE: range(88, 8),
} as const satisfies Record<string, Block>;

/** The rotary pairs of a query or key: pair i is coordinates i and i + `dHead` / 2. */
export const PAIRS = { distance: [0, 1, 2, 3], target: 6, rest: 7 } as const;

/** Strengths. Nats are attention scores, differences of which are log odds. */
export const STRENGTH = {
  /** Much longer than the rest of the stream, so that norms divide by nearly the same everywhere. */
  one: 6,
  /** Each of the four distance pairs, at distance 1; the next best distances, 0 and 2, come to 14 nats less. */
  distanceNats: 30,
  /** A look at the target, and at the first token where there is no reason to look at the target. */
  targetNats: 30,
  restNats: 12,
  /** What an open gate is before its activation. */
  gate: 2,
  /** Along the judgement: what a valid unit and what the invalid unit adds, so that it is 2 where the attempt is right and −2 where it is wrong. */
  valid: 4,
  invalid: -2,
  /** From the judgement, and from a token to the one that follows it, to logits. */
  answer: 12,
  follow: 8,
} as const;

/** Deviations of the noise in weights, and by what it is scaled in the channels and units that do planted work. */
export const NOISE = {
  embed: 0.01,
  q: 0.005,
  k: 0.005,
  v: 0.01,
  o: 0.02,
  gate: 0.05,
  up: 0.05,
  down: 0.03,
  unembed: 0.01,
  norm: 0.01,
  quiet: 0.1,
} as const;

/** Squared length that the stream has where it is judged, at each norm, by which the norm's weight undoes the division. */
export const SQUARED_LENGTH = {
  "layers.0.input_layernorm": 37,
  "layers.0.post_attention_layernorm": 38,
  "layers.1.input_layernorm": 38,
  "layers.1.post_attention_layernorm": 40,
  "layers.2.input_layernorm": 44,
  "layers.2.post_attention_layernorm": 44,
  norm: 47,
} as const;

/** The tokens that are a digit: alone, and behind a space. */
export function digitTokens(digit: number): readonly number[] {
  return [idOf(String(digit)), idOf(` ${digit}`)];
}

/** The coordinate of a token in `STREAM.TOKEN`. */
export function tokenCoordinate(token: string): number {
  return STREAM.TOKEN[token === "<s>" ? TOKENS.bos : idOf(token)]!;
}

function range(start: number, count: number): Block {
  return Array.from({ length: count }, (_, i) => start + i);
}
