/** @file A golden folder: what `transformers` gave for one checkpoint, sorted into the runs that it records. */
import { join } from "node:path";
import { readJsonObject } from "../../src/formats/json-file.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import type { Compared } from "./compare.js";
import type { Edit, Vectors } from "./edits.js";

/** One golden: its run, the same input edited, a short row, and a greedy continuation. */
export interface Golden {
  readonly tokens: readonly (readonly number[])[];
  /** Addresses (and `logits`) of the run without edits. */
  readonly points: ReadonlyMap<string, Compared>;
  readonly edited: readonly { readonly name: string; readonly edits: readonly Edit[]; readonly logits: Compared }[];
  readonly vectors: Vectors;
  readonly short?: { readonly tokens: readonly (readonly number[])[]; readonly logits: Compared };
  /** `[batch, step]` and `[batch, step, vocab]`. */
  readonly generated?: { readonly tokens: readonly (readonly number[])[]; readonly logits: Compared };
}

const POINT = /^(?:[a-z_]+(?:1|2)?[a-z_]*\.\d+|embed|pos_embed|final_scale|final_normalized|logits)$/;

/** The golden of `folder`, from its `golden.json` and `golden.safetensors`. */
export function readGolden(folder: string): Golden {
  const json = readJsonObject(join(folder, "golden.json"));
  const tensors: ReadonlyMap<string, Compared> = readSafetensors(join(folder, "golden.safetensors"));
  const edits = (json["edits"] ?? {}) as Record<string, readonly Edit[]>;
  const [short, shortLogits] = [tensors.get("short.input_ids"), tensors.get("short.logits")];
  const [generated, generatedLogits] = [tensors.get("generated.tokens"), tensors.get("generated.logits")];
  return {
    tokens: json["tokens"] as number[][],
    points: new Map([...tensors].filter(([name]) => POINT.test(name))),
    edited: Object.entries(edits).map(([name, list]) => ({ name, edits: list, logits: tensors.get(`edited.${name}.logits`)! })),
    vectors: Object.fromEntries([...tensors].filter(([name]) => name.startsWith("vectors.")).map(([name, x]) => [name.slice(8), x])),
    ...(short && shortLogits ? { short: { tokens: rowsOf(short), logits: shortLogits } } : {}),
    ...(generated && generatedLogits ? { generated: { tokens: rowsOf(generated), logits: generatedLogits } } : {}),
  };
}

function rowsOf({ shape, data }: Compared): number[][] {
  const wide = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, row) => Array.from({ length: wide }, (_unused, i) => data[row * wide + i]!));
}
