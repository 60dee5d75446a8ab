/** @file Qwen 3 MoE (Yang et al. 2025): Qwen 3 with mixtures of experts on some or all layers. */
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, gatedMlpOf, preNorms, readSizes, type Sizes } from "../llama-shape.js";
import { expertsOf } from "../moe-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { ExpertsSpec } from "../spec.js";

export const qwen3Moe: Family = {
  modelTypes: ["qwen3_moe"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { dModel: 2048, layers: 24, kvHeads: 4, dMlp: 6144, vocab: 151936, maxPositions: 32768 });
    const stated = config.states("sliding_window") ? config.optionalCount("sliding_window") : 4096;
    const window = config.flag("use_sliding_window", false) ? stated : undefined;
    const bias = config.flag("attention_bias", false);
    const activation = source.activation("hidden_act", "silu");
    const dense = denseLayers(source, sizes.layers);
    config.ignore("max_window_layers", "layer_types");
    return assembleLlama(source, "qwen3_moe", sizes, {
      rotaries: [rotaryOf(config, { theta: 10000, ...sizes })],
      tied: false,
      layer: (p, index) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, { bias: { qkv: bias, out: bias }, rotary: 0, window, qkNorm: { over: "head" } }),
        mlp: dense[index] ? gatedMlpOf(source, `${p}mlp.`, sizes, { activation }) : experts(source, p, sizes, activation),
      }),
    });
  },
};

function experts(source: Source, p: string, { dModel }: Sizes, activation: string): ExpertsSpec {
  const { config } = source;
  return expertsOf(source, {
    router: `${p}mlp.gate`,
    expert: `${p}mlp.experts.`,
    names: ["gate_proj", "up_proj", "down_proj"],
    dModel,
    dMlp: config.count("moe_intermediate_size", 768),
    count: config.count(["num_experts", "num_local_experts"], 128),
    topK: config.count("num_experts_per_tok", 8),
    normalise: config.flag("norm_topk_prob", false),
    activation,
  });
}

/** Layers with one MLP for every token: named ones, and all but each n-th. */
function denseLayers({ config }: Source, layers: number): readonly boolean[] {
  const only = new Set(config.numbers("mlp_only_layers") ?? []);
  const step = config.count("decoder_sparse_step", 1);
  return Array.from({ length: layers }, (_, layer) => only.has(layer) || (layer + 1) % step !== 0);
}
