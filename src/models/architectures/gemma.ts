/** @file Gemma (Gemma Team 2024): Llama's shape with `1 + weight` norms, scaled embeddings and wide heads. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";

export const gemma: Family = {
  modelTypes: ["gemma"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, {
      dModel: 3072,
      layers: 28,
      heads: 16,
      kvHeads: 16,
      dHead: 256,
      dMlp: 24576,
      vocab: 256000,
      maxPositions: 8192,
    });
    const { dModel, eps } = sizes;
    const bias = config.flag("attention_bias", false);
    const stated = source.activation("hidden_act", "gelu_pytorch_tanh");
    const activation = stated === "gelu" ? "gelu_pytorch_tanh" : stated;
    config.ignore("hidden_activation");
    const norm = (name: string) => source.rmsNorm(name, dModel, eps, { plusOne: true });
    return assembleLlama(source, "gemma", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: true,
      plusOne: true,
      embeddingMultiplier: Math.sqrt(dModel),
      layer: (p) => ({
        wiring: "sequential",
        ln1: norm(`${p}input_layernorm`),
        ln2: norm(`${p}post_attention_layernorm`),
        attention: attentionOf(source, p, sizes, { bias: { qkv: bias, out: bias }, rotary: 0 }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation }),
      }),
    });
  },
};
