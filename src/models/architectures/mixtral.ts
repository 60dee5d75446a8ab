/** @file Mixtral (Jiang et al. 2024): Mistral whose MLPs are mixtures of experts. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, preNorms, readSizes, type Sizes } from "../llama-shape.js";
import { expertsOf } from "../moe-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { ExpertsSpec } from "../spec.js";

export const mixtral: Family = {
  modelTypes: ["mixtral"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { kvHeads: 8, eps: 1e-5, dMlp: 14336, maxPositions: 131072 });
    const window = config.optionalCount("sliding_window");
    config.ignore("attention_bias", "layer_types");
    return assembleLlama(source, "mixtral", sizes, {
      rotaries: [rotaryOf(config, { theta: 1_000_000, ...sizes })],
      tied: false,
      layer: (p) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, { rotary: 0, window }),
        mlp: experts(source, p, sizes),
      }),
    });
  },
};

function experts(source: Source, p: string, { dModel, dMlp }: Sizes): ExpertsSpec {
  const { config } = source;
  const named = { router: `${p}block_sparse_moe.gate`, expert: `${p}block_sparse_moe.experts.`, names: ["w1", "w3", "w2"] } as const;
  return expertsOf(source, {
    ...(source.has(`${p}mlp.gate.weight`) ? { ...named, router: `${p}mlp.gate`, expert: `${p}mlp.experts.` } : named),
    dModel,
    dMlp,
    count: config.count(["num_local_experts", "num_experts"], 8),
    topK: config.count("num_experts_per_tok", 2),
    normalise: true,
    activation: source.activation("hidden_act", "silu"),
  });
}
