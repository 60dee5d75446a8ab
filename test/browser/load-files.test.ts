/** @file Files that a page is given: models in one file and in several, wrong and damaged ones, and what the errors say. Without a browser. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import * as runtime from "onnxruntime-web";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  fetchModelFiles,
  filesByName,
  isSextantError,
  loadModelFromFiles,
  loadTokenizerFromFiles,
  type GivenFile,
} from "../../src/browser.js";
import { loadTokenizer } from "../../src/formats/tokenizer.js";
import { loadModel } from "../../src/runtime/load.js";

// More threads would spin while they wait.
runtime.env.wasm.numThreads = 1;

const FOLDER = fileURLToPath(new URL("../../models/induction", import.meta.url));
const NAMES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
const TOKENS = [[1, 5, 9, 13, 5]];
const whole = new Map(NAMES.map((name): [string, Uint8Array<ArrayBuffer>] => [name, new Uint8Array(readFileSync(join(FOLDER, name)))]));

const options = { runtime, lazy: true };
const json = (value: unknown): Blob => new Blob([JSON.stringify(value)]);

/** The whole model with some files in place of its own; `undefined` takes one away. */
function withFiles(changed: Readonly<Record<string, GivenFile | undefined>>): Map<string, GivenFile> {
  const files = new Map<string, GivenFile>(whole);
  for (const [name, file] of Object.entries(changed)) {
    if (file) files.set(name, file);
    else files.delete(name);
  }
  return files;
}

async function logitsOf(files: ReadonlyMap<string, GivenFile>): Promise<Float32Array> {
  const model = await loadModelFromFiles(files, options);
  const { logits } = await model.forward({ tokens: TOKENS });
  await model.close();
  return logits!.data;
}

/** The checkpoint cut in two files with an index: the tensors of the first block, and all others. */
function sharded(): Map<string, GivenFile> {
  const bytes = whole.get("model.safetensors")!;
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, { data_offsets: [number, number] }>;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const isFirst = (name: string): boolean => name.includes(".0.");
  const shard = (own: typeof entries): Uint8Array<ArrayBuffer> => {
    let at = 0;
    const moved = own.map(([name, entry]) => {
      const size = entry.data_offsets[1] - entry.data_offsets[0];
      return [name, { ...entry, data_offsets: [at, (at += size)] }];
    });
    const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(moved)));
    const data = own.flatMap(
      ([
        ,
        {
          data_offsets: [from, to],
        },
      ]) => [...bytes.subarray(8 + length + from, 8 + length + to)],
    );
    const out = new Uint8Array(8 + text.length + data.length);
    new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
    out.set(text, 8);
    out.set(data, 8 + text.length);
    return out;
  };
  const inOrder = entries.toSorted(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  const place = (name: string): string => (isFirst(name) ? "a.safetensors" : "b.safetensors");
  return withFiles({
    "model.safetensors": undefined,
    "a.safetensors": shard(inOrder.filter(([name]) => isFirst(name))),
    "b.safetensors": new Blob([shard(inOrder.filter(([name]) => !isFirst(name)))]),
    "model.safetensors.index.json": json({ weight_map: Object.fromEntries(entries.map(([name]) => [name, place(name)])) }),
  });
}

describe("a model", () => {
  test("is the same from bytes, buffers, Blobs and shards, and as from its folder", async () => {
    const native = await loadModel(FOLDER, { threads: 1 });
    const { logits } = await native.forward({ tokens: TOKENS });
    await native.close();
    const bytes = await logitsOf(whole);
    // Float32 in another order of sums; the largest difference seen is 4e-6.
    for (const [i, value] of bytes.entries()) expect(Math.abs(value - logits!.data[i]!)).toBeLessThan(5e-5);
    expect(await logitsOf(new Map([...whole].map(([name, file]) => [name, file.buffer])))).toEqual(bytes);
    expect(await logitsOf(new Map([...whole].map(([name, file]) => [name, new Blob([file])])))).toEqual(bytes);
    expect(await logitsOf(sharded())).toEqual(bytes);
  });

  test("has the tokenizer of its folder", async () => {
    const [ours, theirs] = [await loadTokenizerFromFiles(whole), loadTokenizer(FOLDER)];
    const text = "the cat sat near Mira Stone while the dog saw Mira";
    expect(ours.encode(text)).toEqual(theirs.encode(text));
    expect(ours.decode(ours.encode(text).ids)).toBe(theirs.decode(theirs.encode(text).ids));
    expect([ours.bosId, ours.eosIds, ours.padId]).toEqual([theirs.bosId, theirs.eosIds, theirs.padId]);
  });

  test("that was closed answers no more, and one that is too large is refused", async () => {
    const model = await loadModelFromFiles(whole, options);
    await model.close();
    await expect(model.forward({ tokens: TOKENS })).rejects.toThrow("the model is closed");
    await expect(loadModelFromFiles(whole, { ...options, memoryLimit: 1000 })).rejects.toThrow(
      /its weights take .* there are 1.0 kB of memory/,
    );
  });
});

