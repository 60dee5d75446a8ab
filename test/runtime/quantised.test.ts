/**
 * @file Models with quantised weights: their blocks stand for the checkpoint's matrices, whatever the layout; products, gradients and edits are those of the
 * blocks; GGUF blocks come over as they are; and the files appear in the cache once.
 */
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { seededRandom } from "../../src/base/random.js";
import { sizeOf, tensor, type Tensor } from "../../src/base/tensor.js";
import { readText } from "../../src/formats/json-file.js";
import { widenRows } from "../../src/formats/quantise.js";
import type { Checkpoint } from "../../src/formats/checkpoint.js";
import { writeSafetensors, writeStreamed } from "../../src/formats/safetensors-writer.js";
import { linearsOf } from "../../src/models/quantised.js";
import type { LinearSpec, ModelSpec } from "../../src/models/spec.js";
import { compareModels } from "../../src/runtime/compare-models.js";
import { weightBytes } from "../../src/runtime/forecast.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import type { Model, Progress } from "../../src/runtime/model.js";
import { quantiseModel } from "../../src/runtime/quantised-model.js";
import { leastMemory, residenceWithin } from "../../src/runtime/residence.js";
import { equalityChecks } from "../../src/runtime/verify/equalities.js";
import { identityChecks } from "../../src/runtime/verify/identities.js";
import { verifyModel } from "../../src/runtime/verify.js";
import { openWeights } from "../../src/runtime/weights.js";
import { readPart } from "../../src/runtime/weights-part.js";
import { temporaryFolder } from "../formats/folder.js";
import { FIXTURE_FOLDERS, TINY_FOLDERS } from "../parity/subjects.js";
import { writeLlama } from "./made-llama.js";
import { fixture, rowsOf } from "./support.js";

const { path } = temporaryFolder();
const GGUF = fileURLToPath(new URL("../fixtures/gguf", import.meta.url));
const gguf = (name: string): string => `${GGUF}/${name}.gguf`;
const INDUCTION = fileURLToPath(new URL("../../models/induction", import.meta.url));
const tokens = rowsOf(8, 5);

const before = process.env["SEXTANT_CACHE"];
beforeAll(() => useCache("cache"));
afterAll(() => {
  if (before === undefined) delete process.env["SEXTANT_CACHE"];
  else process.env["SEXTANT_CACHE"] = before;
});

function useCache(name: string): void {
  process.env["SEXTANT_CACHE"] = path(name);
}

type Weights = "float32" | "int8" | "int4";

