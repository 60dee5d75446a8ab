/**
 * @file Writes `models/induction`: a two-layer Llama whose weights are constructed, and which provably continues what it has seen
 * before (… A B … A → B). Run it with `npx tsx scripts/build-induction-model.ts [folder]`; the same bytes come out every time.
 *
 * The construction is in `induction-model/`: `words.ts` (vocabulary and codes), `layout.ts` (subspaces and strengths), `parts.ts`
 * (what a head or a neuron is made of), `circuit.ts` (the model), `bounds.ts` (the guarantee), `card.ts` (the model card).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { tensor, type Tensor } from "../src/base/tensor.js";
import { writeSafetensors } from "../src/formats/safetensors-writer.js";
import { modelCard } from "./induction-model/card.js";
import { buildWeights } from "./induction-model/circuit.js";
import { SIZES } from "./induction-model/layout.js";
import type { Matrix } from "./induction-model/parts.js";
import { idOf, tokenizerConfig, tokenizerJson } from "./induction-model/tokenizer.js";
import { BOS } from "./induction-model/words.js";

/** Writes the model's five files into `folder`, which is made if it is not there. */
export function buildInductionModel(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const tensors = [...buildWeights()].map(([name, matrix]) => [name, toTensor(matrix)] as const);
  writeSafetensors(join(folder, "model.safetensors"), Object.fromEntries(tensors), { format: "pt" });
  writeJson(join(folder, "config.json"), modelConfig());
  writeJson(join(folder, "tokenizer.json"), tokenizerJson());
  writeJson(join(folder, "tokenizer_config.json"), tokenizerConfig());
  writeFileSync(join(folder, "README.md"), modelCard());
}

/** What `config.json` says. */
function modelConfig(): object {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: SIZES.vocab,
    hidden_size: SIZES.dModel,
    intermediate_size: SIZES.dMlp,
    num_hidden_layers: SIZES.layers,
    num_attention_heads: SIZES.heads,
    num_key_value_heads: SIZES.heads,
    head_dim: SIZES.dHead,
    hidden_act: "silu",
    max_position_embeddings: SIZES.context,
    rms_norm_eps: SIZES.normEps,
    rope_theta: SIZES.ropeTheta,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    bos_token_id: idOf(BOS),
    eos_token_id: null,
    torch_dtype: "float32",
  };
}

/** The matrix in float32; a norm's weight, which is one column, loses that axis. */
function toTensor({ rows, columns, data }: Matrix): Tensor {
  return tensor(Float32Array.from(data), columns === 1 ? [rows] : [rows, columns]);
}

function writeJson(path: string, value: object): void {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL("../models/induction", import.meta.url));
  buildInductionModel(resolve(folder));
}
