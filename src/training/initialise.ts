/**
 * @file Random weights to begin from, as `transformers` begins GPT-2 (Radford et al. 2019, section 2.3): normal numbers, smaller where a
 * sublayer writes into the stream, so that the stream does not grow with depth; norms that do nothing; biases of 0.
 */
import { internal, refuse, SextantError } from "../base/errors.js";
import { seededRandom, type Random } from "../base/random.js";
import { sizeOf } from "../base/tensor.js";
import { quote } from "../formats/json.js";
import { weightsOf } from "../models/check-weights.js";
import type { ModelSpec, WeightRef } from "../models/spec.js";
import type { Parameter } from "./step-types.js";

export interface InitialOptions {
  /** A whole number. Each tensor has numbers of its own, which follow from this and its name. */
  readonly seed: number;
  /** Standard deviation of weights. Default 0.02. */
  readonly deviation?: number;
  /** Whether what writes into the stream is divided by √(2 · layers). Default true. */
  readonly scaleResidual?: boolean;
}

/** What a weight begins as: a constant, or normal numbers. */
type Beginning = { readonly constant: number } | { readonly deviation: number };

/** Initial values of every tensor that the spec needs, in the shape and under the name that the checkpoint has. */
export function initialise(spec: ModelSpec, options: InitialOptions): Map<string, Parameter> {
  const { seed, deviation = 0.02, scaleResidual = true } = options;
  checkOptions(seed, deviation);
  const inner = deviation / (scaleResidual ? Math.sqrt(2 * spec.layers.length) : 1);
  const tensors = new Map<string, Parameter & { readonly normal: Random }>();
  const filled = new Set<string>();
  for (const [ref, beginning] of beginningsOf(spec, { deviation, inner })) {
    const { name, shape, stored = shape, offset = 0 } = ref;
    const known = tensors.get(name) ?? { ...blank(stored), normal: normals(seededRandom(seed, hashOf(name))) };
    tensors.set(name, known);
    const piece = `${name} ${offset}`;
    if (!filled.has(piece)) fill(known.data.subarray(offset, offset + sizeOf(shape)), beginning, known.normal);
    filled.add(piece);
  }
  const stray = weightsOf(spec).find(({ name }) => !tensors.has(name));
  if (stray) throw internal(`initialise passed over ${quote(stray.name)}`);
  return new Map([...tensors].map(([name, { data, shape }]) => [name, { data, shape }]));
}

function checkOptions(seed: number, deviation: number): void {
  if (!Number.isInteger(seed)) throw new SextantError("request", `initialise: seed must be a whole number, got ${seed}`);
  if (!(deviation > 0 && deviation < Infinity))
    throw new SextantError("request", `initialise: deviation must be a number above 0, got ${deviation}`);
}

function blank(shape: readonly number[]): Parameter {
  return { data: new Float32Array(sizeOf(shape)), shape };
}

/** Each weight of the spec with its beginning, which the part of the spec that holds it decides. A tied one comes twice. */
function beginningsOf(spec: ModelSpec, sizes: { deviation: number; inner: number }): (readonly [WeightRef, Beginning])[] {
  const found: (readonly [WeightRef, Beginning])[] = [];
  const visit = (value: unknown, inherited: Beginning): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, part] of Object.entries(value)) {
      const beginning = beginningUnder(key, value, { inherited, inner: sizes.inner });
      if (!isWeight(part)) visit(part, beginning);
      else found.push([checked(part), beginning]);
    }
  };
  visit(spec, { deviation: sizes.deviation });
  return found;
}

/** `out` and `down` are the maps of sublayers that write into the stream; what has an ε is a norm. */
function beginningUnder(key: string, holder: object, { inherited, inner }: { inherited: Beginning; inner: number }): Beginning {
  if (key === "bias") return { constant: 0 };
  if (key === "weight" && "eps" in holder) return { constant: "plusOne" in holder && holder.plusOne === true ? 0 : 1 };
  return key === "out" || key === "down" ? { deviation: inner } : inherited;
}

function isWeight(value: unknown): value is WeightRef {
  return typeof value === "object" && value !== null && "name" in value && "shape" in value;
}

function checked(ref: WeightRef): WeightRef {
  if (ref.holds !== "bytes") return ref;
  const why = "it holds four-bit numbers, which cannot be trained";
  throw refuse({ what: `cannot initialise ${quote(ref.name)}`, why, instead: "begin from a configuration without quantization_config" });
}

function fill(values: Float32Array, beginning: Beginning, normal: Random): void {
  if ("constant" in beginning) values.fill(beginning.constant);
  else for (let i = 0; i < values.length; i++) values[i] = normal() * beginning.deviation;
}

/** Numbers of mean 0 and deviation 1 (Marsaglia's polar method). */
function normals(random: Random): Random {
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const [x, y] = [2 * random() - 1, 2 * random() - 1];
      const square = x * x + y * y;
      if (square === 0 || square >= 1) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      spare = y * factor;
      return x * factor;
    }
  };
}

/** FNV-1a over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
