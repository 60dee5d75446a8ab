/** @file The loop: what a step does, what ends it, and that stopping and going on changes no bit. */
import { readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { makeAdamW } from "../../src/training/optimiser.js";
import { learningRateAt } from "../../src/training/learning-rate.js";
import { evaluateLoss } from "../../src/training/evaluate.js";
import { resumeCheckpoint } from "../../src/training/checkpoint.js";
import type { Progress } from "../../src/training/history.js";
import { batchOf, type TokenSource } from "../../src/training/token-source.js";
import type { Batch, TrainStep } from "../../src/training/step-types.js";
import { train, type TrainEvent } from "../../src/training/train.js";
import { temporaryFolder } from "../formats/folder.js";
import { toyStep } from "./toy-step.js";
import { STEPS, toySaving, toyTraining } from "./toy-training.js";

const { path } = temporaryFolder();

describe("a step", () => {
  test("lowers the loss, down to what is in the data", async () => {
    const rows = [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0]];
    const source: TokenSource = { settings: {}, batch: () => ({ tokens: rows }) };
    const { history } = await train({
      ...toyTraining({ source, clip: 100, accumulate: 1, schedule: { peak: 0.3, steps: 100 } }),
      steps: 100,
    });
    // Each token has one successor, so but for the decay nothing would be left to learn.
    expect(history.steps[0]!.loss).toBeGreaterThan(1);
    expect(history.steps.at(-1)!.loss).toBeLessThan(0.05);
  });

  test("of micro-batches is that of one batch, however their tokens are shared out", async () => {
    const samples = [
      [1, 2, 3, 4],
      [0, 1],
      [2, 2, 0],
      [4, 3, 2, 1, 0],
    ].map((tokens) => ({ tokens }));
    const parts: TokenSource = { settings: {}, batch: (index) => batchOf(index % 2 ? samples.slice(1) : samples.slice(0, 1)) };
    const whole: TokenSource = { settings: {}, batch: () => batchOf(samples) };
    const runs = [toyTraining({ source: parts, accumulate: 2, steps: 10 }), toyTraining({ source: whole, accumulate: 1, steps: 10 })];
    const [a, b] = [await train(runs[0]!), await train(runs[1]!)];
    for (const [i, record] of a.history.steps.entries()) {
      expect(record.loss).toBeCloseTo(b.history.steps[i]!.loss, 6);
      expect(record.gradientNorm).toBeCloseTo(b.history.steps[i]!.gradientNorm, 6);
      expect(record.tokens).toBe(10);
    }
    const [left, right] = runs.map(({ step }) => step.parameters.get("w")!.data);
    for (const [i, value] of left!.entries()) expect(value).toBeCloseTo(right![i]!, 5);
  });

  test("keeps the mean reward of a step's micro-batches, where they have some", async () => {
    const plain = toyStep();
    let next = 0;
    const step = { ...plain, run: async (batch: Batch) => ({ ...(await plain.run(batch)), ...(next < 4 && { reward: next++ / 4 }) }) };
    const { history } = await train(toyTraining({ step, accumulate: 2, steps: 3 }));
    expect(history.steps.map(({ reward }) => reward)).toEqual([0.125, 0.625, undefined]);
  });

  test("takes its batches and its learning rate by its number", async () => {
    const asked: number[] = [];
    const source: TokenSource = { settings: {}, batch: (index) => (asked.push(index), { tokens: [[0, 1, 2]] }) };
    const options = toyTraining({ source, accumulate: 2, steps: 3 });
    const { history } = await train(options);
    expect(asked).toEqual([0, 1, 2, 3, 4, 5]);
    expect(history.steps.map(({ learningRate }) => learningRate)).toEqual([0, 1, 2].map((step) => learningRateAt(options.schedule, step)));
  });

  test("is shortened to the clip, and told as it was", async () => {
    const first = async (clip?: number): Promise<[number, number]> => {
      const step = toyStep();
      const optimiser = makeAdamW(step.parameters);
      const options = { ...toyTraining({ step, optimiser, accumulate: 1, steps: 1 }), ...(clip !== undefined && { clip }) };
      const { history } = await train(options);
      const moments = [...optimiser.moments.values()].flatMap(({ m }) => [...m]);
      // The first mean of gradients is a tenth of the gradient.
      return [history.steps[0]!.gradientNorm, 10 * Math.hypot(...moments)];
    };
    const [norm, used] = await first(1e9);
    expect(used).toBeCloseTo(norm, 5);
    const [told, clipped] = await first(norm / 3);
    expect(told).toBe(norm);
    expect(clipped).toBeCloseTo(norm / 3, 5);
  });
});

