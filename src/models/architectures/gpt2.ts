/** @file GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each sublayer, packed q/k/v stored `[in, out]`. */
import type { Family } from "../family.js";
import type { LayerSpec } from "../spec.js";
import type { Source } from "../source.js";

export const gpt2: Family = {
  modelTypes: ["gpt2"],
  spec(source) {
    const { config } = source;
    const dModel = config.count(["hidden_size", "n_embd"], 768);
    const layers = config.count(["num_hidden_layers", "n_layer"], 12);
    const positions = config.count(["max_position_embeddings", "n_positions"], 1024);
    const eps = config.positive("layer_norm_epsilon", 1e-5);
    const p = source.prefix("h", "transformer.", "");
    const head = "lm_head";
    const tokens = source.embedding(
      `${p}wte.weight`,
      { vocab: config.count("vocab_size", 50257), width: dModel },
      { head: `${head}.weight`, default: true },
    );
    config.ignore("reorder_and_upcast_attn", "n_ctx", "summary_type");
    config.refuseIf("add_cross_attention", (value) => value === true, "there is no encoder for it to attend to");
    return source.assemble({
      family: "gpt2",
      dModel,
      context: { length: positions, hard: true },
      embedding: { tokens, positions: { weight: source.weight(`${p}wpe.weight`, positions, dModel), offset: 0 } },
      layers: Array.from({ length: layers }, (_, layer) => block(source, p, { layer, dModel, eps })),
      head: { norm: source.layerNorm(`${p}ln_f`, dModel, eps), unembed: source.unembed([head], tokens, { tied: true }) },
    });
  },
};

function block(source: Source, p: string, { layer, dModel, eps }: { layer: number; dModel: number; eps: number }): LayerSpec {
  const { config } = source;
  const { heads, dHead } = source.evenHeads(dModel, ["num_attention_heads", "n_head"], 12);
  const dMlp = config.optionalCount("n_inner") ?? 4 * dModel;
  const map = (name: string, input: number, out: number) =>
    source.linear(`${p}h.${layer}.${name}`, input, out, { bias: source.has(`${p}h.0.${name}.bias`), layout: "in_out" });
  const scale = config.flag("scale_attn_weights", true) ? dHead ** -0.5 : 1;
  return {
    wiring: "sequential",
    ln1: source.layerNorm(`${p}h.${layer}.ln_1`, dModel, eps),
    attention: {
      heads,
      kvHeads: heads,
      dHead,
      qkv: { kind: "packed", order: "blocks", linear: map("attn.c_attn", dModel, 3 * dModel) },
      out: map("attn.c_proj", dModel, dModel),
      scale: config.flag("scale_attn_by_inverse_layer_idx", false) ? scale / (layer + 1) : scale,
    },
    ln2: source.layerNorm(`${p}h.${layer}.ln_2`, dModel, eps),
    mlp: {
      kind: "plain",
      in: map("mlp.c_fc", dModel, dMlp),
      out: map("mlp.c_proj", dMlp, dModel),
      activation: source.activation("activation_function", "gelu_new"),
      dMlp,
    },
  };
}
