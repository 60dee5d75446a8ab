/** @file Llama 1 to 3 (Touvron et al. 2023): RMSNorm, rotary, gated MLP, grouped key/value heads. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";

export const llama: Family = {
  modelTypes: ["llama"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source);
    const bias = config.flag("attention_bias", false);
    const activation = source.activation("hidden_act", "silu");
    const mlpBias = config.flag("mlp_bias", false);
    config.ignore("pretraining_tp");
    return assembleLlama(source, "llama", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      layer: (p) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, { bias: { qkv: bias, out: bias }, rotary: 0 }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation, bias: mlpBias }),
      }),
    });
  },
};
