/** @file Checkpoints: a model folder like any other, with what training needs inside; whatever does not fit is refused by name. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readJsonObject } from "../../src/formats/json-file.js";
import { openCheckpoint, readSafetensors } from "../../src/formats/safetensors.js";
import { hasCheckpoint, resumeCheckpoint, saveCheckpoint, type ModelFiles } from "../../src/training/checkpoint.js";
import type { Progress } from "../../src/training/history.js";
import { makeAdamW } from "../../src/training/optimiser.js";
import type { Parameter } from "../../src/training/step-types.js";
import { train } from "../../src/training/train.js";
import { temporaryFolder } from "../formats/folder.js";
import { CONFIG, toySaving, toyTraining } from "./toy-training.js";

const { path, write, refusal } = temporaryFolder();
const model: ModelFiles = { config: CONFIG };
const settings = { schedule: { peak: 1, decay: "linear" }, seed: 3 };
const progress: Progress = {
  step: 2,
  history: {
    steps: [
      { step: 1, loss: 0.1 + 0.2, learningRate: 1 / 3, gradientNorm: 1e-300, tokens: 7 },
      { step: 2, loss: Math.PI, learningRate: 0, gradientNorm: 5, tokens: 8, reward: 0.7 },
    ],
    evaluations: [{ step: 2, values: { loss: 0.1, share: NaN } }],
  },
  best: { step: 2, name: "loss", value: 0.1 },
};

interface State {
  readonly parameters: Map<string, Parameter>;
  readonly optimiser: ReturnType<typeof makeAdamW>;
}

/** Parameters after an update, so that their moments are not 0. */
function trained(start = 1, shapes: Readonly<Record<string, readonly number[]>> = { "a.weight": [2, 3], "b.bias": [3] }): State {
  const values = (shape: readonly number[]): Float32Array =>
    Float32Array.from({ length: shape.reduce((x, y) => x * y) }, (_, i) => start / (i + 3));
  const parameters = new Map(Object.entries(shapes).map(([name, shape]) => [name, { data: values(shape), shape }]));
  const optimiser = makeAdamW(parameters);
  optimiser.update(new Map([...parameters].map(([name, { shape }]) => [name, values(shape)])), { learningRate: 0.1 });
  return { parameters, optimiser };
}

function saved(name: string, state = trained()): string {
  saveCheckpoint(path(name), { ...state, progress, settings, model });
  return path(name);
}

describe("saveCheckpoint", () => {
  test("writes a model folder that others can load", () => {
    const folder = saved("plain");
    expect(readdirSync(folder).toSorted()).toEqual(["config.json", "generation_config.json", "model.safetensors", "training"]);
    expect(readJsonObject(`${folder}/config.json`)).toEqual({ ...CONFIG, torch_dtype: "float32" });
    expect(readJsonObject(`${folder}/generation_config.json`)).toEqual({ _from_model_config: true, eos_token_id: 2 });
    const checkpoint = openCheckpoint(folder);
    checkpoint.close();
    expect([...checkpoint.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ["a.weight", "F32", [2, 3]],
      ["b.bias", "F32", [3]],
    ]);
    expect(checkpoint.metadata.get("format")).toBe("pt");
    const state = readSafetensors(`${folder}/training/state.safetensors`);
    expect([...state.keys()].toSorted()).toEqual(["m.a.weight", "m.b.bias", "v.a.weight", "v.b.bias"]);
  });

  test("takes the tokenizer's files along, those that are given first", () => {
    write("origin/tokenizer.json", '{"a":1}');
    write("origin/merges.txt", "a b");
    write("origin/generation_config.json", '{"eos_token_id":9}');
    write("origin/model.safetensors", "not to be taken");
    const files = { "merges.txt": "c d", "README.md": "trained" };
    saveCheckpoint(path("tokens"), { ...trained(), progress, settings, model: { ...model, tokenizerFrom: path("origin"), files } });
    const read = (name: string): string => readFileSync(path(`tokens/${name}`), "utf8");
    expect(["tokenizer.json", "merges.txt", "README.md", "generation_config.json"].map(read)).toEqual([
      '{"a":1}',
      "c d",
      "trained",
      '{"eos_token_id":9}',
    ]);
  });

  test("never takes the place of a model that training did not make", () => {
    const file = write("precious/model.safetensors", "a year's work");
    expect(refusal(() => saved("precious"))).toBe(
      "request: cannot save a checkpoint in TMP/precious: there is a model that would be lost. " +
        "Instead: name a folder that is not there yet, or one that training has made",
    );
    expect(readFileSync(file, "utf8")).toBe("a year's work");
  });
});

