/** @file Small random weights of a gated model whose query heads share value heads, to plant things in; and sums in plain loops. */
import { normalNumbers } from "../../../src/base/draws.js";
import { seededRandom } from "../../../src/base/random.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import type { ModelWeights } from "../../../src/runtime/weights.js";

export interface Sizes {
  readonly layers: number;
  readonly dModel: number;
  readonly units: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly vocab: number;
}

export const SIZES: Sizes = { layers: 4, dModel: 24, units: 40, heads: 4, kvHeads: 2, dHead: 5, vocab: 70 };

/** The weights, whose data may be written over; reads of whole matrices are counted. */
export interface SmallModel {
  readonly spec: ModelSpec;
  readonly weights: ModelWeights;
  readonly reads: Record<"down" | "unembedding", number>;
}

export function smallModel(
  seed: number,
  change: Partial<Sizes> & { wiring?: "sequential" | "parallel"; activation?: string } = {},
): SmallModel {
  const { layers, dModel, units, heads, kvHeads, dHead, vocab } = { ...SIZES, ...change };
  const random = seededRandom(seed);
  const drawn = (...shape: readonly number[]): Tensor<Float32Array> =>
    tensor(Float32Array.from(normalNumbers(shape.reduce((a, b) => a * b, 1), random)), shape); // prettier-ignore
  const each = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
  const values = each(layers, () => each(kvHeads, () => drawn(dModel, dHead)));
  const outputs = each(layers, () => each(heads, () => drawn(dHead, dModel)));
  const [gates, ups, downs] = [0, 1, 2].map(() => each(layers, () => drawn(units, dModel)));
  const norms = each(layers, () => drawn(dModel));
  const [unembedding, embedding] = [drawn(vocab, dModel), drawn(vocab, dModel)];
  const reads = { down: 0, unembedding: 0 };
  const count = <T>(what: keyof typeof reads, value: T): T => (reads[what]++, value);
  const weights: ModelWeights = {
    value: (layer, head) => values[layer]![Math.floor((head * kvHeads) / heads)]!,
    output: (layer, head) => outputs[layer]![head]!,
    gate: (layer) => gates![layer]!,
    up: (layer) => ups![layer]!,
    down: (layer) => count("down", downs![layer]!),
    mlpNorm: (layer) => norms[layer]!,
    unembedding: () => count("unembedding", unembedding),
    embedding: () => embedding,
    close: () => {},
  };
  const layer = {
    wiring: change.wiring ?? "sequential",
    attention: { heads, kvHeads, dHead },
    mlp: { kind: "gated", activation: change.activation ?? "silu", dMlp: units },
  };
  return { spec: { dModel, vocabOut: vocab, layers: each(layers, () => layer) } as unknown as ModelSpec, weights, reads };
}

/** One row of a matrix. */
export function row({ data, shape }: Tensor, index: number): number[] {
  const width = shape[1]!;
  return Array.from({ length: width }, (_, i) => data[index * width + i]!);
}

/** Σ a b. */
export function sumOf(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  a.forEach((value, i) => (sum += value * b[i]!));
  return sum;
}

export function cosineOf(a: readonly number[], b: readonly number[]): number {
  return sumOf(a, b) / Math.sqrt(sumOf(a, a) * sumOf(b, b));
}

/** Writes a row over. */
export function plant({ data, shape }: Tensor, index: number, values: readonly number[]): void {
  data.set(values, index * shape[1]!);
}

/** Numbers without a pattern. */
export function numbers(count: number, seed: number): number[] {
  return [...normalNumbers(count, seededRandom(seed))];
}
