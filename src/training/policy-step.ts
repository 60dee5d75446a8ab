/**
 * @file Training by reward as a training step: prompts go in, the model writes several continuations of each, and those that are worth more
 * than the others of their prompt become likelier (GRPO, Shao et al. 2024). The loop, its checkpoints and its resuming are those of all training.
 */
import { must, SextantError } from "../base/errors.js";
import { mean } from "../base/statistics.js";
import type { Batch, StepResult, TrainStep } from "./step-types.js";
import { countedTokens, type ModelStep, type PolicyColumns } from "./step.js";

/** What a policy is trained with. */
export interface PolicyOptions {
  /** Continuations of each prompt. At least 2, since they are judged against each other. */
  readonly group: number;
  /** Writes a continuation of each prompt with the present parameters. */
  readonly write: (prompts: readonly (readonly number[])[]) => Promise<readonly (readonly number[])[]>;
  /** What a continuation is worth. */
  readonly reward: (prompt: readonly number[], written: readonly number[]) => number;
  /** The model that the policy is held close to. Absent: it is held to nothing. */
  readonly reference?: Pick<ModelStep, "logprobs">;
  /** What happened in a step. */
  readonly onRollout?: (rollout: Rollout) => void;
}

/** One step's continuations, summed up. */
export interface Rollout {
  readonly reward: number;
  /** Tokens a continuation, on average. */
  readonly length: number;
  /** Share of prompts all of whose continuations were worth the same, from which nothing is learned. */
  readonly alike: number;
}

/** A step that learns from rewards. Its batches are prompts; the loss is the policy's, whose value says little. */
export function policyStep(policy: ModelStep, options: PolicyOptions): TrainStep {
  if (!Number.isInteger(options.group) || options.group < 2)
    throw new SextantError("request", `group must be a whole number of at least 2, got ${options.group}`);
  return {
    parameters: policy.parameters,
    run: (batch) => learn(policy, batch, options),
    evaluate: (batch) => policy.evaluate(batch),
    close: () => policy.close(),
  };
}

async function learn(policy: ModelStep, { tokens: prompts }: Batch, options: PolicyOptions): Promise<StepResult> {
  const { group, write, reward: worth, reference, onRollout } = options;
  const asked = prompts.flatMap((prompt) => Array.from({ length: group }, () => prompt));
  const written = await write(asked);
  const rewards = asked.map((prompt, i) => worth(prompt, must(written[i], `continuation ${i}`)));
  const advantages = advantagesOf(rewards, group);
  const reward = mean(rewards);
  onRollout?.({
    reward,
    length: mean(written.map((row) => row.length)),
    alike: mean(prompts.map((_, i) => Number(advantages.slice(i * group, (i + 1) * group).every((value) => value === 0)))),
  });
  const batch = continued(asked, written);
  const old = await policy.logprobs(batch);
  const columns = columnsOf(batch, { advantages, old, reference: reference ? await reference.logprobs(batch) : old });
  return { ...(await policy.run(batch, columns)), reward };
}

/** Each reward less the mean of its group, over their deviation; 0 where all of a group are alike. */
export function advantagesOf(rewards: readonly number[], group: number): number[] {
  return rewards.map((reward, i) => {
    const first = i - (i % group);
    const own = rewards.slice(first, first + group);
    const middle = mean(own);
    const deviation = Math.sqrt(mean(own.map((value) => (value - middle) ** 2)));
    return deviation < 1e-9 ? 0 : (reward - middle) / deviation;
  });
}

/** Prompts with their continuations, which alone count. */
function continued(asked: readonly (readonly number[])[], written: readonly (readonly number[])[]): Required<Batch> {
  return {
    tokens: asked.map((prompt, i) => [...prompt, ...written[i]!]),
    mask: asked.map((prompt, i) => [...prompt.map(() => 0), ...written[i]!.map(() => 1)]),
  };
}

/** A number for each token: those of a continuation count 1 together, and all continuations alike. */
function columnsOf(
  batch: Required<Batch>,
  { advantages, old, reference }: { advantages: readonly number[]; old: Float32Array; reference: Float32Array },
): PolicyColumns {
  const counted = countedTokens(batch);
  const lengths = batch.mask.map((row) => row.reduce((total, value) => total + value, 0));
  return {
    advantages: Float32Array.from(counted, ({ row }) => advantages[row]!),
    weights: Float32Array.from(counted, ({ row }) => 1 / (lengths[row]! * batch.tokens.length)),
    oldLogprobs: old,
    referenceLogprobs: reference,
  };
}