describe("evaluations", () => {
  test("come every so many steps and last; the best is kept", async () => {
    const values = [5, 3, 4];
    const events: TrainEvent[] = [];
    const evaluation = { every: 4, run: async () => ({ loss: values.shift()! }) };
    const { history, best } = await train(toyTraining({ steps: 10, evaluation, onProgress: (event) => events.push(event) }));
    expect(history.evaluations).toEqual([4, 8, 10].map((step, i) => ({ step, values: { loss: [5, 3, 4][i] } })));
    expect(best).toEqual({ step: 8, name: "loss", value: 3 });
    expect(events.flatMap((event) => (event.kind === "evaluation" ? [event.isBest] : []))).toEqual([true, true, false]);
  });

  test("can be best by the highest value, and by none that is not finite", async () => {
    const values = [NaN, 0.2, 0.9, 0.5];
    const evaluation = { every: 1, run: async () => ({ accuracy: values.shift()! }), best: { name: "accuracy", is: "highest" } as const };
    expect((await train(toyTraining({ steps: 4, evaluation }))).best).toEqual({ step: 3, name: "accuracy", value: 0.9 });
  });

  test("of batches weigh each token alike", async () => {
    const step = toyStep();
    const samples = [
      [1, 2, 3, 4],
      [0, 1],
    ].map((tokens) => ({ tokens }));
    const whole = await step.evaluate(batchOf(samples));
    const { loss, count } = await evaluateLoss(step, [batchOf(samples.slice(0, 1)), batchOf(samples.slice(1))]);
    expect(count).toBe(4);
    expect(loss).toBeCloseTo(whole.loss, 12);
    await expect(evaluateLoss(step, [])).rejects.toThrow("no token of the batches counts");
  });
});

describe("what is not finite ends training", () => {
  /** The toy, whose result a step is changed. */
  const failing = (at: number, change: (result: Awaited<ReturnType<TrainStep["run"]>>) => object): TrainStep => {
    const step = toyStep();
    let calls = 0;
    return {
      ...step,
      run: async (batch) => {
        const result = await step.run(batch);
        return calls++ === at ? { ...result, ...change(result) } : result;
      },
    };
  };

  test.each([
    ["a loss", () => ({ loss: NaN }), "cannot take step 6: its loss is NaN"],
    [
      "a gradient",
      () => ({ gradients: new Map([["w", new Float32Array(25).fill(Infinity)]]) }),
      "cannot take step 6: the length of its gradient is Infinity",
    ],
    ["no tokens", () => ({ count: 0 }), "cannot take step 6: no token counts"],
  ])("%s", async (what, change, message) => {
    const folder = path(`diverged-${what.replace(" ", "-")}`);
    const step = failing(5, change);
    const options = toyTraining({ step, accumulate: 1, saving: toySaving(folder, { every: 2 }) });
    await expect(train(options)).rejects.toThrow(message);
    for (const { data } of step.parameters.values()) expect(data.every(Number.isFinite)).toBe(true);
    const kept = await train(toyTraining({ accumulate: 1, steps: 4, saving: toySaving(folder) }));
    expect(kept.step).toBe(4);
  });

  test("and says what to do", async () => {
    const folder = path("advice");
    const options = toyTraining({ step: failing(5, () => ({ loss: NaN })), accumulate: 1, saving: toySaving(folder, { every: 2 }) });
    const message = await train(options).catch((error: Error) => error.message.replace(folder, "FOLDER"));
    expect(message).toMatchInlineSnapshot(
      `"cannot take step 6: its loss is NaN; no parameter was changed by it. Instead: a learning rate below 0.05, a longer warm-up, a clip, or a look at the batch; FOLDER holds step 4, to go on from with changed settings"`,
    );
  });
});