describe("resumeCheckpoint", () => {
  test("gives back every bit", () => {
    const state = trained();
    const folder = saved("round", state);
    const other = trained(2);
    expect(resumeCheckpoint(folder, other, settings)).toEqual(progress);
    expect(other.parameters).toEqual(state.parameters);
    expect(other.optimiser.moments).toEqual(state.optimiser.moments);
    expect(other.optimiser.updates).toBe(1);
  });

  test("refuses other settings by their names, unless none are to be compared", () => {
    const folder = saved("settings");
    const changed = { schedule: { peak: 2, decay: "linear", warmUp: 5 }, seed: 3 };
    expect(refusal(() => resumeCheckpoint(folder, trained(2), changed))).toBe(
      "request: cannot go on from TMP/settings: it was trained otherwise: schedule.peak was 1, is 2; schedule.warmUp was not given, is 5. " +
        "Instead: repeat what it was begun with, or name another folder",
    );
    expect(resumeCheckpoint(folder, trained(2)).step).toBe(2);
  });

  test("refuses other tensors by their names and fills nothing", () => {
    const folder = saved("shapes");
    const other = trained(2, { "a.weight": [3, 2], "c.weight": [1, 1] });
    const before = structuredClone([...other.parameters]);
    expect(refusal(() => resumeCheckpoint(folder, other, settings))).toBe(
      'weights: cannot go on from TMP/shapes: of its tensors, "c.weight" is missing; "b.bias" has no place; "a.weight" is [2, 3] there, [3, 2] here. ' +
        "Instead: give the configuration that it was begun with",
    );
    expect([...other.parameters]).toEqual(before);
  });

  test("refuses a state that is missing a part, or is not one", () => {
    const folder = saved("parts");
    rmSync(`${folder}/training/state.safetensors`);
    const state = trained(2);
    const before = structuredClone([...state.parameters]);
    expect(refusal(() => resumeCheckpoint(folder, state, settings))).toContain("state.safetensors");
    expect([...state.parameters]).toEqual(before);
    write("parts/training/state.json", "{}");
    expect(refusal(() => resumeCheckpoint(folder, state))).toContain('does not say that it is version 1 of "sextant training"');
  });

  test.each([
    ['"step":2', '"step":"two"', 'step must be a number, got the string "two"'],
    ['"step":2', '"step":1', "step must be a whole number, not below the 2 steps of its history, got 1"],
    ['"tokens":[7,8]', '"tokens":[7]', "the columns of steps have different lengths, 2, 1"],
    ['"tokens":[7,8]', '"tokens":[7,null]', "steps.tokens[1] must be a number, got null"],
    ['"tokens":[7,8]', '"token":[7,8]', "steps.tokens must be a list, got undefined"],
    ['"reward":[null,0.7]', '"reward":[null]', "the columns of steps have different lengths, 2, 1"],
    ['"reward":[null,0.7]', '"reward":["much",0.7]', 'steps.reward[0] must be a number, got the string "much"'],
    ['"evaluations":[{"step":2,', '"evaluations":[{"step":null,', "step of an evaluation must be a number, got null"],
    ['"name":"loss"', '"name":1', "name of best must be a string, got the number 1"],
  ])("refuses a history in which %s is %s", (from, to, message) => {
    const folder = saved("history");
    const text = readFileSync(`${folder}/training/state.json`, "utf8");
    expect(text).toContain(from);
    write("history/training/state.json", text.replace(from, to));
    expect(refusal(() => resumeCheckpoint(folder, trained(2)))).toContain(message);
  });
});

describe("training in a folder", () => {
  test("never begins anew where there is a checkpoint", async () => {
    const folder = saved("taken");
    const { resume: _, ...saving } = toySaving(folder);
    await expect(train(toyTraining({ saving }))).rejects.toThrow(
      `cannot begin training in ${folder}: there is a checkpoint that would be lost. Instead: resume it, or name another folder`,
    );
  });

  test("goes on with changed settings where that is wanted", async () => {
    const folder = path("changed");
    await train(toyTraining({ steps: 3, saving: toySaving(folder) }));
    const changed = { schedule: { peak: 0.001, steps: 10 }, steps: 5 };
    await expect(train(toyTraining({ ...changed, saving: toySaving(folder) }))).rejects.toThrow("schedule.peak was 0.05, is 0.001");
    const { history } = await train(toyTraining({ ...changed, saving: toySaving(folder, { resume: "changed" }) }));
    expect(history.steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    expect(history.steps[4]!.learningRate).toBeLessThan(0.001);
  });

  test("keeps the best apart", async () => {
    const values = [3, 1, 2];
    const bestFolder = path("best");
    const evaluation = { every: 2, run: async () => ({ loss: values.shift()! }) };
    await train(toyTraining({ steps: 6, evaluation, saving: toySaving(path("last"), { bestFolder, every: 100 }) }));
    expect(resumeCheckpoint(bestFolder, toyState()).step).toBe(4);
    expect(resumeCheckpoint(path("last"), toyState()).step).toBe(6);
    expect(hasCheckpoint(path("nowhere"))).toBe(false);
    expect(existsSync(path("nowhere"))).toBe(false);
  });
});

function toyState(): Pick<State, "optimiser"> & Pick<ReturnType<typeof toyTraining>["step"], "parameters"> {
  const { step, optimiser } = toyTraining();
  return { parameters: step.parameters, optimiser };
}
