/** @file The training of the CountDown model, on a model that is much too small: both parts run, and go on to the same bits. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadModel } from "../../../src/runtime/load.js";
import { writeModel } from "../../../src/training/checkpoint.js";
import { judge, sharesOf } from "../../../src/training/countdown/judge.js";
import { COUNTDOWN, filesOf, type CountdownRecipe } from "../../../src/training/countdown/recipe.js";
import { trainCountdown, type CountdownOptions, type CountdownPart } from "../../../src/training/countdown/train-countdown.js";
import type { Rollout } from "../../../src/training/policy-step.js";
import type { Parameters } from "../../../src/training/step-types.js";
import type { TrainEvent } from "../../../src/training/train.js";
import { temporaryFolder } from "../../formats/folder.js";

const { path } = temporaryFolder();

const RECIPE: CountdownRecipe = {
  ...COUNTDOWN,
  seed: 1,
  task: { counts: [2], operators: ["+", "-"], largestNumber: 12, largestTarget: 20, mostWrong: 1 },
  model: { layers: 1, dModel: 16, heads: 2, dMlp: 24 },
  imitation: { steps: 6, rows: 4, drills: 0.25, examples: 0.25, peak: 1e-2, warmUp: 1 },
  reward: { steps: 2, prompts: 2, group: 2, rate: 1e-2, clip: 0.2, kl: 0.01 },
  evaluation: { tasks: 3, every: 10 },
};

/** All values in a row. */
function valuesOf(parameters: Parameters): number[] {
  return [...parameters.values()].flatMap(({ data }) => [...data]);
}

const run = (name: string, options: Partial<CountdownOptions> = {}): ReturnType<typeof trainCountdown> =>
  trainCountdown(RECIPE, { folder: path(name), threads: 1, ...options });

describe("training CountDown", () => {
  test("imitates, then learns from reward, and gives the model of both", async () => {
    const events: (readonly [CountdownPart, TrainEvent["kind"]])[] = [];
    const rollouts: Rollout[] = [];
    const { imitation, reward, imitated, parameters } = await run("through", {
      onEvent: (part, { kind }) => events.push([part, kind]),
      onRollout: (rollout) => rollouts.push(rollout),
    });
    expect(imitation.history.steps).toHaveLength(6);
    expect(imitation.history.steps.at(-1)!.loss).toBeLessThan(imitation.history.steps[0]!.loss);
    expect(reward.history.steps).toHaveLength(2);
    expect(Object.keys(reward.history.evaluations.at(-1)!.values).toSorted()).toEqual(["arithmetic", "format", "solved", "verification"]);
    expect(rollouts).toHaveLength(2);
    expect(events.filter(([, kind]) => kind === "step").map(([part]) => part)).toEqual([
      ...Array.from({ length: 6 }, () => "imitation"),
      ...Array.from({ length: 2 }, () => "reward"),
    ]);
    expect(valuesOf(imitated)).toHaveLength(valuesOf(parameters).length);
    expect(existsSync(path("through/reward/training/state.json"))).toBe(true);
  });

  test("goes on from either part to the same bits", async () => {
    const straight = await run("straight");
    for (const [part, step] of [
      ["imitation", 3],
      ["reward", 1],
    ] as const) {
      const controller = new AbortController();
      const onEvent: CountdownOptions["onEvent"] = (own, event) => {
        if (own === part && event.kind === "step" && event.record.step === step) controller.abort();
      };
      await expect(run(`cut-${part}`, { signal: controller.signal, onEvent })).rejects.toMatchObject({ kind: "interrupted" });
      const resumed = await run(`cut-${part}`);
      expect(valuesOf(resumed.imitated)).toEqual(valuesOf(straight.imitated));
      expect(valuesOf(resumed.parameters)).toEqual(valuesOf(straight.parameters));
      expect(resumed.reward).toEqual(straight.reward);
      expect(readFileSync(path(`cut-${part}/reward/model.safetensors`))).toEqual(readFileSync(path("straight/reward/model.safetensors")));
    }
  });

  test("takes a single step of either part, however long the warm-up would be", async () => {
    const recipe = { ...RECIPE, imitation: { ...RECIPE.imitation, steps: 1 }, reward: { ...RECIPE.reward, steps: 1 } };
    const { reward } = await trainCountdown(recipe, { folder: path("single"), threads: 1 });
    expect(reward.step).toBe(1);
  });
});

test("a model that cannot search yet is judged to have solved nothing, and is a model", async () => {
  const { imitated } = await run("through");
  const { report, texts, tasks } = await judge(imitated, RECIPE, { folder: path("judged"), tasks: 5, threads: 1 });
  expect([texts.length, tasks.length, report.solved?.n]).toEqual([5, 5, 5]);
  expect(sharesOf(report)).toMatchObject({ solved: 0, format: 0 });
  writeModel(path("written"), imitated, filesOf(RECIPE));
  const model = await loadModel(path("written"), { threads: 1, lazy: true });
  expect(model.spec.layers).toHaveLength(1);
  await model.close();
});
