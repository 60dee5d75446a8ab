/** @file The unembedding in slices of the vocabulary, for a memory that does not hold it whole. Each slice is an unembedding of its own. */
import { sizeOf } from "../base/tensor.js";
import type { LinearSpec, ModelSpec, WeightRef } from "./spec.js";

/** Some of the logits: those of the tokens from `from` on, `spec.vocabOut` of them. */
export interface VocabSlice {
  readonly from: number;
  readonly spec: ModelSpec;
}

/** The unembedding in `count` slices or fewer, all but the last of the same size; in one where a token's weights do not lie together. */
export function vocabSlices(spec: ModelSpec, count: number): VocabSlice[] {
  const { unembed } = spec.head;
  if (count <= 1 || unembed.layout !== "out_in") return [{ from: 0, spec }];
  const size = Math.ceil(unembed.out / count);
  return Array.from({ length: Math.ceil(unembed.out / size) }, (_, index) => {
    const from = index * size;
    const part = rowsOf(unembed, from, Math.min(size, unembed.out - from));
    return { from, spec: { ...spec, vocabOut: part.out, head: { ...spec.head, unembed: part } } };
  });
}

/** `count` outputs of a linear map from output `from` on. */
function rowsOf(linear: LinearSpec, from: number, count: number): LinearSpec {
  const rows = (ref: WeightRef): WeightRef => {
    const rest = ref.shape.slice(1);
    return { ...ref, shape: [count, ...rest], stored: ref.stored ?? ref.shape, offset: (ref.offset ?? 0) + from * sizeOf(rest) };
  };
  const { weight, bias, adapter, quantised } = linear;
  return {
    ...linear,
    out: count,
    weight: rows(weight),
    ...(bias && { bias: rows(bias) }),
    ...(quantised && { quantised: { ...quantised, packed: rows(quantised.packed), scales: rows(quantised.scales) } }),
    ...(adapter && { adapter: { ...adapter, b: rows(adapter.b) } }),
  };
}
