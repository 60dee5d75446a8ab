/** @file The loss of held-out batches. */
import { SextantError } from "../base/errors.js";
import type { Batch, StepResult, TrainStep } from "./step-types.js";

/** Mean loss of all tokens of the batches that count, in nats, and how many these are. */
export async function evaluateLoss(
  step: Pick<TrainStep, "evaluate">,
  batches: readonly Batch[],
): Promise<Pick<StepResult, "loss" | "count">> {
  let [total, count] = [0, 0];
  for (const batch of batches) {
    const part = await step.evaluate(batch);
    if (part.count > 0) total += part.loss * part.count;
    count += part.count;
  }
  if (count === 0) throw new SextantError("request", "evaluateLoss: no token of the batches counts");
  return { loss: total / count, count };
}
