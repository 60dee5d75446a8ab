/** @file Models with an adapter beside their weights: as peft computes them, as the merged model computes, and at every point. */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { tensor } from "../../src/base/tensor.js";
import { writePeft } from "../../src/formats/peft.js";
import { openCheckpoint, readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { initialAdapter, withAdapters } from "../../src/models/lora.js";
import { weightBytes } from "../../src/runtime/forecast.js";
import { loadModel, readSpec, type LoadOptions } from "../../src/runtime/load.js";
import { mergeAdapter } from "../../src/runtime/merge-adapter.js";
import type { Model } from "../../src/runtime/model.js";
import { temporaryFolder } from "../formats/folder.js";
import { hasShared, sharedPath } from "../shared.js";
import { addressesOf, apart, differing, fixture, rowsOf } from "./support.js";

const { path, refusal } = temporaryFolder();
const open: Model[] = [];
afterAll(() => Promise.all(open.map((model) => model.close())));

async function load(folder: string, options: LoadOptions = {}): Promise<Model> {
  const model = await loadModel(folder, { threads: 1, lazy: true, ...options });
  open.push(model);
  return model;
}

function peft(name: string): string {
  return fileURLToPath(new URL(`../fixtures/adapters/${name}`, import.meta.url));
}

/** The folder of an adapter on every projection, B included in what is random. */
function randomAdapter(model: string, name: string, targets: readonly string[] | "all-linear" = "all-linear"): string {
  const { spec, checkpoint } = readSpec(model);
  checkpoint.close();
  const { tensors, config } = withAdapters(spec, { rank: 3, alpha: 4, targets });
  const values = initialAdapter(tensors, 1);
  const random = seededRandom(2);
  for (const [key, { data }] of Object.entries(values))
    if (key.includes("lora_B")) data.forEach((_, i) => (data[i] = (random() - 0.5) / 4));
  writePeft(path(name), config, values);
  return path(name);
}

describe("an adapter made by peft", () => {
  test.each(["gpt2-hub-names", "phi3-longrope-crossing", "gpt-neox-v5-yarn", "qwen3-moe-dense-first"])(
    "on %s gives peft's logits",
    async (name) => {
      const expected = readSafetensors(join(peft(name), "expected.safetensors"));
      const tokens = [Array.from(expected.get("input_ids")!.data)];
      const request = { tokens, logits: { positions: "all" } } as const;
      const { logits } = await (await load(fixture(name), { adapter: peft(name) })).forward(request);
      const base = await (await load(fixture(name))).forward(request);
      // Float32 in another order of sums; the largest difference seen is 1e-6 of the largest logit.
      expect(apart(logits, expected.get("logits"))).toBeLessThan(5e-6);
      expect(apart(base.logits, expected.get("logits"))).toBeGreaterThan(0.05);
    },
  );
});

describe("beside the weights as in them", () => {
  const names = ["llama-gqa", "gpt2", "qwen2", "phi3", "mixtral", "bloom-alibi"];

  test.skipIf(!hasShared).each(names)("%s: logits of both are equal", async (name) => {
    const model = sharedPath("goldens/tiny", name);
    const adapter = randomAdapter(model, `for-${name}`);
    mergeAdapter(model, adapter, path(`merged-${name}`));
    const request = { tokens: rowsOf(9, 6), logits: { positions: "all" } } as const;
    const beside = await (await load(model, { adapter })).forward(request);
    const merged = await (await load(path(`merged-${name}`))).forward(request);
    const base = await (await load(model)).forward(request);
    expect(apart(beside.logits, merged.logits)).toBeLessThan(1e-5);
    expect(apart(base.logits, merged.logits)).toBeGreaterThan(0.01);
  });

  test.each(["gpt2-hub-names", "phi3-longrope-crossing", "gemma3-old-style"])(
    "%s: every point of both is equal, read and edited",
    async (name) => {
      const adapter = randomAdapter(fixture(name), `points-${name}`);
      mergeAdapter(fixture(name), adapter, path(`merged-${name}`));
      const [beside, merged] = [await load(fixture(name), { adapter }), await load(path(`merged-${name}`))];
      const read = addressesOf(beside);
      expect(read).toContain("head_out.1");
      const tokens = rowsOf(7, 5);
      const plain = { tokens, read };
      const ours = await beside.forward(plain);
      expect(differing(ours.activations, (await merged.forward(plain)).activations, 1e-5)).toEqual([]);
      const edited = { tokens, read, edits: [{ at: "head_out.1", op: "set", value: 0, heads: [1] }] } as const;
      const zeroed = await beside.forward(edited);
      expect(differing(zeroed.activations, (await merged.forward(edited)).activations, 1e-5)).toEqual([]);
      expect(apart(zeroed.activations["attn_out.1"], ours.activations["attn_out.1"])).toBeGreaterThan(0.01);
    },
  );

  test("generation, half-precision adapters and single logits", async () => {
    const name = "llama-longrope-crossing";
    const exact = randomAdapter(fixture(name), "exact");
    mkdirSync(path("narrow"));
    copyFileSync(join(exact, "adapter_config.json"), path("narrow/adapter_config.json"));
    const values = Object.fromEntries(readSafetensors(join(exact, "adapter_model.safetensors")));
    writeSafetensors(path("narrow/adapter_model.safetensors"), values, {}, { dtypeOf: () => "BF16" });
    mergeAdapter(fixture(name), path("narrow"), path("merged-narrow"));
    const [beside, merged] = [await load(fixture(name), { adapter: path("narrow") }), await load(path("merged-narrow"))];
    const prompt = { tokens: rowsOf(5), maxNew: 6 };
    expect((await beside.generate(prompt)).tokens).toEqual((await merged.generate(prompt)).tokens);
    const few = { tokens: rowsOf(5), logits: { tokens: [3, 9] } };
    expect(apart((await beside.forward(few)).logits, (await merged.forward(few)).logits)).toBeLessThan(1e-5);
  });
});

describe("merging", () => {
  test("adds scale · B A, and leaves all else byte for byte", () => {
    const model = path("small");
    mkdirSync(model);
    const weights = Object.fromEntries(readSafetensors(join(fixture("gpt2-hub-names"), "model.safetensors")));
    writeSafetensors(join(model, "model.safetensors"), weights, {}, { dtypeOf: () => "BF16" });
    const config = readFileSync(join(fixture("gpt2-hub-names"), "config.json"), "utf8").replace(
      '"torch_dtype": "float32"',
      '"torch_dtype": "bfloat16"',
    );
    writeFileSync(join(model, "config.json"), config);
    writeFileSync(join(model, "merges.txt"), "a b\n");
    writeFileSync(join(model, "pytorch_model.bin"), "x");
    const adapter = randomAdapter(model, "small-adapter", ["mlp.c_proj"]);
    const changed = mergeAdapter(model, adapter, path("small-merged"));
    expect(changed).toEqual(["h.0.mlp.c_proj.weight", "h.1.mlp.c_proj.weight"]);
    const [before, after] = [openCheckpoint(model), openCheckpoint(path("small-merged"))];
    const parts = readSafetensors(join(adapter, "adapter_model.safetensors"));
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
    for (const [name, { dtype, shape }] of after.tensors) {
      expect(shape).toEqual(before.stored(name).shape);
      expect(dtype).toBe(changed.includes(name) ? "F32" : "BF16");
      if (!changed.includes(name)) expect(after.readBytes(name)).toEqual(before.readBytes(name));
    }
    const key = "base_model.model.transformer.h.1.mlp.c_proj.lora_";
    const [a, b] = [parts.get(`${key}A.weight`)!, parts.get(`${key}B.weight`)!];
    const [old, sum] = [before.readFloat32(changed[1]!), after.readFloat32(changed[1]!)];
    const [input, out] = before.stored(changed[1]!).shape as [number, number];
    for (let i = 0; i < input; i++) {
      for (let o = 0; o < out; o++) {
        let total = 0;
        for (let k = 0; k < 3; k++) total += b.data[o * 3 + k]! * a.data[k * input + i]!;
        // One rounding to float32, of numbers below 2.
        expect(Math.abs(sum[i * out + o]! - (old[i * out + o]! + (4 / 3) * total))).toBeLessThan(2 ** -23);
      }
    }
    before.close();
    after.close();
    expect(readFileSync(path("small-merged/config.json"), "utf8")).toBe(config.replace("bfloat16", "float32"));
    expect(readFileSync(path("small-merged/merges.txt"), "utf8")).toBe("a b\n");
    expect(() => readFileSync(path("small-merged/pytorch_model.bin"))).toThrow("ENOENT");
  });

  test("refuses a folder that is not free", () => {
    const adapter = randomAdapter(fixture("gpt2-hub-names"), "occupied");
    expect(refusal(() => mergeAdapter(fixture("gpt2-hub-names"), adapter, adapter))).toMatchInlineSnapshot(
      `"file: cannot write the merged model to TMP/occupied: there are files in it. Instead: name a new folder"`,
    );
  });
});

describe("loading", () => {
  test("counts the adapter's tensors in bytes and in arithmetic", async () => {
    const name = "phi3-longrope-crossing";
    const [plain, adapted] = [await load(fixture(name)), await load(fixture(name), { adapter: peft(name) })];
    const tensors = readSafetensors(join(peft(name), "adapter_model.safetensors"));
    const elements = [...tensors.values()].reduce((total, { data }) => total + data.length, 0);
    expect(weightBytes(adapted.spec) - weightBytes(plain.spec)).toBe(4 * elements);
    const request = { tokens: rowsOf(4) };
    const extra = adapted.forecast(request).flops - plain.forecast(request).flops;
    // Where one matrix is read as three maps, each multiplies by A on its own: r · in more, twice for qkv and once for gate and up.
    const repeated = plain.spec.layers.length * 3 * (2 + 1) * plain.spec.dModel;
    expect(extra).toBe(2 * 4 * (elements + repeated));
  });

  test("follows symbolic links to model and adapter", async () => {
    const name = "gpt2-hub-names";
    symlinkSync(fixture(name), path("linked-model"));
    mkdirSync(path("linked-adapter"));
    for (const file of ["adapter_config.json", "adapter_model.safetensors"])
      symlinkSync(join(peft(name), file), path(`linked-adapter/${file}`));
    const request = { tokens: rowsOf(6) };
    const linked = await (await load(path("linked-model"), { adapter: path("linked-adapter"), lazy: false })).forward(request);
    const direct = await (await load(fixture(name), { adapter: peft(name) })).forward(request);
    expect(linked.logits).toEqual(direct.logits);
  });

  test("gradients by the tensors of a fresh adapter have their shapes; while B is zero only its own is not", async () => {
    const name = "phi3-longrope-crossing";
    const { spec, checkpoint } = readSpec(fixture(name));
    checkpoint.close();
    const { tensors, config } = withAdapters(spec, { rank: 2, alpha: 2, targets: ["qkv_proj"] });
    writePeft(path("fresh"), config, initialAdapter(tensors, 5));
    const model = await load(fixture(name), { adapter: path("fresh") });
    const parameters = tensors.map(({ name: key }) => key);
    const result = await model.gradient({ tokens: rowsOf(6), of: { loss: "cross_entropy" }, parameters });
    for (const { name: key, shape } of tensors) {
      const gradient = result.parameters[key]!;
      expect(gradient.shape).toEqual(shape);
      expect(gradient.data.some((value) => value !== 0)).toBe(key.includes("lora_B"));
    }
    const base = await (await load(fixture(name))).forward({ tokens: rowsOf(6) });
    expect(apart((await model.forward({ tokens: rowsOf(6) })).logits, base.logits)).toBe(0);
  });

  test("refuses an adapter of another model, and one that is not there", async () => {
    const complaint = async (adapter: string): Promise<string> => {
      const error = await loadModel(fixture("llama-longrope-crossing"), { adapter }).then(
        () => new Error("loaded"),
        (reason: Error) => reason,
      );
      return error.message.replaceAll(peft(""), "PEFT/");
    };
    expect(await complaint(peft("gpt2-hub-names"))).toMatchInlineSnapshot(
      `"cannot use "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight" of PEFT/gpt2-hub-names: the model has no such module, or none that adapters are computed of. Instead: adapters are computed of down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj in 14 modules of the blocks"`,
    );
    expect(await complaint(peft("qwen3-moe-dense-first"))).toMatchInlineSnapshot(
      `"PEFT/qwen3-moe-dense-first: tensor "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight" has shape [16, 2], the model and rank 2 ask for [32, 2]"`,
    );
    expect(await complaint(peft("nowhere"))).toContain("it does not exist");
    mkdirSync(path("odd"));
    copyFileSync(join(peft("gpt2-hub-names"), "adapter_config.json"), path("odd/adapter_config.json"));
    writeSafetensors(path("odd/adapter_model.safetensors"), { "model.norm.weight": tensor(Float32Array.of(1), [1]) });
    expect((await complaint(path("odd"))).replaceAll(path("odd"), "ODD")).toMatchInlineSnapshot(
      `"cannot load the adapter ODD: the model has a tensor "model.norm.weight" of its own. Instead: use the checkpoint that the adapter was made for"`,
    );
  });
});
