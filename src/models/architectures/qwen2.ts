/** @file Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on q, k and v, and windows on the later layers if asked for. */
import { refuse } from "../../base/errors.js";
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";

export const qwen2: Family = {
  modelTypes: ["qwen2"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { kvHeads: 32, dMlp: 22016, vocab: 151936, maxPositions: 32768 });
    const windows = qwenWindows(source, sizes.layers);
    const activation = source.activation("hidden_act", "silu");
    return assembleLlama(source, "qwen2", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      layer: (p, index) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, { bias: { qkv: true, out: false }, rotary: 0, window: windows[index] }),
        mlp: gatedMlpOf(source, `${p}mlp.`, sizes, { activation }),
      }),
    });
  },
};

/** Each layer's window, if any: layers from `max_window_layers` on when `use_sliding_window` is set, or as `layer_types` says. */
export function qwenWindows(source: Source, layers: number): readonly (number | undefined)[] {
  const { config } = source;
  const stated = config.states("sliding_window") ? config.optionalCount("sliding_window") : 4096;
  const window = config.flag("use_sliding_window", false) ? stated : undefined;
  const from = config.has("max_window_layers") ? config.number("max_window_layers") : 28;
  const kinds = source.layerKinds(layers, (layer) => window !== undefined && layer >= from);
  if (window === undefined && kinds.includes("sliding")) {
    throw refuse({
      what: "cannot honour sliding layers in layer_types",
      why: "use_sliding_window is false or sliding_window null, so they have no width",
    });
  }
  return kinds.map((kind) => (kind === "sliding" ? window : undefined));
}
