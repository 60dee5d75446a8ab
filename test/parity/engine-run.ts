/** @file Runs of the engine in the form that `compare.ts` compares and edits in the form that the goldens write. */
import { tensor } from "../../src/base/tensor.js";
import type { Edit } from "../../src/runtime/edit.js";
import type { ForwardRequest, ForwardResult, Model } from "../../src/runtime/model.js";
import type { Compared, ComparedRun } from "../reference/compare.js";
import type { Edit as GoldenEdit, Vectors } from "../reference/edits.js";

const TENSOR_FIELDS = ["value", "vector", "basis", "direction", "plane"];

/** Edits as the engine takes them: named vectors looked up, tensors in float32. */
export function engineEdits(edits: readonly GoldenEdit[], vectors: Vectors = {}): Edit[] {
  return edits.map(
    (edit) => Object.fromEntries(Object.entries(edit).map(([field, value]) => [field, convert(field, value, vectors)])) as never,
  );
}

function convert(field: string, value: unknown, vectors: Vectors): unknown {
  if (!TENSOR_FIELDS.includes(field)) return value;
  const named = typeof value === "string" ? vectors[value] : value;
  if (named === undefined) throw new Error(`no vector ${String(value)}`);
  if (typeof named === "number" || Array.isArray(named)) return named;
  const { data, shape } = named as Compared;
  return tensor(Float32Array.from(data), shape);
}

/** A forward pass with the logits of all positions, or of those asked for. */
export async function engineRun(model: Model, request: ForwardRequest): Promise<ComparedRun> {
  return asRun(await model.forward({ logits: { positions: "all" }, ...request }));
}

/** A result as points and logits. */
export function asRun({ activations, logits }: Pick<ForwardResult, "activations" | "logits">): ComparedRun {
  return { points: new Map(Object.entries(activations)), ...(logits && { logits }) };
}

/** Logits alone. */
export function onlyLogits(logits: Compared): ComparedRun {
  return { points: new Map(), logits };
}

/** The first `length` positions of one row of `[batch, pos, …]`, as a batch of one. */
export function oneRow({ shape, data }: Compared, row: number, length: number): Compared {
  const [, width = 0, ...rest] = shape;
  const size = rest.reduce((product, axis) => product * axis, 1);
  const values = Array.from({ length: length * size }, (_, i) => data[row * width * size + i]!);
  return { shape: [1, length, ...rest], data: values };
}
