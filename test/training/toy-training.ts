/** @file A whole training of the toy, for tests of stopping and going on; run as a program it trains in the folder that it is given. */
import { fileURLToPath } from "node:url";
import { makeAdamW } from "../../src/training/optimiser.js";
import { generatedSource } from "../../src/training/token-source.js";
import type { TrainStep } from "../../src/training/step-types.js";
import type { Saving, TrainOptions } from "../../src/training/train.js";
import { train } from "../../src/training/train.js";
import { toyStep, VOCAB } from "./toy-step.js";

export const STEPS = 60;
export const CONFIG = { model_type: "toy", torch_dtype: "bfloat16", eos_token_id: 2 };

/** Everything but the folder; with `saving`, its folder. */
export function toyTraining(changes: Partial<TrainOptions> = {}): TrainOptions & { readonly step: TrainStep } {
  const step = changes.step ?? toyStep();
  return {
    step,
    source: generatedSource(
      (index, random) => ({ tokens: Array.from({ length: 4 + (index % 3) }, () => Math.floor(VOCAB * random() ** 2)) }),
      { rows: 3, seed: 7 },
    ),
    optimiser: makeAdamW(step.parameters, { weightDecay: 0.1 }),
    schedule: { peak: 0.05, warmUp: 5, steps: STEPS, floor: 0.1 },
    steps: STEPS,
    accumulate: 2,
    clip: 0.5,
    evaluation: {
      every: 7,
      run: async () => ({ loss: step.parameters.get("w")!.data.reduce((sum, value) => sum + value * value, 0) }),
    },
    ...changes,
  };
}

export function toySaving(folder: string, changes: Partial<Saving> = {}): Saving {
  return { folder, every: 1, resume: "same", model: { config: CONFIG }, ...changes };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const onProgress: TrainOptions["onProgress"] = ({ kind }) => {
    if (kind === "saved") process.stdout.write(".");
  };
  await train(toyTraining({ saving: toySaving(process.argv[2]!), onProgress }));
}
