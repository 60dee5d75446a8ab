/** @file Qwen 3 (Yang et al. 2025): Qwen 2 with a norm on each head's q and k instead of biases. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import { qwenWindows } from "./qwen2.js";

export const qwen3: Family = {
  modelTypes: ["qwen3"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { kvHeads: 32, dHead: 128, dMlp: 22016, vocab: 151936, maxPositions: 32768 });
    const windows = qwenWindows(source, sizes.layers);
    const bias = config.flag("attention_bias", false);
    const activation = source.activation("hidden_act", "silu");
    return assembleLlama(source, "qwen3", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      layer: (p, index) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, {
          bias: { qkv: bias, out: bias },
          rotary: 0,
          window: windows[index],
          qkNorm: { over: "head" },
        }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation }),
      }),
    });
  },
};
