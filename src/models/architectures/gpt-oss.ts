/** @file gpt-oss (OpenAI 2025): attention sinks, alternating windows, YaRN, clamped experts with gate and up columns in turn. */
import { sizeOf } from "../../base/tensor.js";
import type { Config } from "../config.js";
import type { Family } from "../family.js";
import { assembleLlama, attentionOf, preNorms, readSizes, type Sizes } from "../llama-shape.js";
import { rotaryOf } from "../rope-config.js";
import type { Source } from "../source.js";
import type { ExpertsSpec, ExpertSpec, LinearSpec, PackedLinearSpec, RotarySpec, WeightRef } from "../spec.js";

export const gptOss: Family = {
  modelTypes: ["gpt_oss"],
  quantised: ["mxfp4"],
  spec(source) {
    const { config } = source;
    const sizes = readSizes(source, {
      dModel: 2880,
      layers: 36,
      heads: 64,
      kvHeads: 8,
      dHead: 64,
      eps: 1e-5,
      dMlp: 2880,
      vocab: 201088,
      maxPositions: 131072,
    });
    const kinds = source.layerKinds(sizes.layers, (layer) => layer % 2 === 0);
    const window = source.window(kinds, 128);
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
  if (config.has("rope_parameters") || config.object("rope_scaling")) return rotaryOf(config, { theta: 150_000, ...sizes });
  const theta = config.positive("rope_theta", 150_000);
  const original = config.count("original_max_position_embeddings", 4096);
  const attentionFactor = 0.1 * Math.log(32) + 1;
  const rope = { type: "yarn", theta, factor: 32, original, attentionFactor, betaFast: 32, betaSlow: 1, truncate: false } as const;
  return { rope, dims: sizes.dHead, period: sizes.dHead, pairs: "halves" };
}

function experts(source: Source, p: string, { dModel, dMlp }: Sizes): ExpertsSpec {
  const { config } = source;
  const count = config.count(["num_local_experts", "num_experts"], 128);
  const topK = config.count("num_experts_per_tok", 4);
  if (topK > count) throw config.wrong("num_experts_per_tok", `at most ${count}`, topK);
  const alpha = config.number("swiglu_alpha", 1.702);
  const limit = config.positive("swiglu_limit", 7);
  const expert = (index: number): ExpertSpec => ({
    kind: "clamped",
    gateUp: expertMap(source, `${p}experts.gate_up_proj`, { index, count, in: dModel, out: 2 * dMlp }),
    down: expertMap(source, `${p}experts.down_proj`, { index, count, in: dMlp, out: dModel }),
    alpha,
    limit,
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

interface ExpertShape {
  readonly index: number;
  readonly count: number;
  readonly in: number;
  readonly out: number;
}

/** One expert's matrix and bias out of the tensors that hold all experts': floats `[expert, in, out]`, or MXFP4 blocks and scales. */
function expertMap(source: Source, name: string, shape: ExpertShape): LinearSpec | PackedLinearSpec {
  const { index, count, in: input, out } = shape;
  const piece = (tensor: string, ...size: number[]): WeightRef =>
    source.part({ name: tensor, shape: size, stored: [count, ...size], offset: index * sizeOf(size) });
  const bias = piece(`${name}_bias`, out);
  if (!source.has(`${name}_blocks`)) return { weight: piece(name, input, out), bias, layout: "in_out", in: input, out };
  if (input % 32 !== 0) throw source.config.wrong("intermediate_size", "a multiple of 32, since MXFP4 has blocks of 32", input);
  const blocks: WeightRef = { ...piece(`${name}_blocks`, out, input / 32, 16), holds: "bytes" };
  const scales: WeightRef = { ...piece(`${name}_scales`, out, input / 32), holds: "bytes" };
  return { weight: { blocks, scales }, bias, layout: "mxfp4", in: input, out };
}
