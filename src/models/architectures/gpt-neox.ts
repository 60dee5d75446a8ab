/** @file GPT-NeoX and Pythia (Black et al. 2022): partial rotary, packed q/k/v by head, parallel or sequential blocks. */
import type { Family } from "../family.js";
import { rotaryOf } from "../rope-config.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

export const gptNeox: Family = {
  modelTypes: ["gpt_neox"],
  spec(source) {
    const { config } = source;
    const dModel = config.count("hidden_size", 6144);
    const layers = config.count("num_hidden_layers", 44);
    const { heads, dHead } = source.evenHeads(dModel, ["num_attention_heads"], 64);
    config.refuseIf("head_dim", (size) => size !== dHead, `heads have ${dHead} coordinates, and transformers turns by a head of head_dim`);
    const maxPositions = config.count("max_position_embeddings", 2048);
    const eps = config.positive("layer_norm_eps", 1e-5);
    const rotary = rotaryOf(config, {
      theta: 10000,
      dHead,
      maxPositions,
      partial: 0.25,
      oddSizes: true,
      thetaKey: "rotary_emb_base",
      partialKey: "rotary_pct",
    });
    const p = source.prefix("layers", "gpt_neox.", "");
    const head = source.either("embed_out.weight", "lm_head.weight").replace(".weight", "");
    const tokens = source.embedding(
      `${p}embed_in.weight`,
      { vocab: config.count("vocab_size", 50432), width: dModel },
      { head: `${head}.weight`, default: false },
    );
    config.ignore("rope_theta", "is_decoder");
    return source.assemble({
      family: "gpt_neox",
      dModel,
      context: { length: maxPositions, hard: false },
      embedding: { tokens },
      rotaries: [rotary],
      layers: Array.from({ length: layers }, (_, layer) => block(source, `${p}layers.${layer}.`, { dModel, heads, dHead, eps })),
      head: { norm: source.layerNorm(`${p}final_layer_norm`, dModel, eps), unembed: source.unembed([head], tokens, { tied: false }) },
    });
  },
};

function block(source: Source, p: string, size: { dModel: number; heads: number; dHead: number; eps: number }): LayerSpec {
  const { dModel, heads, dHead, eps } = size;
  const { config } = source;
  const dMlp = config.count("intermediate_size", 24576);
  const bias = config.flag("attention_bias", true);
  return {
    wiring: config.flag("use_parallel_residual", true) ? "parallel" : "sequential",
    ln1: source.layerNorm(`${p}input_layernorm`, dModel, eps),
    attention: {
      heads,
      kvHeads: heads,
      dHead,
      qkv: { kind: "packed", order: "per_head", linear: source.linear(`${p}attention.query_key_value`, dModel, 3 * dModel, { bias }) },
      out: source.linear(`${p}attention.dense`, dModel, dModel, { bias }),
      scale: dHead ** -0.5,
      rotary: 0,
    },
    ln2: source.layerNorm(`${p}post_attention_layernorm`, dModel, eps),
    mlp: {
      kind: "plain",
      in: source.linear(`${p}mlp.dense_h_to_4h`, dModel, dMlp, { bias: true }),
      out: source.linear(`${p}mlp.dense_4h_to_h`, dMlp, dModel, { bias: true }),
      activation: source.activation("hidden_act", "gelu"),
      dMlp,
    },
  };
}
