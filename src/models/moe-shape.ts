/** @file Mixtures of gated experts as checkpoints store them: a tensor an expert and matrix, or all experts in one. */
import type { Source } from "./source.js";
import { gatedMlpOf } from "./llama-shape.js";
import type { ExpertsSpec, GatedMlpSpec, LinearSpec } from "./spec.js";

export interface MoeOptions {
  readonly router: string;
  /** Prefix of an expert's tensors, up to its number. */
  readonly expert: string;
  readonly names: readonly [gate: string, up: string, down: string];
  readonly dModel: number;
  readonly dMlp: number;
  readonly count: number;
  readonly topK: number;
  readonly normalise: boolean;
  readonly activation: string;
}

/** Softmax over all experts, then the best `topK`. */
export function expertsOf(source: Source, options: MoeOptions): ExpertsSpec {
  const { count, topK, dModel } = options;
  if (topK > count) throw source.config.wrong("num_experts_per_tok", `at most ${count}`, topK);
  const fused = source.has(`${options.expert}gate_up_proj`);
  return {
    kind: "experts",
    router: source.linear(options.router, dModel, count),
    topK,
    softmax: "all",
    normalise: options.normalise,
    experts: Array.from({ length: count }, (_, index) =>
      fused ? fusedExpert(source, options, index) : gatedMlpOf(source, `${options.expert}${index}.`, options, options),
    ),
  };
}

/** Expert `index` of `gate_up_proj [expert, 2·d_mlp, d_model]` (gate rows first) and `down_proj [expert, d_model, d_mlp]`. */
function fusedExpert(source: Source, options: MoeOptions, index: number): GatedMlpSpec {
  const { expert, dModel, dMlp, count, activation } = options;
  const matrix = dMlp * dModel;
  const half = (which: number): LinearSpec => ({
    weight: source.part({
      name: `${expert}gate_up_proj`,
      shape: [dMlp, dModel],
      stored: [count, 2 * dMlp, dModel],
      offset: (2 * index + which) * matrix,
    }),
    layout: "out_in",
    in: dModel,
    out: dMlp,
  });
  const down: LinearSpec = {
    weight: source.part({ name: `${expert}down_proj`, shape: [dModel, dMlp], stored: [count, dModel, dMlp], offset: index * matrix }),
    layout: "out_in",
    in: dMlp,
    out: dModel,
  };
  return { kind: "gated", gate: half(0), up: half(1), down, activation, dMlp };
}