async function withModel<T>(at: string, weights: Weights, use: (model: Model) => Promise<T>): Promise<T> {
  const model = await loadModel(at, { threads: 1, lazy: true, weights });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

/** What the blocks of a map stand for: out, in. */
function blocksOf(checkpoint: Checkpoint, { in: width, quantised }: LinearSpec): Float32Array {
  const { packed, scales, bits, block } = quantised!;
  return widenRows({ packed: checkpoint.readBytes(packed.name), scales: checkpoint.readFloat32(scales.name) }, width, { bits, block });
}

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function apart(ours: Tensor, theirs: Tensor): number {
  return largest(ours.data.map((value, i) => value - theirs.data[i]!)) / largest(theirs.data);
}

describe.each([...FIXTURE_FOLDERS, ...TINY_FOLDERS])("$name", ({ folder }) => {
  it("has every map but the routers in blocks that stand for its rows, in whatever layout these are", () => {
    const base = readSpec(folder);
    const { spec, checkpoint } = quantiseModel(base, "int8");
    const floats = readSpec(folder).checkpoint;
    const maps = linearsOf(spec);
    const routers = spec.layers.flatMap(({ mlp }) => (mlp?.kind === "experts" ? [mlp.router.weight.name] : []));
    expect(maps.filter(({ quantised }) => !quantised).map(({ weight }) => weight.name)).toEqual(routers);
    for (const map of maps.filter(({ quantised }) => quantised)) {
      const rows = readPart(floats, map, { first: "out" });
      const found = blocksOf(checkpoint, map);
      const off = rows.map((value, i) => value - found[i]!);
      // Half a step of 1/127 of the block's largest.
      expect(largest(off), map.quantised!.packed.name).toBeLessThanOrEqual((0.5001 * largest(rows)) / 127);
      expect(largest(rows)).toBeGreaterThan(0);
    }
    checkpoint.close();
    floats.close();
  });
});

/** The model in a folder of its own, with what its blocks stand for in place of the matrices; for maps stored as rows by output. */
function dequantised(folder: string, weights: Weights, name: string): string {
  const { spec, checkpoint } = quantiseModel(readSpec(folder), weights);
  const base = readSpec(folder).checkpoint;
  const values = new Map([...base.tensors].map(([key, { shape }]) => [key, tensor(base.readFloat32(key), shape)] as const));
  for (const map of linearsOf(spec).filter(({ quantised }) => quantised)) {
    const { name: key, offset = 0 } = map.weight;
    const found = blocksOf(checkpoint, map);
    const target = values.get(key)!.data as Float32Array;
    if (map.layout === "out_in") target.set(found, offset);
    else for (let i = 0; i < map.in; i++) for (let o = 0; o < map.out; o++) target[offset + i * map.out + o] = found[o * map.in + i]!;
  }
  checkpoint.close();
  base.close();
  mkdirSync(path(name), { recursive: true });
  writeSafetensors(path(`${name}/model.safetensors`), Object.fromEntries(values));
  writeFileSync(path(`${name}/config.json`), readText(`${folder}/config.json`));
  return path(name);
}

/** Untied unembeddings, so that the embedding stays as it is; rows and columns first, packed and separate projections, parallel and sequential. */
const UNTIED = [
  "bloom-five-heads-untied",
  "gpt-neo-mixed-untied",
  "opt-pre-projected-untied",
  "phi-qk-layernorm-gqa",
  "qwen3-moe-dense-first",
];

describe.each(UNTIED)("%s with four bits", (name) => {
  it("computes what a float model with the same matrices does, but for the rounding of activations to 8 bits", async () => {
    const twin = dequantised(fixture(name), "int4", `twin-${name}`);
    const run = { tokens, read: ["all"], logits: { positions: "all" } } as const;
    const ours = await withModel(fixture(name), "int4", (model) => model.forward(run));
    const theirs = await withModel(twin, "float32", (model) => model.forward(run));
    const floats = await withModel(fixture(name), "float32", (model) => model.forward(run));
    // Seen are 0.01 to 0.03; what the four bits do to the logits is 0.1 to 0.4.
    expect(apart(ours.logits!, theirs.logits!)).toBeLessThan(0.06);
    expect(apart(ours.logits!, floats.logits!)).toBeGreaterThan(0.08);
  });

  it("has the gradients of the float model with the same matrices", async () => {
    const twin = dequantised(fixture(name), "int4", `twin-${name}`);
    const request = { tokens: [tokens[0]!], of: "logprobs[-1,3]", at: ["resid_pre.0", "resid_pre.1"], parameters: true } as const;
    const ask = (model: Model) => model.gradient(request);
    const ours = await withModel(fixture(name), "int4", ask);
    const theirs = await withModel(twin, "float32", ask);
    for (const address of request.at) expect(apart(ours.gradients[address]!, theirs.gradients[address]!), address).toBeLessThan(0.2);
    // A key's bias moves all scores of a query alike, so its gradient is 0 but for rounding.
    const names = Object.keys(ours.parameters).filter((key) => !key.endsWith("k_proj.bias"));
    expect(names.length).toBeGreaterThan(4);
    for (const key of names) expect(apart(ours.parameters[key]!, theirs.parameters[key]!), key).toBeLessThan(0.3);
  });
});

/** With head_out's own form, gelu and norms by columns, experts, sandwich norms and soft caps. */
describe.each(["gpt2-hub-names", "gemma3-old-style", "gpt-oss-yarn-old-style"])("%s with four bits", (name) => {
  it("keeps its identities, and computes the same in every way, as far as rounded activations allow", async () => {
    await withModel(fixture(name), "int4", async (model) => {
      const subject = { model, tokens, options: {} };
      const checks = [];
      for await (const check of identityChecks(subject)) checks.push(check);
      for await (const check of equalityChecks(subject)) checks.push(check);
      expect(checks.length).toBeGreaterThan(40);
      expect(checks.filter(({ verdict }) => verdict === "differs")).toEqual([]);
    });
  });
});

describe("GGUF files", () => {
  const files = readdirSync(GGUF).filter((name) => name.endsWith(".gguf") && name !== "types.gguf");

  it.each(files)("%s: blocks that so many bits hold come over to the last bit, the others rounded", (file) => {
    const at = `${GGUF}/${file}`;
    const { spec, checkpoint } = quantiseModel(readSpec(at), "int8");
    const floats = readSpec(at).checkpoint;
    const forms = new Set<string>();
    for (const map of linearsOf(spec)) {
      const rows = readPart(floats, map, { first: "out" });
      const found = blocksOf(checkpoint, map);
      const type = floats.stored(map.weight.name).storedAs ?? "floats";
      forms.add(`${type} ${map.quantised!.bits}/${map.quantised!.block}`);
      const isExact = ["Q4_0", "Q5_0", "Q8_0", "Q3_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ2_XXS"].includes(type);
      if (isExact) expect(found.map((value) => value + 0)).toEqual(rows.map((value) => value + 0));
      else expect(largest(rows.map((value, i) => value - found[i]!))).toBeLessThanOrEqual((0.5001 * largest(rows)) / 127);
    }
    expect(forms.size).toBeGreaterThan(0);
    checkpoint.close();
    floats.close();
  });

  test("are run without a file of float32 weights", async () => {
    useCache("direct");
    const ids = [[5, 9, 2, 7]];
    const ours = await withModel(gguf("llama"), "int8", (model) => model.forward({ tokens: ids }));
    expect(existsSync(path("direct/gguf"))).toBe(false);
    expect(readdirSync(path("direct/quantised")).filter((name) => name.endsWith(".safetensors"))).toHaveLength(1);
    const theirs = await withModel(gguf("llama"), "float32", (model) => model.forward({ tokens: ids }));
    expect(apart(ours.logits!, theirs.logits!)).toBeLessThan(0.1);
    useCache("cache");
  });
});

/** The fixture's gpt-oss with four experts of four-bit floats a layer, 32 wide. */
function writeMxfp4(folder: string): void {
  const source = fixture("gpt-oss-yarn-old-style");
  const { checkpoint } = readSpec(source);
  const random = seededRandom(2);
  const bytes = (shape: readonly number[], from: number, to: number): Uint8Array =>
    Uint8Array.from({ length: sizeOf(shape) }, () => from + Math.floor(random() * (to - from)));
  const entry = (name: string, dtype: "U8" | "F32", shape: readonly number[], data: Uint8Array) => ({
    name,
    dtype,
    shape,
    pieces: () => [data],
  });
  const tensors = [...checkpoint.tensors].flatMap(([name, { shape }]) => {
    const out = /experts\.(gate_up|down)_proj/.test(name) ? (name.includes("gate_up") ? 64 : 32) : 0;
    if (name.endsWith("_proj_bias")) return [entry(name, "F32", [4, out], new Uint8Array(4 * 4 * out))];
    if (out === 0) return [entry(name, "F32", shape, new Uint8Array(checkpoint.readFloat32(name).buffer))];
    const [blocks, scales] = [
      [4, out, 1, 16],
      [4, out, 1],
    ];
    return [entry(`${name}_blocks`, "U8", blocks, bytes(blocks, 0, 256)), entry(`${name}_scales`, "U8", scales, bytes(scales, 122, 126))];
  });
  checkpoint.close();
  writeStreamed(`${folder}/model.safetensors`, tensors);
  const config = JSON.parse(readText(`${source}/config.json`)) as object;
  writeFileSync(
    `${folder}/config.json`,
    JSON.stringify({ ...config, intermediate_size: 32, quantization_config: { quant_method: "mxfp4" } }),
  );
}

describe("what is quantised", () => {
  const specOf = (folder: string, weights: Weights): ModelSpec => {
    const { spec, checkpoint } = quantiseModel(readSpec(folder), weights);
    checkpoint.close();
    return spec;
  };

  test("the unembedding has 8 bits, the maps 8 or 4, and the model takes so much less", () => {
    const [four, eight] = [specOf(INDUCTION, "int4"), specOf(INDUCTION, "int8")];
    expect(four.head.unembed.quantised?.bits).toBe(8);
    expect(new Set(linearsOf(four).map(({ quantised }) => quantised?.bits))).toEqual(new Set([4, 8]));
    expect(new Set(linearsOf(eight).map(({ quantised }) => quantised?.bits))).toEqual(new Set([8]));
    const bytesOf = (spec: ModelSpec): number =>
      linearsOf(spec).reduce((sum, { quantised: q }) => sum + (q ? sizeOf(q.packed.shape) + 4 * sizeOf(q.scales.shape) : 0), 0);
    const floats = readSpec(INDUCTION).spec;
    const mapBytes = linearsOf(floats).reduce((sum, { in: width, out }) => sum + 4 * width * out, 0);
    expect(weightBytes(floats) - weightBytes(eight)).toBe(mapBytes - bytesOf(eight));
    expect(weightBytes(four)).toBeLessThan(weightBytes(eight));
  });

  test("four-bit floats stay as they are, and are computed beside the blocks of the other maps", async () => {
    const folder = path("mxfp4");
    mkdirSync(folder);
    writeMxfp4(folder);
    const spec = specOf(folder, "int8");
    const maps = linearsOf(spec).length;
    const { attention, mlp } = spec.layers[0]!;
    const layouts =
      mlp?.kind === "experts" ? mlp.experts.flatMap((one) => (one.kind === "clamped" ? [one.gateUp.layout, one.down.layout] : [])) : [];
    expect(layouts).toEqual(Array(8).fill("mxfp4"));
    expect(attention.out.quantised?.bits).toBe(8);
    // q, k, v, out and router of two layers, and the unembedding.
    expect(maps).toBe(11);
    const run = (weights: Weights) => withModel(folder, weights, (model) => model.forward({ tokens, logits: { positions: "all" } }));
    const [ours, theirs] = [await run("int8"), await run("float32")];
    expect(apart(ours.logits!, theirs.logits!)).toBeLessThan(0.1);
    expect(largest(theirs.logits!.data)).toBeGreaterThan(0.01);
  });

  test("weights by role are the checkpoint's own", () => {
    const [ours, theirs] = [
      openWeights(fixture("gpt2-hub-names"), specOf(fixture("gpt2-hub-names"), "int4")),
      readSpec(fixture("gpt2-hub-names")),
    ];
    const weights = openWeights(fixture("gpt2-hub-names"), theirs.spec);
    expect(ours.output(0, 1)).toEqual(weights.output(0, 1));
    expect(ours.unembedding()).toEqual(weights.unembedding());
    for (const open of [ours, weights, theirs.checkpoint]) open.close();
  });

  test("a quantised matrix has no gradient, and all others have", async () => {
    await withModel(INDUCTION, "int8", async (model) => {
      const [map] = linearsOf(model.spec);
      const request = { tokens: [tokens[0]!], of: "logits[-1,3]" } as const;
      await expect(model.gradient({ ...request, parameters: [map!.weight.name] })).rejects.toThrow(
        `"${map!.weight.name}" is quantised and has no gradient; load the model with float32 weights`,
      );
      const { parameters } = await model.gradient({ ...request, parameters: true });
      const quantised = new Set(linearsOf(model.spec).map(({ weight }) => weight.name));
      expect(Object.keys(parameters).length).toBeGreaterThan(0);
      expect(Object.keys(parameters).filter((name) => quantised.has(name))).toEqual([]);
    });
  });

  test("logits of a few tokens are those of all", async () => {
    await withModel(fixture("phi3-longrope-crossing"), "int8", async (model) => {
      const all = await model.forward({ tokens: [tokens[0]!] });
      const few = await model.forward({ tokens: [tokens[0]!], logits: { tokens: [3, 17] } });
      expect([...few.logits!.data]).toEqual([all.logits!.data[3], all.logits!.data[17]]);
    });
  });
});

test("a quantised model larger than the memory runs block by block, its unembedding in slices, and computes the same", async () => {
  const folder = path("grown");
  mkdirSync(folder);
  writeLlama(folder, { layers: 4, dModel: 64, dMlp: 160, vocab: 3001 });
  const { spec, checkpoint } = quantiseModel(readSpec(folder), "int8");
  checkpoint.close();
  const limit = leastMemory(spec);
  expect(limit).toBeLessThan(weightBytes(spec));
  expect(residenceWithin(spec, limit)!.slices).toBeGreaterThan(1);
  const whole = await withModel(folder, "int8", (model) => model.forward({ tokens: rowsOf(3) }));
  const streamed = await loadModel(folder, { threads: 1, weights: "int8", memoryLimit: limit });
  const { logits } = await streamed.forward({ tokens: rowsOf(3) });
  // Float32 sums of 64 terms, in the kernel's order of the outputs at hand.
  expect(apart(logits!, whole.logits!)).toBeLessThan(1e-5);
  await streamed.close();
});

describe("the cache", () => {
  const made = (name: string): string[] => readdirSync(path(`${name}/quantised`)).filter((file) => file.endsWith(".safetensors"));

  test("is filled once a form, and used again", async () => {
    useCache("once");
    const steps: Progress[] = [];
    const load = (weights: Weights) => loadModel(INDUCTION, { threads: 1, lazy: true, weights, onProgress: (step) => steps.push(step) });
    await (await load("int8")).close();
    expect(steps.some(({ stage }) => stage === "weights")).toBe(true);
    const [first] = made("once");
    const { mtimeMs } = statSync(path(`once/quantised/${first}`));
    steps.length = 0;
    await (await load("int8")).close();
    expect(steps.some(({ stage }) => stage === "weights")).toBe(false);
    expect(statSync(path(`once/quantised/${first}`)).mtimeMs).toBe(mtimeMs);
    await (await load("int4")).close();
    expect(made("once")).toHaveLength(2);
    useCache("cache");
  });

  test("is left as it was when loading is stopped", async () => {
    useCache("stopped");
    const controller = new AbortController();
    const loading = loadModel(INDUCTION, { weights: "int4", signal: controller.signal, onProgress: () => controller.abort() });
    await expect(loading).rejects.toSatisfy((error) => isSextantError(error, "interrupted"));
    expect(made("stopped")).toEqual([]);
    useCache("cache");
  });
});

describe("refused", () => {
  test("another form, and a golden of float weights", async () => {
    await expect(loadModel(INDUCTION, { weights: "int2" as Weights })).rejects.toThrow(
      "weights must be one of float32, int8, int4, got int2",
    );
    await withModel(INDUCTION, "int8", async (model) => {
      await expect(verifyModel(model, { golden: { runs: [], continuations: [] } })).rejects.toThrow(
        "its weights are quantised, the golden's are not",
      );
    });
  });

  test("weights that are not finite, by name", async () => {
    mkdirSync(path("broken"));
    const { checkpoint, spec } = readSpec(INDUCTION);
    const [map] = linearsOf(spec);
    const values = [...checkpoint.tensors].map(([key, { shape }]) => [key, tensor(checkpoint.readFloat32(key), shape)] as const);
    checkpoint.close();
    (values.find(([key]) => key === map!.weight.name)![1].data as Float32Array)[7] = NaN;
    writeSafetensors(path("broken/model.safetensors"), Object.fromEntries(values));
    writeFileSync(path("broken/config.json"), readText(`${INDUCTION}/config.json`));
    await expect(loadModel(path("broken"), { weights: "int4" })).rejects.toThrow(
      `cannot quantise tensor "${map!.weight.name}": it holds values that are not finite`,
    );
  });

  test("a comparison of models that are not of one shape", async () => {
    await withModel(INDUCTION, "float32", (one) =>
      withModel(fixture("gpt2-hub-names"), "float32", async (other) => {
        await expect(compareModels(one, other, { tokens })).rejects.toThrow("compareModels: the models are not of one shape");
      }),
    );
  });
});

test("a model is not far from itself, and eight bits are nearer to the floats than four", async () => {
  const folder = fixture("gpt2-hub-names");
  await withModel(folder, "float32", async (floats) => {
    const same = await compareModels(floats, floats, { tokens });
    expect(same).toMatchObject({ positions: 13, kl: { mean: 0, max: 0 }, sameBest: 1 });
    expect(Object.values(same.points).every((value) => value === 0)).toBe(true);
    const far = (weights: Weights) => withModel(folder, weights, (model) => compareModels(floats, model, { tokens }));
    const [eight, four] = [await far("int8"), await far("int4")];
    expect(eight.kl.mean).toBeGreaterThan(0);
    expect(four.kl.mean).toBeGreaterThan(10 * eight.kl.mean);
    expect(four.points["resid_post.1"]).toBeGreaterThan(4 * eight.points["resid_post.1"]!);
    expect(eight.points["resid_post.1"]).toBeLessThan(0.04);
  });
});
