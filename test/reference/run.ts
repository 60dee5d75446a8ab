/**
 * @file One row on its way through a model. `see` is the only door to the outside: a family hands each point to it and goes on
 * with what it gets back, so whatever can be read can be edited.
 */
import type { Floats } from "./arrays.js";
import type { Config } from "./config.js";
import { applyEdit, type Edit, type Vectors } from "./edits.js";
import type { Weights } from "./weights.js";

/** A block, or the model around the blocks: where points are seen and weights are found. */
export interface Scope {
  /** Applies the point's edits, records the result, and returns it. */
  see(point: string, x: Floats): Floats;
  weight(name: string): Floats;
}

/** What one row's forward pass knows. */
export interface Run extends Scope {
  readonly config: Config;
  readonly tokens: readonly number[];
  /**
   * For each position, how long the sequence was when its key was turned. All T in one forward pass; in decoding with a cache
   * a position keeps the table of its own time, which `dynamic` and `longrope` rotary can tell apart.
   */
  readonly lengths: readonly number[];
  readonly has: (name: string) => boolean;
  /** The scope of block `layer`, whose weights are named `prefix.layer.…`. */
  block(layer: number, prefix: string): Scope;
}

/** What a row's run is made of. */
export interface RunParts {
  readonly config: Config;
  readonly weights: Weights;
  readonly tokens: readonly number[];
  readonly lengths: readonly number[];
  readonly row: number;
  readonly edits: readonly Edit[];
  readonly vectors: Vectors;
  readonly record: (address: string, x: Floats) => void;
}

/** The run of one row. */
export function startRun(parts: RunParts): Run {
  const { config, weights, tokens, lengths } = parts;
  const weight = (name: string): Floats => weights.get(name);
  const see = (address: string, x: Floats): Floats => {
    const out = editAt(address, x, parts);
    parts.record(address, out);
    return out;
  };
  const block = (layer: number, prefix: string): Scope => ({
    see: (point, x) => see(`${point}.${layer}`, x),
    weight: (name) => weight(`${prefix}.${layer}.${name}`),
  });
  return { config, tokens, lengths, weight, see, block, has: (name) => weights.has(name) };
}

function editAt(address: string, x: Floats, { edits, row, vectors }: RunParts): Floats {
  const here = edits.filter((edit) => edit.at === address && (edit.rows?.includes(row) ?? true));
  return here.reduce((value, edit) => applyEdit(value, edit, { row, vectors }), x);
}
