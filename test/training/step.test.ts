/** @file Training steps of whole models: losses and gradients of given tokens, of rewarded ones, and of adapters beside frozen weights. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { tensor } from "../../src/base/tensor.js";
import { initialAdapter, withAdapters } from "../../src/models/lora.js";
import { readSpec } from "../../src/runtime/load.js";
import { WeightFiles } from "../../src/runtime/weight-files.js";
import { countedTokens, openStep, type ModelStep, type StepOptions } from "../../src/training/step.js";
import type { Batch, Parameter } from "../../src/training/step-types.js";
import { modelShelf } from "../parity/subjects.js";
import { apart, fixture, rowsOf } from "../runtime/support.js";
import { fixtureParameters, product } from "./fixture-parameters.js";

const shelf = modelShelf();
const steps: ModelStep[] = [];
afterAll(async () => {
  for (const step of steps) await step.close();
  await shelf.close();
});

function open(name: string, options: StepOptions = {}): ModelStep {
  const { spec, parameters } = fixtureParameters(name);
  return kept(openStep(spec, parameters, { threads: 1, ...options }));
}

function kept(step: ModelStep): ModelStep {
  steps.push(step);
  return step;
}

const tokens = rowsOf(9, 4, 7);
const mask = [
  [1, 0, 0, 1, 1, 0, 1, 1, 1],
  [0, 0, 0, 0],
  [0, 1, 0, 0, 0, 0, 1],
];

describe("the step of given tokens", () => {
  // Tied and untied, pieces of fused tensors, Conv1D with biases, sandwich norms, a projected embedding, experts, learned positions.
  const names = ["gemma3-old-style", "phi3-longrope-crossing", "gpt2-hub-names", "opt-pre-projected-untied", "qwen3-moe-dense-first"];

  test.each(names)("%s: has the loss and all the gradients of `model.gradient`", async (name) => {
    const model = await shelf.open(fixture(name));
    const step = open(name);
    for (const batch of [{ tokens, mask }, { tokens: rowsOf(2, 6) }] as readonly Batch[]) {
      const { loss, count, gradients } = await step.run(batch);
      const theirs = await model.gradient({
        tokens: batch.tokens,
        of: { loss: "cross_entropy", ...(batch.mask && { mask: batch.mask }) },
        parameters: true,
      });
      expect(count).toBe(batch.mask ? 7 : 6);
      expect(loss).toBeCloseTo(
        theirs.values.reduce((total, value) => total + value, 0),
        5,
      );
      expect([...gradients.keys()].toSorted()).toEqual(Object.keys(theirs.parameters).toSorted());
      for (const [key, expected] of Object.entries(theirs.parameters)) {
        const largest = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const ours = tensor(gradients.get(key)!, expected.shape);
        // Float32 with another order of sums: seen are 8e-7 of the largest element. Biases of keys change nothing, so theirs are noise about 0.
        expect(apart(ours, expected) * largest, key).toBeLessThan(2e-5 * largest + 1e-6);
      }
    }
  });

  test("counts a token where its mask is 1, and is predicted by the token before", () => {
    expect(
      countedTokens({
        tokens: [
          [5, 6, 7],
          [8, 9],
        ],
        mask: [
          [1, 0, 1],
          [0, 1],
        ],
      }),
    ).toEqual([
      { row: 0, position: 1, token: 7 },
      { row: 1, position: 0, token: 9 },
    ]);
    expect(countedTokens({ tokens: [[5, 6, 7]] }).map(({ token }) => token)).toEqual([6, 7]);
    expect(() => countedTokens({ tokens: [[5, 6]], mask: [[1, 0]] })).toThrow("no token of the batch counts");
    expect(() => countedTokens({ tokens: [[5]] })).toThrow("no token of the batch counts");
  });

  test("evaluates to the loss it takes, after its parameters changed too", async () => {
    const step = open("llama-longrope-crossing");
    for (let round = 0; round < 2; round++) {
      const { loss, count } = await step.run({ tokens, mask });
      const evaluated = await step.evaluate({ tokens, mask });
      expect(evaluated.loss).toBeCloseTo(loss, 5);
      expect(evaluated.count).toBe(count);
      const { data } = step.parameters.get("lm_head.weight")!;
      const before = evaluated.loss;
      data.forEach((value, i) => (data[i] = value * (1 + (i % 7) / 10)));
      expect(Math.abs((await step.evaluate({ tokens, mask })).loss - before)).toBeGreaterThan(1e-3);
    }
  });

  test("gives the same gradients again, whatever came between", async () => {
    const step = open("gpt2-hub-names");
    const first = await step.run({ tokens, mask });
    const copies = new Map([...first.gradients].map(([name, values]) => [name, values.slice()]));
    await step.run({ tokens: rowsOf(5) });
    const again = await step.run({ tokens, mask });
    expect(again.loss).toBe(first.loss);
    for (const [name, values] of again.gradients) expect(values, name).toEqual(copies.get(name));
  });
});

describe("the step of an adapter", () => {
  const adapted = (name: string): { step: ModelStep; parameters: ReadonlyMap<string, Parameter>; close: () => void } => {
    const { spec, checkpoint } = readSpec(fixture(name));
    const made = withAdapters(spec, { rank: 3, alpha: 5, targets: "all-linear" });
    const parameters = new Map(
      Object.entries(initialAdapter(made.tensors, 4)).map(([key, { data, shape }]) => [key, { data, shape }] as const),
    );
    const step = kept(openStep(made.spec, parameters, { threads: 1, frozen: new WeightFiles(checkpoint) }));
    return { step, parameters, close: () => checkpoint.close() };
  };

  test.each(["gemma3-old-style", "phi3-longrope-crossing", "gpt2-hub-names"])("%s: begins where the model is", async (name) => {
    const { step, close } = adapted(name);
    const { loss } = await open(name).evaluate({ tokens, mask });
    expect((await step.evaluate({ tokens, mask })).loss).toBeCloseTo(loss, 5);
    // B is zero, so nothing of A matters yet.
    const { gradients } = await step.run({ tokens, mask });
    for (const [key, gradient] of gradients)
      expect(
        gradient.some((value) => value !== 0),
        key,
      ).toBe(key.includes("lora_B"));
    close();
  });

  test.each(["gemma3-old-style", "phi3-longrope-crossing", "gpt2-hub-names"])(
    "%s: has the slopes of A and of B, and the weights stay",
    async (name) => {
      const file = `${fixture(name)}/model.safetensors`;
      const before = readFileSync(file);
      const { step, parameters, close } = adapted(name);
      const random = seededRandom(6);
      for (const [key, { data }] of parameters) if (key.includes("lora_B")) data.forEach((_, i) => (data[i] = (random() - 0.5) / 4));
      const { gradients } = await step.run({ tokens, mask });
      expect([...gradients.keys()].toSorted()).toEqual([...parameters.keys()].toSorted());
      for (const matrix of ["lora_A", "lora_B"]) {
        const moved = [...parameters].filter(([key]) => key.includes(matrix));
        // Along the gradient, so that the slope is steep, with noise, so that a wrong element shows.
        const directions = new Map(
          moved.map(([key]) => [key, Float64Array.from(gradients.get(key)!, (slope) => slope + 0.02 * (random() - 0.5))]),
        );
        const expected = moved.reduce((total, [key]) => total + product(gradients.get(key)!, directions.get(key)!), 0);
        const kept0 = moved.map(([, { data }]) => data.slice());
        const lossAt = async (strength: number): Promise<number> => {
          moved.forEach(([key, { data }], m) => data.forEach((_, i) => (data[i] = kept0[m]![i]! + strength * directions.get(key)![i]!)));
          return (await step.evaluate({ tokens, mask })).loss;
        };
        const size = Math.sqrt([...directions.values()].reduce((total, direction) => total + product(direction, direction), 0));
        const by = 0.005 / size;
        const measured = ((await lossAt(by)) - (await lossAt(-by))) / (2 * by);
        await lossAt(0);
        // Differences of losses in float32; seen are up to 8e-4.
        expect(Math.abs(measured / expected - 1), `${matrix}: ${expected} against ${measured}`).toBeLessThan(5e-3);
      }
      close();
      expect(readFileSync(file).equals(before)).toBe(true);
    },
  );

  test("needs to be told where the frozen weights lie", async () => {
    const { spec, parameters } = fixtureParameters("gpt2-hub-names");
    const [[name, first]] = [...parameters] as [[string, Parameter]];
    const step = openStep(spec, new Map([[name, first]]));
    await expect(step.run({ tokens })).rejects.toThrow("is not trained, and nobody says where it lies");
  });
});
