/** @file OLMo 2 (OLMo Team 2024): norms only after the sublayers, q/k norms over the whole projection. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";

export const olmo2: Family = {
  modelTypes: ["olmo2"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { eps: 1e-5, vocab: 50304 });
    const bias = config.flag("attention_bias", false);
    const activation = source.activation("hidden_act", "silu");
    const norm = (name: string) => source.rmsNorm(name, sizes.dModel, sizes.eps);
    return assembleLlama(source, "olmo2", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      layer: (p) => ({
        wiring: "sequential",
        attnPostNorm: norm(`${p}post_attention_layernorm`),
        mlpPostNorm: norm(`${p}post_feedforward_layernorm`),
        attention: attentionOf(source, p, sizes, { bias: { qkv: bias, out: bias }, rotary: 0, qkNorm: { over: "projection" } }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation }),
      }),
    });
  },
};
