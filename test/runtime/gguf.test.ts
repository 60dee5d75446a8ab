/** @file GGUF files as models: the spec that config.json gives, the logits that transformers gives, and the cache of their weights. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { tensor } from "../../src/base/tensor.js";
import type { Json } from "../../src/models/config.js";
import { readModelSpec } from "../../src/models/read-spec.js";
import { openModelCheckpoint } from "../../src/runtime/gguf-model.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import type { Model, Progress } from "../../src/runtime/model.js";
import { openWeights } from "../../src/runtime/weights.js";
import { temporaryFolder } from "../formats/folder.js";

const { path, refusal } = temporaryFolder();
const FIXTURES = fileURLToPath(new URL("../fixtures/gguf", import.meta.url));
const about = JSON.parse(readFileSync(`${FIXTURES}/models.json`, "utf8")) as Record<string, { config: Json }>;
const expected = readSafetensors(`${FIXTURES}/models.safetensors`);
const names = Object.keys(about);
const file = (name: string): string => `${FIXTURES}/${name}.gguf`;
const idsOf = (name: string): number[] => [...expected.get(`${name}.input_ids`)!.data];

const before = process.env["SEXTANT_CACHE"];
beforeAll(() => useCache("cache"));
afterAll(() => {
  if (before === undefined) delete process.env["SEXTANT_CACHE"];
  else process.env["SEXTANT_CACHE"] = before;
});

function useCache(name: string): void {
  process.env["SEXTANT_CACHE"] = path(name);
}

/** Files of weights in a cache. */
function cached(name: string): string[] {
  const folder = path(`${name}/gguf`);
  return existsSync(folder) ? readdirSync(folder).filter((entry) => entry.endsWith(".safetensors")) : [];
}

