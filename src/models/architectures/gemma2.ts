/** @file Gemma 2 (Gemma Team 2024): norms before and after each sublayer, soft caps, every other layer windowed. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, readSizes, type AttentionOptions, type Sizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { LayerSpec } from "../spec.js";

export const gemma2: Family = {
  modelTypes: ["gemma2"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, {
      dModel: 2304,
      layers: 26,
      heads: 8,
      kvHeads: 4,
      dHead: 256,
      dMlp: 9216,
      vocab: 256000,
      maxPositions: 8192,
    });
    const kinds = source.layerKinds(sizes.layers, (layer) => layer % 2 === 0);
    const window = source.window(kinds, 4096);
    const bias = config.flag("attention_bias", false);
    const scale = config.positive("query_pre_attn_scalar", 256) ** -0.5;
    const softcap = capOf(source, "attn_logit_softcapping", 50);
    const finalCap = capOf(source, "final_logit_softcapping", 30);
    const activation = source.activation("hidden_activation", "gelu_pytorch_tanh");
    config.ignore("hidden_act", "cache_implementation");
    const shared = { bias: { qkv: bias, out: bias }, rotary: 0, scale, softcap };
    return assembleLlama(source, "gemma2", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: true,
      plusOne: true,
      embeddingMultiplier: Math.sqrt(sizes.dModel),
      head: finalCap === undefined ? {} : { softcap: finalCap },
      layer: (p, index) =>
        sandwich(source, p, sizes, { activation, attention: { ...shared, window: kinds[index] === "sliding" ? window : undefined } }),
    });
  },
};

/** A soft cap: the configuration class has one by default, `null` switches it off. */
function capOf({ config }: Source, key: string, fallback: number): number | undefined {
  return config.states(key) ? config.optionalPositive(key) : fallback;
}

/** A block with a norm before and after each sublayer. */
export function sandwich(source: Source, p: string, sizes: Sizes, how: { activation: string; attention: AttentionOptions }): LayerSpec {
  const norm = (name: string) => source.rmsNorm(p + name, sizes.dModel, sizes.eps, { plusOne: true });
  return {
    wiring: "sequential",
    ln1: norm("input_layernorm"),
    attnPostNorm: norm("post_attention_layernorm"),
    ln2: norm("pre_feedforward_layernorm"),
    mlpPostNorm: norm("post_feedforward_layernorm"),
    attention: attentionOf(source, p, sizes, how.attention),
    mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation: how.activation }),
  };
}
