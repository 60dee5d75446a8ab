/** @file gpt-oss (OpenAI 2025): attention sinks, alternating windows, YaRN, clamped experts with gate and up columns in turn. */
import { refuse } from "../../base/errors.js";
import { sizeOf } from "../../base/tensor.js";
import type { Config } from "../config.js";
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, preNorms, readSizes, type Sizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { ExpertsSpec, ExpertSpec, RotarySpec, WeightRef } from "../spec.js";

export const gptOss: Family = {
  modelTypes: ["gpt_oss"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, { dModel: 2880, layers: 36, kvHeads: 8, dHead: 64, eps: 1e-5, dMlp: 2880, vocab: 201088, maxPositions: 131072 });
    const kinds = source.layerKinds(sizes.layers, (layer) => layer % 2 === 0);
    const window = config.count("sliding_window", 128);
    const bias = config.flag("attention_bias", true);
    config.ignore("hidden_act", "initial_context_length", "experts_per_token");
    return assembleLlama(source, "gpt_oss", sizes, {
      rotaries: [rotary(config, sizes)],
      tied: false,
      layer: (p, index) => ({
        wiring: "sequential",
        ...preNorms(source, p, sizes),
        attention: attentionOf(source, p, sizes, {
          bias: { qkv: bias, out: bias },
          rotary: 0,
          window: kinds[index] === "sliding" ? window : undefined,
          sinks: true,
        }),
        mlp: experts(source, `${p}mlp.`, sizes),
      }),
    });
  },
};

/** The configuration's rotary embedding; with none stated, the YaRN settings of the released models. */
function rotary(config: Config, sizes: Sizes): RotarySpec {
  if (config.object("rope_parameters") || config.object("rope_scaling")) return rotaryOf(config, { theta: 150_000, ...sizes });
  const theta = config.positive("rope_theta", 150_000);
  const attentionFactor = 0.1 * Math.log(32) + 1;
  const rope = { type: "yarn", theta, factor: 32, original: 4096, attentionFactor, betaFast: 32, betaSlow: 1, truncate: false } as const;
  return { rope, dims: sizes.dHead, period: sizes.dHead, pairs: "halves" };
}

function experts(source: Source, p: string, { dModel, dMlp }: Sizes): ExpertsSpec {
  const { config } = source;
  if (source.has(`${p}experts.gate_up_proj_blocks`)) {
    throw refuse({ what: "cannot read the experts", why: "they are stored in MXFP4", instead: "save the model in bfloat16: from_pretrained(…, dtype=…).save_pretrained(…)" });
  }
  const count = config.count(["num_local_experts", "num_experts"], 128);
  const topK = config.count("num_experts_per_tok", 4);
  if (topK > count) throw config.wrong("num_experts_per_tok", `at most ${count}`, topK);
  const one = (name: string, index: number, ...shape: number[]): WeightRef => {
    return { name: `${p}experts.${name}`, shape, stored: [count, ...shape], offset: index * sizeOf(shape) };
  };
  const expert = (index: number): ExpertSpec => ({
    kind: "clamped",
    gateUp: { weight: one("gate_up_proj", index, dModel, 2 * dMlp), bias: one("gate_up_proj_bias", index, 2 * dMlp), layout: "in_out", in: dModel, out: 2 * dMlp },
    down: { weight: one("down_proj", index, dMlp, dModel), bias: one("down_proj_bias", index, dModel), layout: "in_out", in: dMlp, out: dModel },
    alpha: config.number("swiglu_alpha", 1.702),
    limit: config.positive("swiglu_limit", 7),
    dMlp,
  });
  return {
    kind: "experts",
    router: source.linear(`${p}router`, dModel, count, { bias: true }),
    topK,
    softmax: "chosen",
    normalise: false,
    experts: Array.from({ length: count }, (_, index) => expert(index)),
  };
}
