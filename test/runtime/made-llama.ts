/** @file Llamas of any size with seeded weights, written to a folder tensor by tensor, so that not even the writer holds them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.js";
import { sizeOf } from "../../src/base/tensor.js";
import { narrowToHalf } from "../../src/formats/dtype.js";
import { writeStreamed } from "../../src/formats/safetensors-writer.js";
import { planModel } from "../../src/training/plan-spec.js";

export interface Sizes {
  readonly layers: number;
  readonly dModel: number;
  readonly dMlp: number;
  readonly vocab: number;
  readonly dtype?: "F32" | "BF16";
}

/** Numbers that tensors take their values from, each from a place of its own: a prime, so that no two rows are alike. */
const POOL = 1_048_573;

/** Writes config.json and model.safetensors. */
export function writeLlama(folder: string, { layers, dModel, dMlp, vocab, dtype = "F32" }: Sizes): void {
  const config = {
    model_type: "llama",
    hidden_size: dModel,
    intermediate_size: dMlp,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    vocab_size: vocab,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    eos_token_id: 0,
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const random = seededRandom(11);
  const pool = Float32Array.from({ length: POOL }, () => random() - 0.5);
  const tensors = [...planModel(config).shapes].map(([name, shape], index) => ({
    name,
    shape,
    dtype,
    pieces: () => piecesOf(pool, { count: sizeOf(shape), start: index * 7919, isNorm: shape.length === 1, dModel, dtype }),
  }));
  writeStreamed(join(folder, "model.safetensors"), tensors);
}

interface Piece {
  readonly count: number;
  readonly start: number;
  readonly isNorm: boolean;
  readonly dModel: number;
  readonly dtype: "F32" | "BF16";
}

/** Values around 0 whose square sums to about 1 over a row of `d_model`; those of norms around 1. */
function* piecesOf(pool: Float32Array, { count, start, isNorm, dModel, dtype }: Piece): Generator<Uint8Array> {
  const scale = Math.sqrt(12 / dModel);
  for (let at = 0; at < count; at += POOL) {
    const values = new Float32Array(Math.min(POOL, count - at));
    for (let i = 0; i < values.length; i++) {
      const value = pool[(start + i) % POOL]!;
      values[i] = isNorm ? 1 + 0.2 * value : scale * value;
    }
    yield new Uint8Array((dtype === "BF16" ? narrowToHalf(values, dtype) : values).buffer);
  }
}
