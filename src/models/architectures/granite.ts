/** @file Granite (IBM 2024): Llama with multipliers on embeddings, scores, sublayer outputs and logits. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";

export const granite: Family = {
  modelTypes: ["granite"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source);
    const bias = config.flag("attention_bias", false);
    const mlpBias = config.flag("mlp_bias", false);
    const activation = source.activation("hidden_act", "silu");
    const scale = config.number("attention_multiplier", 1);
    const residualMultiplier = config.number("residual_multiplier", 1);
    const divisor = config.number("logits_scaling", 1);
    if (divisor === 0) throw config.wrong("logits_scaling", "a number other than 0", divisor);
    return assembleLlama(source, "granite", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      embeddingMultiplier: config.number("embedding_multiplier", 1),
      head: { multiplier: 1 / divisor },
      layer: (p) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, { bias: { qkv: bias, out: bias }, rotary: 0, scale }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation, bias: mlpBias }),
        residualMultiplier,
      }),
    });
  },
};