async function withModel<T>(at: string, use: (model: Model) => Promise<T>): Promise<T> {
  const model = await loadModel(at, { threads: 1 });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

describe.each(names)("%s", (name) => {
  test("has the spec that its config.json gives", () => {
    const { spec, checkpoint } = readSpec(file(name));
    checkpoint.close();
    const shapes = new Map([...checkpoint.tensors].map(([key, { shape }]) => [key, shape]));
    const { special, ...rest } = spec;
    const { special: _, ...wanted } = readModelSpec(about[name]!.config, shapes);
    expect(rest).toEqual(wanted);
    expect(special.eos.length).toBeGreaterThan(0);
  });

  test("gives the logits that transformers gives with dequantised weights", async () => {
    const { logits } = await withModel(file(name), (model) => model.forward({ tokens: [idsOf(name)], logits: { positions: [-2, -1] } }));
    const wanted = expected.get(`${name}.logits`)!.data;
    expect(logits!.data.length).toBe(wanted.length);
    const off = Math.max(...[...logits!.data].map((value, i) => Math.abs(value - wanted[i]!)));
    // float32, sums of 32 to 64 terms, logits of about 2.
    expect(off).toBeLessThan(1e-5);
  });
});

describe("the same weights as safetensors", () => {
  test("are the same model, bit for bit at every point", async () => {
    const checkpoint = openModelCheckpoint(file("gemma2"));
    const tensors = [...checkpoint.tensors].map(([key, { shape }]) => [key, tensor(checkpoint.readFloat32(key), shape)] as const);
    checkpoint.close();
    const folder = path("as-folder");
    mkdirSync(folder);
    writeSafetensors(`${folder}/model.safetensors`, Object.fromEntries(tensors));
    writeFileSync(`${folder}/config.json`, JSON.stringify(about["gemma2"]!.config));
    const run = (at: string) => withModel(at, (model) => model.forward({ tokens: [idsOf("gemma2")], read: ["all"] }));
    const [ours, theirs] = [await run(file("gemma2")), await run(folder)];
    expect(Object.keys(ours.activations).length).toBeGreaterThan(20);
    expect(ours.activations).toEqual(theirs.activations);
    expect(ours.logits).toEqual(theirs.logits);
  });

  test("are weights by role, too", () => {
    const { spec, checkpoint } = readSpec(file("gpt2"));
    checkpoint.close();
    const weights = openWeights(file("gpt2"), spec);
    expect(weights.value(1, 2).shape).toEqual([32, 8]);
    weights.close();
  });
});

describe("the cache", () => {
  test("is filled when weights are first needed, and then used", async () => {
    useCache("filled");
    const { checkpoint } = readSpec(file("qwen3"));
    expect(cached("filled")).toEqual([]);
    checkpoint.readRows("model.embed_tokens.weight", [3]);
    checkpoint.close();
    expect(cached("filled")).toHaveLength(1);
    const made = path(`filled/gguf/${cached("filled")[0]!}`);
    const { mtimeMs } = statSync(made);
    const steps: Progress[] = [];
    const model = await loadModel(file("qwen3"), { threads: 1, onProgress: (step) => steps.push(step) });
    await model.close();
    expect(steps.some(({ stage }) => stage === "weights")).toBe(false);
    expect(statSync(made).mtimeMs).toBe(mtimeMs);
    useCache("cache");
  });

  test("keeps half precision as it is, and everything else as float32", () => {
    const { checkpoint } = readSpec(file("qwen3"));
    checkpoint.close();
    const dtypes = Object.fromEntries([...checkpoint.tensors].map(([key, { dtype }]) => [key, dtype]));
    expect(dtypes).toMatchObject({ "model.embed_tokens.weight": "BF16", "lm_head.weight": "F16", "model.norm.weight": "F32" });
  });

  test("tells a file by its content, not by its name", () => {
    copyFileSync(file("gpt2"), path("copy.gguf"));
    const bytes = readFileSync(file("gpt2"));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path("changed.gguf"), bytes);
    const placeOf = (at: string): string => {
      const checkpoint = openModelCheckpoint(at);
      checkpoint.close();
      return checkpoint.stored("transformer.wte.weight").file;
    };
    expect(placeOf(path("copy.gguf"))).toBe(placeOf(file("gpt2")));
    expect(placeOf(path("changed.gguf"))).not.toBe(placeOf(file("gpt2")));
  });

  test("is stopped by the signal and leaves nothing half written", async () => {
    useCache("stopped");
    const controller = new AbortController();
    const loading = loadModel(file("llama"), { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(loading).rejects.toSatisfy((error) => isSextantError(error, "interrupted"));
    expect(readdirSync(path("stopped/gguf")).filter((entry) => entry !== ".now")).toEqual([]);
    useCache("cache");
  });

  test("makes a file anew that was cut short", () => {
    useCache("short");
    const read = (): Float32Array => {
      const checkpoint = openModelCheckpoint(file("gpt2"));
      try {
        return checkpoint.readFloat32("transformer.wpe.weight");
      } finally {
        checkpoint.close();
      }
    };
    const whole = read();
    truncateSync(path(`short/gguf/${cached("short")[0]!}`), 100);
    expect(read()).toEqual(whole);
    useCache("cache");
  });

  test("keeps what was used within a day whatever its size, and drops the longest unused beyond 64 GiB", () => {
    useCache("full");
    mkdirSync(path("full/gguf"), { recursive: true });
    const sparse = (name: string, gib: number, daysAgo: number): void => {
      const at = path(`full/gguf/${name}.safetensors`);
      writeFileSync(at, "");
      truncateSync(at, gib * 2 ** 30);
      const time = statSync(at).mtimeMs / 1000 - daysAgo * 86_400;
      utimesSync(at, time, time);
    };
    sparse("oldest", 30, 9);
    sparse("older", 30, 5);
    sparse("today", 30, 0.5);
    openModelCheckpoint(file("gpt2")).makeFiles();
    expect(cached("full").filter((name) => !/^[0-9a-f]{64}-/.test(name))).toEqual(["older.safetensors", "today.safetensors"]);
    useCache("cache");
  });
});

describe("refused", () => {
  test("a file that is no model's", () => {
    expect(refusal(() => readSpec(file("types")))).toMatch(
      /^unsupported: cannot load the architecture "types" of .*: the architectures read from GGUF are llama, /,
    );
  });

  test("a model that memory cannot hold, before anything is written", async () => {
    useCache("none");
    await expect(loadModel(file("llama"), { memoryLimit: 1000 })).rejects.toSatisfy((error) => isSextantError(error, "memory"));
    expect(existsSync(path("none"))).toBe(false);
    useCache("cache");
  });
});