describe("files that are no model are refused with what to do:", () => {
  test.each([
    ["none at all", new Map(), "config.json and model.safetensors are not among them: there are none"],
    ["no configuration", withFiles({ "config.json": undefined }), "config.json is not among the 3 given"],
    ["no weights", withFiles({ "model.safetensors": undefined }), "model.safetensors is not among the 3 given"],
    ["a GGUF file", new Map([["a.gguf", json({})]]), "a.gguf is a GGUF file"],
    ["a pickle", withFiles({ "model.safetensors": undefined, "pytorch_model.bin": json({}) }), "pytorch_model.bin is a Python pickle"],
    ["another name", withFiles({ "model.safetensors": undefined, "model (1).safetensors": json({}) }), "rename it to model.safetensors"],
    [
      "a shard missing",
      withFiles({ "model.safetensors": undefined, "model.safetensors.index.json": json({ weight_map: { a: "x.safetensors" } }) }),
      "lists x.safetensors, which is not among them",
    ],
    [
      "an index that leads elsewhere",
      withFiles({ "model.safetensors": undefined, "model.safetensors.index.json": json({ weight_map: { a: "../x" } }) }),
      "which is not a file of this folder",
    ],
    ["a configuration that is no JSON", withFiles({ "config.json": new Blob(["{"]) }), "config.json is not JSON"],
    ["a configuration that is a list", withFiles({ "config.json": json([]) }), "config.json must hold a JSON object"],
    ["an unknown family", withFiles({ "config.json": json({ model_type: "t5" }) }), 'a model of the family "t5"'],
    ["weights cut off", withFiles({ "model.safetensors": whole.get("model.safetensors")!.subarray(0, 5000) }), "model.safetensors: "],
  ] as const)("%s", async (_, files, said) => {
    const error: unknown = await loadModelFromFiles(files, options).catch((thrown: unknown) => thrown);
    expect(isSextantError(error)).toBe(true);
    expect((error as Error).message).toContain(said);
    expect((error as Error).message).not.toContain("internal");
  });

  test("no tokenizer", async () => {
    const files = withFiles({ "tokenizer.json": undefined });
    await expect(loadTokenizerFromFiles(files)).rejects.toThrow("tokenizer.json is not among the 3 given");
  });

  test("two of one name", () => {
    const file = Object.assign(new Blob([]), { name: "config.json" });
    expect(() => filesByName([file, file])).toThrow('two of the files are called "config.json"');
    expect([...filesByName([file]).keys()]).toEqual(["config.json"]);
  });

  test("weights with damaged headers, whatever is damaged", async () => {
    const bytes = whole.get("model.safetensors")!;
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    await fc.assert(
      fc.asyncProperty(fc.nat(length + 7), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = bytes.slice();
        damaged[at]! ^= change;
        const error: unknown = await loadModelFromFiles(withFiles({ "model.safetensors": damaged }), options).then(
          (model) => model.close(),
          (thrown: unknown) => thrown,
        );
        expect(error === undefined || (isSextantError(error) && error.kind !== "internal")).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe("from a server", () => {
  let server: Server;
  let base: string;
  let files: Map<string, GivenFile> = withFiles({});

  beforeAll(async () => {
    server = createServer((request, response) => {
      const name = (request.url ?? "").replace("/m/", "");
      const file = files.get(name);
      if (name === "broken.safetensors")
        return void response.writeHead(200, { "content-length": 1000 }).write("x", () => response.destroy());
      if (!file) return void response.writeHead(404).end("none");
      void new Response(file instanceof Blob ? file : new Blob([file as Uint8Array<ArrayBuffer>]))
        .arrayBuffer()
        .then((body) => response.end(new Uint8Array(body)));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as { port: number }).port}/m`;
  });

  afterAll(() => server.close());

  test("the files that a model needs are fetched, with their progress", async () => {
    files = withFiles({ "other.txt": json("not wanted") });
    const seen = new Map<string, number>();
    const fetched = await fetchModelFiles(base, { onProgress: ({ stage, done }) => void seen.set(stage, done) });
    expect([...fetched.keys()].toSorted()).toEqual(NAMES.toSorted());
    for (const name of NAMES) expect([name, seen.get(name)]).toEqual([name, whole.get(name)!.length]);
    expect(await logitsOf(fetched)).toEqual(await logitsOf(whole));
  });

  test("shards are fetched by their index", async () => {
    files = sharded();
    expect(await logitsOf(await fetchModelFiles(`${base}/`))).toEqual(await logitsOf(whole));
  });

  test("what is missing, broken or no address is said", async () => {
    files = withFiles({ "model.safetensors": undefined });
    await expect(fetchModelFiles(base)).rejects.toThrow("it has no model.safetensors or model.safetensors.index.json");
    files = withFiles({ "config.json": undefined });
    await expect(fetchModelFiles(base)).rejects.toThrow("it has no config.json");
    files = withFiles({
      "model.safetensors": undefined,
      "model.safetensors.index.json": json({ weight_map: { a: "broken.safetensors" } }),
    });
    await expect(fetchModelFiles(base)).rejects.toThrow(/cannot load .*broken\.safetensors/);
    await expect(fetchModelFiles("no address")).rejects.toThrow('"no address" is not the address of a folder');
  });

  test("an abort is heard", async () => {
    files = withFiles({});
    const signal = AbortSignal.abort();
    await expect(fetchModelFiles(base, { signal })).rejects.toSatisfy((error) => isSextantError(error, "interrupted"));
    await expect(loadModelFromFiles(whole, { ...options, signal })).rejects.toSatisfy((error) => isSextantError(error, "interrupted"));
  });
});
