/**
 * @file Rotary position embedding. At position p the pair j of coordinates turns by the angle p · f_j; `rope_type` says where the
 * frequencies f come from. Everything is float64: `transformers` takes frequencies and angles in float32, which at position p
 * moves an angle by up to p · 6e-8 · f, far below its own rounding of the scores at the lengths tested here.
 */
import type { JsonObject } from "../../src/formats/json.js";
import { floats, type Floats } from "./arrays.js";
import { Config } from "./config.js";
import { clip } from "./activations.js";

/** The pairs' frequencies when the sequence is `length` long, and a factor on cos and sin. `dims` coordinates turn. */
export interface Rope {
  readonly dims: number;
  readonly pairs: "halves" | "neighbours";
  readonly factor: number;
  readonly frequencies: (length: number) => Float64Array;
}

/** What the formulas need: the dictionary of `config.json`, the width they divide by, θ, and the two lengths. */
interface RopeInput {
  readonly dict: Config;
  readonly n: number;
  readonly theta: number;
  readonly M: number;
  readonly original: number;
}

/** What a family adds to `config.json`: the defaults of θ and of the longest sequence, and whether a part of the head turns. */
export interface RopeDefaults {
  readonly D: number;
  readonly theta?: number;
  readonly maxPositions: number;
  /** The default share of the head; absent in families that turn whole heads. */
  readonly partial?: number;
  readonly original?: number;
  /** The dictionary, where it is not `rope_scaling` or `rope_parameters`. */
  readonly dict?: JsonObject;
}

/** The rotary embedding of a configuration: `rope_scaling` of older files, `rope_parameters` of newer ones. */
export function ropeOf(c: Config, { D, theta = 10000, maxPositions, partial, ...rest }: RopeDefaults): Rope {
  const dict = new Config(rest.dict ?? c.object("rope_scaling") ?? c.object("rope_parameters") ?? {});
  const type = dict.text("rope_type", dict.text("type", "default"));
  const share = dict.number("partial_rotary_factor", c.number("partial_rotary_factor", partial ?? 1));
  const n = partial === undefined ? D : Math.trunc(D * share);
  const M = c.number("max_position_embeddings", maxPositions);
  const original = c.number("original_max_position_embeddings", rest.original ?? dict.number("original_max_position_embeddings", M));
  const input = { dict, n, theta: dict.number("rope_theta", c.number("rope_theta", theta)), M, original };
  const make = type === "proportional" ? () => proportional(input, share) : TYPES[type];
  if (!make) throw new Error(`no rope_type ${type}`);
  return { dims: 2 * Math.ceil(n / 2), pairs: "halves", ...make(input) };
}

type Table = Pick<Rope, "factor" | "frequencies">;

const TYPES: Record<string, (input: RopeInput) => Table> = {
  default: ({ theta, n }) => fixed(powers(theta, n)),
  linear: ({ theta, n, dict }) => fixed(powers(theta, n).map((f) => f / dict.number("factor"))),
  dynamic,
  yarn,
  longrope,
  llama3,
};

/** The plain rotary embedding of the first `dims` coordinates, by neighbouring pairs (GPT-J). */
export function neighbourRope(dims: number): Rope {
  return { dims, pairs: "neighbours", ...fixed(powers(10000, dims)) };
}

/** `x [T, H, D]` with its pairs turned; `lengths[t]` is the length whose table position t takes. */
export function turn(x: Floats, rope: Rope, lengths: readonly number[]): Floats {
  const [T = 0, H = 0, D = 0] = x.shape;
  const out = floats(x.shape, x.data.slice());
  for (let t = 0; t < T; t++) {
    const angles = rope.frequencies(lengths[t]!).map((f) => t * f);
    for (let h = 0; h < H; h++) turnPairs(out.data.subarray((t * H + h) * D, (t * H + h + 1) * D), angles, rope);
  }
  return out;
}

