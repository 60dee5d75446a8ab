/** @file SmolLM 3 (Hugging Face 2025): Llama with no rotary on every fourth layer. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";

export const smollm3: Family = {
  modelTypes: ["smollm3"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { dModel: 2048, layers: 36, heads: 16, kvHeads: 4, vocab: 128256, maxPositions: 32768 });
    const turns = rotaryLayers(source, sizes.layers);
    const slides = config.flag("use_sliding_window", false) && config.has("sliding_window");
    const kinds = source.layerKinds(sizes.layers, (layer) => slides && !turns[layer]);
    const window = source.window(kinds);
    const bias = config.flag("attention_bias", false);
    const mlpBias = config.flag("mlp_bias", false);
    const activation = source.activation("hidden_act", "silu");
    config.ignore("max_window_layers", "pretraining_tp");
    return assembleLlama(source, "smollm3", sizes, {
      rotaries: [rotaryOf(config, { theta: 2_000_000, ...sizes })],
      tied: true,
      layer: (p, index) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, {
          bias: { qkv: bias, out: bias },
          rotary: turns[index] ? 0 : undefined,
          window: kinds[index] === "sliding" ? window : undefined,
        }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation, bias: mlpBias }),
      }),
    });
  },
};

/** Which layers have rotary: `no_rope_layers` holds 1 for those that do, despite its name. */
function rotaryLayers({ config }: Source, layers: number): readonly boolean[] {
  const interval = config.count("no_rope_layer_interval", 4);
  const stated = config.numbers("no_rope_layers", layers);
  return Array.from({ length: layers }, (_, layer) => (stated ? stated[layer] !== 0 : (layer + 1) % interval !== 0));
}
