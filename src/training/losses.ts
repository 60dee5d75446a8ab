/** @file Losses as graph pieces over the logits of the tokens that count. `vjp.ts` differentiates them like everything else. */
import type { GraphBuilder } from "../graph/builder.js";
import type { Value } from "../graph/graph.js";
import * as op from "../graph/ops.js";

/** Names of a loss's inputs, each `[row, one]`: the token that came, what it counts, and for policies what is known of it. */
export const LOSS_INPUTS = {
  targets: "targets",
  weights: "weights",
  advantages: "advantages",
  oldLogprobs: "old_logprobs",
  referenceLogprobs: "reference_logprobs",
} as const;

/** Names of what a loss gives: the number itself, and the log-probability of each token, `[row, one]`. */
export const LOSS_RESULTS = { loss: "loss", logprobs: "logprobs", divergence: "divergence", clipped: "clipped" } as const;

/** Which loss: of given tokens, or of a policy on tokens of its own. */
export type LossSpec =
  | { readonly kind: "cross_entropy" }
  | {
      readonly kind: "policy";
      /** ε of PPO's clipped ratio (Schulman et al. 2017, eq. 7). */
      readonly clip: number;
      /** β of the divergence from the reference (GRPO, Shao et al. 2024, eq. 3 and 4); 0 leaves it out. */
      readonly kl: number;
    };

/** Adds a loss behind the logits (row, vocab). */
export function addLoss(g: GraphBuilder, logits: Value, spec: LossSpec): void {
  const column = (name: string): Value => g.input(name, ["row", "one"]);
  const logprobs = op.gatherElements(g, op.logSoftmax(g, logits), g.input(LOSS_INPUTS.targets, ["row", "one"], "int64") as Value);
  g.name(LOSS_RESULTS.logprobs, logprobs);
  const gain = spec.kind === "cross_entropy" ? logprobs : policyGain(g, logprobs, spec);
  const weighted = op.multiply(g, gain, column(LOSS_INPUTS.weights));
  g.name(LOSS_RESULTS.loss, op.unary(g, "Neg", op.sumLeading(g, weighted, 2)));
}

/**
 * With r = p / p_old and A the advantage: `min(r A, clip(r, 1 − ε, 1 + ε) A) − β D`, where D = q/p − ln(q/p) − 1 estimates the divergence
 * from the reference q.
 */
function policyGain(g: GraphBuilder, logprobs: Value, { clip, kl }: Extract<LossSpec, { kind: "policy" }>): Value {
  const column = (name: string): Value => g.input(name, ["row", "one"]);
  const advantages = column(LOSS_INPUTS.advantages);
  const ratio = op.unary(g, "Exp", op.subtract(g, logprobs, column(LOSS_INPUTS.oldLogprobs)));
  const held = op.clip(g, ratio, 1 - clip, 1 + clip);
  const surrogate = op.minimum(g, op.multiply(g, ratio, advantages), op.multiply(g, held, advantages));
  if (kl === 0) return surrogate;
  const gap = op.subtract(g, column(LOSS_INPUTS.referenceLogprobs), logprobs);
  const divergence = op.subtract(g, op.subtract(g, op.unary(g, "Exp", gap), gap), g.constant([1], []));
  g.name(LOSS_RESULTS.divergence, divergence);
  return op.subtract(g, surrogate, op.scaleBy(g, divergence, kl));
}
