/** @file Control vectors: the logits that repeng's own module gives, the edits that they are, and what is refused. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { readControlVector, writeControlVector } from "../../src/formats/gguf/control-vector.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { controlVectorEdits, directionsOf, readVectors } from "../../src/runtime/control-vector.js";
import type { Model } from "../../src/runtime/model.js";
import { temporaryFolder } from "../formats/folder.js";
import { apart, loadFixture } from "./support.js";

const { path, write, refusal } = temporaryFolder();
const FOLDER = fileURLToPath(new URL("../fixtures/vectors", import.meta.url));
const file = (name: string): string => `${FOLDER}/${name}`;
const expected = readSafetensors(file("expected.safetensors"));
const open: Model[] = [];
afterAll(() => Promise.all(open.map((model) => model.close())));

async function load(name: string): Promise<Model> {
  const model = await loadFixture(name);
  open.push(model);
  return model;
}

function vector(...values: number[]): Tensor {
  return tensor(Float32Array.from(values), [values.length]);
}

describe.each(["gpt-neo-mixed-untied", "gemma3-old-style"])("a control vector of repeng for %s", (name) => {
  const tokens = [[...expected.get(`${name}.tokens`)!.data]];

  // Float32 sums of 32 terms over three layers; the largest difference seen is 1.1e-6, one layer off it is 0.53 and more.
  test.each([
    ["both", { strength: 1.5 }],
    ["one", { strength: 2, layers: [1] }],
    ["minus", { strength: -1 }],
  ] as const)("gives the logits of its ControlModel: %s", async (key, options) => {
    const model = await load(name);
    const edits = controlVectorEdits(file(`${name}.gguf`), options);
    const { logits } = await model.forward({ tokens, edits, logits: { positions: "all" } });
    expect(apart(logits, expected.get(`${name}.${key}`))).toBeLessThan(1e-5);
    const shifted = edits.map((edit) => ({ ...edit, at: `resid_post.${Number(edit.at.slice(-1)) - 1}` }));
    const other = await model.forward({ tokens, edits: shifted, logits: { positions: "all" } });
    expect(apart(other.logits, expected.get(`${name}.${key}`))).toBeGreaterThan(0.1);
  });

  test("is the same as adding its directions by hand, in a run and in a generation", async () => {
    const model = await load(name);
    const { tensors } = readVectors(file(`${name}.gguf`));
    const resume = tokens[0]!.slice(0, 4);
    const plain = await model.forward({ tokens, read: ["resid_post.1"], logits: false });
    const added = { ...plain.activations["resid_post.1"]! };
    const direction = tensors.get("direction.1")!;
    const sum = Float32Array.from(added.data, (value, i) => value + Math.fround(direction.data[i % 32]! * 0.5));
    const edits = controlVectorEdits(file(`${name}.gguf`), { strength: 0.5, layers: [1] });
    const controlled = await model.forward({ tokens, edits, read: ["resid_post.1"], logits: false });
    expect(apart(controlled.activations["resid_post.1"], { ...added, data: sum })).toBeLessThan(1e-6);
    const steered = await model.generate({ tokens: [resume], maxNew: 4, stopTokens: [], edits });
    const anew = await model.generate({ tokens: [resume], maxNew: 4, stopTokens: [], edits, recompute: true });
    expect(steered.tokens).toEqual(anew.tokens);
  });
});

describe("the same directions in other formats", () => {
  const wanted = directionsOf(readVectors(file("gpt-neo-mixed-untied.gguf")).tensors, "x");

  test.each(["named.npz", "named.safetensors", "named.pt"])("%s", (name) => {
    expect(directionsOf(readVectors(file(name)).tensors, name)).toEqual(wanted);
  });

  test("are written as repeng writes them, byte for byte", () => {
    for (const name of ["gpt-neo-mixed-untied", "gemma3-old-style"]) {
      const { tensors, modelHint } = readControlVector(file(`${name}.gguf`));
      const inOrder = new Map([...tensors].map(([key, { data }]) => [Number(key.split(".")[1]), data]));
      writeControlVector(path("again.gguf"), modelHint!, inOrder);
      expect(readFileSync(path("again.gguf")).equals(readFileSync(file(`${name}.gguf`)))).toBe(true);
    }
  });

  test("are known by their content, not by their name", () => {
    const bytes = readFileSync(file("named.npz"));
    expect(readVectors(write("vectors.safetensors.bin", bytes)).format).toBe("npz");
    expect(readVectors(write("joy", readFileSync(file("gemma3-old-style.gguf"))))).toMatchObject({
      format: "control vector",
      modelHint: "gemma3",
    });
    expect(readVectors(file("named.pt")).format).toBe("torch");
  });

  test("have axes where their names say which", () => {
    const axes = (name: string): unknown => [...readVectors(file(name)).tensors].map(([key, value]) => [key, value.axes]);
    expect(axes("named.npz")).toEqual([
      ["blocks.2.hook_resid_post", ["d_model"]],
      ["blocks.1.hook_resid_post", ["d_model"]],
    ]);
    expect(axes("named.pt")).toEqual([
      ["2", []],
      ["1", []],
    ]);
  });
});

describe("refused", () => {
  const edits = (tensors: Record<string, Tensor>, options = {}): string =>
    refusal(() => controlVectorEdits(new Map(Object.entries(tensors)), options));

  test("what is no control vector", () => {
    expect(
      [
        edits({}),
        edits({ "direction.1": vector(1, 2), bias: vector(1) }),
        edits({ "direction.1": vector(1, 2), "resid_post.1": vector(1, 2) }),
        edits({ "direction.1": vector(1, 2), "direction.2": vector(1) }),
        edits({ "resid_pre.1": vector(1, 2) }),
        edits({ "direction.1": tensor(new Float32Array(4), [2, 2]) }),
        edits({ "direction.1": tensor(Int32Array.of(1), [1]) }),
        edits({ "direction.1": vector(1, NaN) }),
        edits({ "direction.-1": vector(1) }),
        edits({ "direction.1": vector(1), "3": vector(2) }, { layers: [1, 2] }),
        edits({ "direction.1": vector(1) }, { strength: Infinity }),
      ].join("\n"),
    ).toMatchInlineSnapshot(`
      "request: the control vector has no directions
      request: the control vector: "bias" is no direction of a layer; those are called direction.N, resid_post.N or N
      request: the control vector: "resid_post.1" is a second direction of layer 1
      request: the control vector: its directions have different lengths, 2 and 1
      request: the control vector: "resid_pre.1" is no direction of a layer; those are called direction.N, resid_post.N or N
      request: the control vector: "direction.1" has shape [2, 2], a direction is one vector
      request: the control vector: "direction.1" holds whole numbers, a direction is of floats
      request: the control vector: "direction.1" holds values that are not finite
      request: the control vector: "direction.-1" is no direction of a layer; those are called direction.N, resid_post.N or N
      request: the control vector has no direction of layer 2; it has layers 1, 3
      request: the strength of a control vector must be a number, got Infinity"
    `);
  });

  test("a direction of a layer that the model lacks, or of another width", async () => {
    const model = await load("gpt2-hub-names");
    const run = (name: string, width: number): Promise<unknown> =>
      model.forward({ tokens: [[1, 2]], edits: controlVectorEdits(new Map([[name, tensor(new Float32Array(width).fill(1), [width])]])) });
    await expect(run("direction.2", 32)).rejects.toThrow(/resid_post\.2: the model has layers 0 to 1/);
    await expect(run("direction.1", 31)).rejects.toThrow(/31/);
  });

  test("a model where a control vector is asked for, and the other way round", () => {
    expect(
      refusal(() => readVectors(fileURLToPath(new URL("../fixtures/gguf/llama.gguf", import.meta.url)))).replaceAll(/\S*fixtures/g, ""),
    ).toMatchInlineSnapshot(
      `"format: cannot read vectors from /gguf/llama.gguf: it is a GGUF file of the architecture "llama", a control vector's is "controlvector". Instead: a model is given as MODEL"`,
    );
  });

  test("writing what llama.cpp would not take", () => {
    const written = (layers: number[]): string =>
      refusal(() => writeControlVector(path("x.gguf"), "llama", new Map(layers.map((layer) => [layer, Float32Array.of(1)]))));
    expect([written([0, 1]), written([])].join("\n")).toMatchInlineSnapshot(`
      "request: cannot write a direction of layer 0 for llama.cpp: it adds nothing after layer 0, and refuses the whole file. Instead: leave that layer out
      request: cannot write TMP/x.gguf: a control vector needs a direction"
    `);
  });
});