describe("stopping and going on", () => {
  /** All bits that matter. */
  const bitsOf = (folder: string): string[] =>
    ["model.safetensors", "training/state.safetensors", "training/state.json"].map((name) => readFileSync(`${folder}/${name}`, "base64"));
  const whole = path("whole");
  let progress: Progress;
  beforeAll(async () => {
    progress = await train(toyTraining({ saving: toySaving(whole, { every: 20 }) }));
  });

  test("in parts gives the bits of the whole", async () => {
    const folder = path("parts");
    for (const steps of [1, 13, 14, STEPS]) await train(toyTraining({ steps, saving: toySaving(folder, { every: 5 }) }));
    const again = await train(toyTraining({ saving: toySaving(folder) }));
    // The parts had evaluations at their ends.
    expect(again.history.steps).toEqual(progress.history.steps);
    expect(bitsOf(folder).slice(0, 2)).toEqual(bitsOf(whole).slice(0, 2));
  });

  test("by a signal saves first, and gives the bits of the whole", async () => {
    const folder = path("signalled");
    for (const last of [3, 17, 28]) {
      const controller = new AbortController();
      const onProgress = (event: TrainEvent): void => {
        if (event.kind === "step" && event.record.step === last) controller.abort();
      };
      const run = train(toyTraining({ saving: toySaving(folder, { every: 100 }), onProgress, signal: controller.signal }));
      await expect(run).rejects.toMatchObject({ kind: "interrupted", message: `training was interrupted after step ${last}; ${folder} holds it, resume to go on` }); // oxfmt-ignore
    }
    await train(toyTraining({ saving: toySaving(folder, { every: 20 }) }));
    expect(bitsOf(folder)).toEqual(bitsOf(whole));
  });

  test("by a signal inside an evaluation repeats that evaluation", async () => {
    const folder = path("in-evaluation");
    const controller = new AbortController();
    const { evaluation } = toyTraining();
    const run = async (): Promise<never> => {
      controller.abort();
      throw new Error("the model was interrupted");
    };
    const options = toyTraining({ saving: toySaving(folder), evaluation: { ...evaluation!, run }, signal: controller.signal });
    await expect(train(options)).rejects.toMatchObject({ kind: "interrupted" });
    await train(toyTraining({ saving: toySaving(folder, { every: 20 }) }));
    expect(bitsOf(folder)).toEqual(bitsOf(whole));
  });

  test("by SIGKILL at random moments gives the bits of the whole", async () => {
    const folder = path("killed");
    const random = seededRandom(11);
    let [told, kills] = [0, 0];
    for (let round = 0; round < 4; round++) {
      const { signal, saved } = await killedAfter(folder, 3 + Math.floor(5 * random()), 6 * random());
      kills += signal === "SIGKILL" ? 1 : 0;
      told += saved;
      const { step, optimiser } = toyTraining();
      const there = resumeCheckpoint(folder, { parameters: step.parameters, optimiser }).step;
      expect(there, `after kill ${round}, of checkpoints that were said to be saved`).toBeGreaterThanOrEqual(told);
      told = there;
    }
    // On a busy machine a training may end before the signal comes.
    expect(kills).toBeGreaterThan(0);
    await train(toyTraining({ saving: toySaving(folder, { every: 20 }) }));
    expect(bitsOf(folder)).toEqual(bitsOf(whole));
  });
});

/** Trains in a process of its own, killed a few milliseconds after so many checkpoints; what ended it, and how many it said that it saved. */
function killedAfter(folder: string, checkpoints: number, milliseconds: number): Promise<{ signal: string | null; saved: number }> {
  const program = fileURLToPath(new URL("toy-training.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program, folder], { stdio: ["ignore", "pipe", "inherit"] });
  let saved = 0;
  child.stdout.on("data", (text: Buffer) => {
    const before = saved;
    saved += text.length;
    if (before < checkpoints && saved >= checkpoints) setTimeout(() => child.kill("SIGKILL"), milliseconds);
  });
  return new Promise((done) => child.on("close", (_, signal) => done({ signal, saved })));
}
