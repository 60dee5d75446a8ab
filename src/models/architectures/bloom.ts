/** @file BLOOM (BigScience 2022): ALiBi instead of positions, a norm after the embedding, packed q/k/v by head. */
import { refuse } from "../../base/errors.js";
import type { Family } from "../family.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

export const bloom: Family = {
  modelTypes: ["bloom"],
  spec(source) {
    const { config } = source;
    const dModel = config.count(["n_embed", "hidden_size"], 64);
    const layers = config.count(["num_hidden_layers", "n_layer"], 2);
    const eps = config.positive("layer_norm_epsilon", 1e-5);
    const p = source.prefix("h", "transformer.", "");
    const tokens = source.embedding(
      `${p}word_embeddings.weight`,
      { vocab: config.count("vocab_size", 250880), width: dModel },
      { head: "lm_head.weight", default: true },
    );
    if (config.flag("slow_but_exact", false) && config.count("pretraining_tp", 1) > 1) {
      throw refuse({
        what: "cannot honour slow_but_exact with pretraining_tp above 1",
        why: "transformers drops the output biases then",
        instead: "set slow_but_exact to false",
      });
    }
    config.ignore(
      "pretraining_tp",
      "seq_length",
      "masked_softmax_fusion",
      "offset_alibi",
      "skip_bias_add",
      "skip_bias_add_qkv",
      "unk_token_id",
    );
    config.ignore("attention_softmax_in_fp32", "bias_dropout_fusion", "n_inner");
    return source.assemble({
      family: "bloom",
      dModel,
      context: undefined,
      embedding: { tokens, norm: source.layerNorm(`${p}word_embeddings_layernorm`, dModel, eps) },
      layers: Array.from({ length: layers }, (_, layer) => block(source, `${p}h.${layer}.`, { dModel, eps })),
      head: { norm: source.layerNorm(`${p}ln_f`, dModel, eps), unembed: source.unembed(["lm_head"], tokens, { tied: true }) },
    });
  },
};

function block(source: Source, p: string, { dModel, eps }: { dModel: number; eps: number }): LayerSpec {
  const { heads, dHead } = source.evenHeads(dModel, ["num_attention_heads", "n_head"], 8);
  const dMlp = 4 * dModel;
  return {
    wiring: "sequential",
    ln1: source.layerNorm(`${p}input_layernorm`, dModel, eps),
    attention: {
      heads,
      kvHeads: heads,
      dHead,
      qkv: {
        kind: "packed",
        order: "per_head",
        linear: source.linear(`${p}self_attention.query_key_value`, dModel, 3 * dModel, { bias: true }),
      },
      out: source.linear(`${p}self_attention.dense`, dModel, dModel, { bias: true }),
      scale: dHead ** -0.5,
      alibi: alibiSlopes(heads),
    },
    ln2: source.layerNorm(`${p}post_attention_layernorm`, dModel, eps),
    mlp: {
      kind: "plain",
      in: source.linear(`${p}mlp.dense_h_to_4h`, dModel, dMlp, { bias: true }),
      out: source.linear(`${p}mlp.dense_4h_to_h`, dMlp, dModel, { bias: true }),
      activation: "gelu_fast",
      dMlp,
    },
    ...(source.config.flag("apply_residual_connection_post_layernorm", false) && { residualFromNorm: true }),
  };
}

/** One slope a head (Press et al. 2022): powers of `2^(−8/P)`, and for heads beyond the power of two P, odd powers of its root. */
export function alibiSlopes(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const base = Math.fround(2 ** -(2 ** -(Math.log2(power) - 3)));
  const slopes = Array.from({ length: power }, (_, i) => Math.fround(base ** (i + 1)));
  const extra = Math.fround(2 ** -(2 ** -(Math.log2(2 * power) - 3)));
  return [...slopes, ...Array.from({ length: heads - power }, (_, i) => Math.fround(extra ** (2 * i + 1)))];
}
