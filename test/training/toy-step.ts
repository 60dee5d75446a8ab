/** @file A training step in plain loops: the next token by softmax over a row of W plus b. Small enough to be checked by differences. */
import type { Batch, Parameter, StepResult, TrainStep } from "../../src/training/step-types.js";

export const VOCAB = 5;

/** A step with parameters of its own, `w` [from, to] and `b` [to]; the same each time. */
export function toyStep(): TrainStep {
  const parameters = new Map<string, Parameter>([
    ["w", { data: Float32Array.from({ length: VOCAB * VOCAB }, (_, i) => Math.sin(i) / 3), shape: [VOCAB, VOCAB] }],
    ["b", { data: Float32Array.from({ length: VOCAB }, (_, i) => Math.cos(i) / 3), shape: [VOCAB] }],
  ]);
  const pass = (batch: Batch): StepResult => bigram(parameters, batch);
  return { parameters, run: async (batch) => pass(batch), evaluate: async (batch) => pass(batch), close: async () => {} };
}

function bigram(parameters: ReadonlyMap<string, Parameter>, { tokens, mask }: Batch): StepResult {
  const [w, b] = [parameters.get("w")!.data, parameters.get("b")!.data];
  const gradients = new Map([
    ["w", new Float32Array(w.length)],
    ["b", new Float32Array(b.length)],
  ]);
  const pairs = tokens.flatMap((row, r) =>
    row.slice(1).flatMap((to, i) => ((mask?.[r]?.[i + 1] ?? 1) === 1 ? [{ from: row[i]!, to }] : [])),
  );
  let loss = 0;
  for (const { from, to } of pairs) {
    const logits = Array.from(b, (value, k) => value + w[from * VOCAB + k]!);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    loss += (Math.log(total) - logits[to]!) / pairs.length;
    for (const [k, logit] of logits.entries()) {
      const slope = (Math.exp(logit) / total - (k === to ? 1 : 0)) / pairs.length;
      gradients.get("w")![from * VOCAB + k]! += slope;
      gradients.get("b")![k]! += slope;
    }
  }
  return { loss: pairs.length > 0 ? loss : NaN, count: pairs.length, gradients };
}