/** (a, b) → (a cos − b sin, b cos + a sin), in place. */
function turnPairs(head: Float64Array, angles: Float64Array, { dims, pairs, factor }: Rope): void {
  for (let j = 0; j < dims / 2; j++) {
    const [first, second] = pairs === "halves" ? [j, j + dims / 2] : [2 * j, 2 * j + 1];
    const [cos, sin] = [factor * Math.cos(angles[j]!), factor * Math.sin(angles[j]!)];
    const [a, b] = [head[first]!, head[second]!];
    head[first] = a * cos - b * sin;
    head[second] = b * cos + a * sin;
  }
}

/** θ^(−2j/n) for j = 0 … n/2 − 1. */
function powers(theta: number, n: number): Float64Array {
  return Float64Array.from({ length: Math.ceil(n / 2) }, (_, j) => theta ** ((-2 * j) / n));
}

function fixed(frequencies: Float64Array, factor = 1): Table {
  return { factor, frequencies: () => frequencies };
}

/** The first pairs turn with the powers of the whole head, the others stand still. */
function proportional({ theta, n, dict }: RopeInput, share: number): Table {
  const turning = Math.floor(Math.floor(share * n) / 2);
  return fixed(powers(theta, n).map((f, j) => (j < turning ? f / dict.number("factor", 1) : 0)));
}

/** θ grows with the length beyond M: θ · (factor · length / M − (factor − 1))^(n / (n − 2)). */
function dynamic({ theta, n, M, dict }: RopeInput): Table {
  const factor = dict.number("factor");
  const grown = (length: number): number => theta * ((factor * Math.max(length, M)) / M - (factor - 1)) ** (n / (n - 2));
  return { factor: 1, frequencies: (length) => powers(grown(length), n) };
}

/** Slow pairs are interpolated, fast ones kept, with a ramp in between (arXiv:2309.00071). */
function yarn({ theta, n, M, original, dict }: RopeInput): Table {
  const factor = dict.optional("factor") ?? M / original;
  const pairAt = (turns: number): number => (n * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const edges = [pairAt(dict.number("beta_fast", 32) || 32), pairAt(dict.number("beta_slow", 1) || 1)] as const;
  const [from, to] = dict.flag("truncate", true) ? [Math.floor(edges[0]), Math.ceil(edges[1])] : edges;
  const [low, high] = [Math.max(from, 0), Math.min(to, n - 1)];
  const ramp = (j: number): number => clip((j - low) / (high === low ? 0.001 : high - low), 0, 1);
  const frequencies = powers(theta, n).map((f, j) => (f / factor) * ramp(j) + f * (1 - ramp(j)));
  return fixed(frequencies, dict.optional("attention_factor") ?? yarnFactor(dict, factor));
}

function yarnFactor(dict: Config, factor: number): number {
  const grow = (by: number): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const [one, all] = [dict.optional("mscale"), dict.optional("mscale_all_dim")];
  return one && all ? grow(one) / grow(all) : grow(1);
}

/** Each pair divided by its own factor, from one list up to `original` positions and from another beyond (arXiv:2402.13753). */
function longrope({ theta, n, M, original, dict }: RopeInput): Table {
  const factor = dict.optional("factor") ?? M / original;
  const growth = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const divided = (list: string): Float64Array => powers(theta, n).map((f, j) => f / (dict.list(list)![j] as number));
  const [short, long] = [divided("short_factor"), divided("long_factor")];
  return { factor: dict.optional("attention_factor") ?? growth, frequencies: (length) => (length > original ? long : short) };
}

/** Wavelengths beyond original / low are stretched by `factor`, those below original / high kept, smoothly in between. */
function llama3({ theta, n, original, dict }: RopeInput): Table {
  const [factor, low, high] = [dict.number("factor"), dict.number("low_freq_factor"), dict.number("high_freq_factor")];
  const stretch = (f: number): number => {
    const turns = (original * f) / (2 * Math.PI);
    if (turns < low) return f / factor;
    if (turns > high) return f;
    const kept = (turns - low) / (high - low);
    return (1 - kept) * (f / factor) + kept * f;
  };
  return fixed(powers(theta, n).map(stretch));
}
