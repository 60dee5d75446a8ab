/** @file Mistral (Jiang et al. 2023): Llama with a sliding window on every layer, or on those that `layer_types` names (Ministral). */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";

export const mistral: Family = {
  modelTypes: ["mistral"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { kvHeads: 8, dMlp: 14336, maxPositions: 131072 });
    const window = config.states("sliding_window") ? config.optionalCount("sliding_window") : 4096;
    const activation = source.activation("hidden_act", "silu");
    if (window === undefined && config.list("layer_types")?.includes("sliding_attention")) {
      throw config.wrong("sliding_window", "a number, since layers slide", undefined);
    }
    const kinds = source.layerKinds(sizes.layers, () => window !== undefined);
    config.ignore("attention_bias");
    return assembleLlama(source, "mistral", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      layer: (p, index) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, { rotary: 0, window: kinds[index] === "sliding" ? window : undefined }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation }),
      }),
    });
  },
};
