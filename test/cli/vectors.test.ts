/** @file Vectors and control vectors on the command line. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { writeControlVector } from "../../src/formats/gguf/control-vector.js";
import { readNpz, writeNpz } from "../../src/formats/npz.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { readVectors } from "../../src/runtime/control-vector.js";
import { temporaryFolder } from "../formats/folder.js";
import { apart } from "../runtime/support.js";
import { MODEL, sextant, sextantJson } from "./sextant.js";

const { path, write, root } = temporaryFolder();
mkdirSync(root, { recursive: true });
const PROMPT = ["--tokens", "[[0,1,33,11,17],[0,2]]"];

function wave(factor: number): Tensor<Float32Array> {
  return tensor(
    Float32Array.from({ length: 64 }, (_, i) => Math.sin(factor * i)),
    [64],
  );
}

/** A control vector for layer 1 alone, as llama.cpp reads it. */
function control(): string {
  writeControlVector(path("joy.gguf"), "llama", new Map([[1, wave(1).data]]));
  return path("joy.gguf");
}

/** What `read` writes of the last layer with these options. */
async function lastLayer(...options: string[]): Promise<Tensor> {
  const out = path("read.safetensors");
  const { code, err } = await sextant(["read", MODEL, ...PROMPT, "--points", "resid_post.1", "--out", out, ...options]);
  expect([code, err]).toEqual([0, ""]);
  return readSafetensors(out).get("resid_post.1")!;
}

describe("--control", () => {
  test("is an edit at resid_post of each layer, times its strength", async () => {
    const edits = write("edits.json", JSON.stringify([{ at: "resid_post.1", op: "add", vector: "direction.1", strength: -3 }]));
    const plain = await lastLayer();
    const steered = await lastLayer("--control", control(), "--control-strength", "-3");
    expect(steered).toEqual(await lastLayer("--edits", edits, "--vectors", control()));
    expect(apart(plain, steered)).toBeGreaterThan(0.1);
  });

  test("is joined to other edits, in generation too", async () => {
    writeNpz(path("two.npz"), { "resid_post.0": wave(2), "blocks.1.hook_resid_post": wave(1) });
    const generate = async (...options: string[]): Promise<unknown> =>
      (await sextantJson<{ tokens: number[][] }>("generate", MODEL, "--tokens", "[0,1,33]", "--max-new", "6", ...options)).tokens;
    const both = await generate("--control", path("two.npz"), "--control-strength", "20");
    const apartly = await generate("--control", control(), "--control-strength", "20", "--steer", `${path("two.npz")}#resid_post.0@0×20`);
    expect(both).toEqual(apartly);
    expect(both).not.toEqual(await generate());
    const first = await generate("--control", path("two.npz"), "--control-strength", "20", "--control-layers", "0");
    expect(first).toEqual(await generate("--steer", `${path("two.npz")}#resid_post.0@0×20`));
  });

  test("that makes no sense is refused", async () => {
    const run = async (...options: string[]): Promise<string> =>
      (await sextant(["lens", MODEL, "--tokens", "[0]", ...options])).err
        .split("\n")[0]!
        .replaceAll(root, "TMP")
        .replaceAll(MODEL, "MODEL");
    expect(
      [
        await run("--control-strength", "2"),
        await run("--control-layers", "1"),
        await run("--control", control(), "--control-layers", "0..1"),
        await run("--control", control(), "--control-strength", "much"),
        await run("--control", join(MODEL, "model.safetensors")),
        await run("--control", join(MODEL, "config.json")),
      ].join("\n"),
    ).toMatchInlineSnapshot(`
      "sextant lens: --control-strength without --control
      sextant lens: --control-layers without --control
      sextant lens: TMP/joy.gguf has no direction of layer 0; it has layers 1
      sextant lens: --control-strength must be a number, got "much"
      sextant lens: MODEL/model.safetensors: "lm_head.weight" is no direction of a layer; those are called direction.N, resid_post.N or N
      sextant lens: MODEL/config.json: neither safetensors, .npz, .npy, a .pt file of torch.save nor a control vector in GGUF"
    `);
  });
});

describe("vectors", () => {
  const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/vectors/${name}`, import.meta.url));
  const vectors = async (...argv: string[]): Promise<string> => {
    const { out, err } = await sextant(["vectors", ...argv]);
    return `${out}${err}`.replaceAll(root, "TMP").replaceAll(fixture(""), "");
  };

  test("lists names, shapes, addresses and lengths", async () => {
    expect(await vectors(fixture("gemma3-old-style.gguf"))).toMatchInlineSnapshot(`
      "control vector, made for gemma3: 2 tensors

      name         shape  axes     address       length
      direction.2  [32]   d_model  resid_post.2   5.138
      direction.1  [32]   d_model  resid_post.1   4.553
      "
    `);
    writeNpz(path("two.npz"), { "blocks.0.hook_mlp_out": tensor(new Float32Array(128).fill(1), [1, 2, 64]), odd: wave(1) });
    expect(await vectors(path("two.npz"), MODEL)).toMatchInlineSnapshot(`
      "npz: 2 tensors

      name                   shape       axes                 address    length  no address, since
      blocks.0.hook_mlp_out  [1, 2, 64]  batch, pos, d_model  mlp_out.0   8.000
      odd                    [64]                                         5.609  "odd" is not the address of a point
      "
    `);
    expect(await vectors(path("two.npz"))).not.toContain("no address");
    const { tensors } = await sextantJson<{ tensors: object[] }>("vectors", path("two.npz"), MODEL);
    expect(tensors).toMatchObject([
      { address: "mlp_out.0", axes: ["batch", "pos", "d_model"], length: 8 },
      { name: "odd", axes: [] },
    ]);
  });

  test("names that would steer a terminal do not", async () => {
    writeNpz(path("bell.npz"), { "\u001b[31mred\u0007": wave(1) });
    expect(await vectors(path("bell.npz"))).toContain(String.raw`\x1b[31mred\x07`);
  });

  test("writes every format, and what was written is the same", async () => {
    const source = fixture("gpt-neo-mixed-untied.gguf");
    const wanted = readVectors(source).tensors;
    for (const name of ["v.npz", "v.safetensors", "v.gguf"]) {
      expect(await vectors(source, "--out", path(name))).toContain(`written to TMP/${name}`);
      const found = readVectors(path(name)).tensors;
      for (const [key, value] of wanted) expect(found.get(key)).toEqual(value);
      expect(found.size).toBe(wanted.size);
    }
    expect(readVectors(path("v.gguf")).modelHint).toBe("gpt-neo");
    await vectors(path("two.npz"), MODEL);
    writeNpz(path("zero.npz"), { "resid_post.0": wave(1), "resid_post.1": wave(2) });
    expect(await vectors(path("zero.npz"), MODEL, "--layers", "1", "--out", path("one.gguf"))).toContain("written");
    expect(readVectors(path("one.gguf"))).toMatchObject({ modelHint: "llama" });
    expect([...readVectors(path("one.gguf")).tensors.keys()]).toEqual(["direction.1"]);
  });

  test("refuses what cannot be written", async () => {
    const said = [
      await vectors(path("zero.npz"), "--out", path("x.gguf")),
      await vectors(path("zero.npz"), MODEL, "--out", path("x.gguf")),
      await vectors(path("zero.npz"), "--out", path("x.npy")),
      await vectors(path("zero.npz"), "--layers", "2"),
      await vectors(path("zero.npz"), "--out", path("x.npz"), "--model-hint", "llama"),
      await vectors(fixture("refused/objects.npz")),
      await vectors(fixture("expected.safetensors"), "--out", path("x.gguf")),
    ].map((text) => text.split("\n").find((line) => line.startsWith("sextant")));
    expect(said.join("\n")).toMatchInlineSnapshot(`
      "sextant vectors: cannot write TMP/x.gguf: a control vector names its model. Instead: give the model, or its model_type
      sextant vectors: cannot write a direction of layer 0 for llama.cpp: it adds nothing after layer 0, and refuses the whole file. Instead: leave that layer out
      sextant vectors: cannot write TMP/x.npy: tensors are not written as .npy. Instead: name it .safetensors or .npz
      sextant vectors: TMP/zero.npz has no direction of layer 2
      sextant vectors: --model-hint without --out FILE.gguf
      sextant vectors: cannot read refused/objects.npz, "bad.npy": its values '|O' are Python objects: a pickle, which runs code when it is loaded. Instead: save arrays of numbers, without allow_pickle
      sextant vectors: cannot write TMP/x.gguf: "gemma3-old-style.both" is no direction of a layer; those are called direction.N, resid_post.N or N"
    `);
  });
});

describe("verify-model --dump", () => {
  const ROWS = "[[0,1,33,11,17,49],[0,2,5,7,9,11]]";

  /** A dump of the model's own values, some of them changed. */
  async function dump(change: (value: number, at: number) => number): Promise<string> {
    const out = path("own.npz");
    await sextant(["read", MODEL, "--tokens", ROWS, "--points", "resid_pre.*,attn_out.1", "--out", out]);
    const { lengths: _, ...tensors } = Object.fromEntries(readNpz(out));
    const changed = tensors["attn_out.1"]!;
    const named = {
      "blocks.0.hook_resid_pre": tensors["resid_pre.0"]!,
      "attn_out.1": { ...changed, data: Float32Array.from(changed.data, change) },
    };
    writeNpz(path("dump.npz"), { ...named, "blocks.1.hook_q_input": tensors["resid_pre.1"]! });
    return path("dump.npz");
  }

  test("says what agrees, and what was left out and why", async () => {
    const { code, out } = await sextant(["verify-model", MODEL, "--dump", await dump((value) => value), "--tokens", ROWS]);
    expect(out).toMatchInlineSnapshot(`
      "in the dump              address      verdict  max |Δ|  relative  differs by
      blocks.0.hook_resid_pre  resid_pre.0  agrees    0.0e+0    0.0e+0
      attn_out.1               attn_out.1   agrees    0.0e+0    0.0e+0

      1 tensor left out:
        blocks.1.hook_q_input: it is the stream in front of the norm, one copy a head, so an edit there reaches one head alone; instead: resid_pre.1, for the same numbers

      2 tensors compared, none differs.
      "
    `);
    expect(code).toBe(0);
  });

  test("fails where something differs", async () => {
    const file = await dump((value, at) => value + (at === 3 ? 1 : 0));
    const { code, out } = await sextant(["verify-model", MODEL, "--dump", file, "--tokens", ROWS]);
    expect(out).toMatch(/attn_out\.1 +attn_out\.1 +differs +1\.0e\+0/);
    expect(out).toContain("1 of 2 tensors differs, the first is attn_out.1.");
    expect(code).toBe(1);
    expect((await sextant(["verify-model", MODEL, "--dump", file, "--tokens", ROWS, "--tolerance", "10"])).code).toBe(0);
  });

  test("that makes no sense is wrong use", async () => {
    const run = async (...options: string[]): Promise<string> => (await sextant(["verify-model", MODEL, ...options])).err.split("\n")[0]!;
    expect(
      [
        await run("--tokens", "[1]"),
        await run("--dump", "x.npz", "--golden", "y"),
        await run("--dump", path("dump.npz"), "--tolerance=-1"),
        await run("--dump", path("dump.npz")),
        await run("--dump", path("dump.npz"), "--tokens", "[[0,1],[0,9999]]"),
      ].join("\n"),
    ).toMatchInlineSnapshot(`
      "sextant verify-model: --tokens and --tolerance are for --dump
      sextant verify-model: takes only one of --golden and --dump
      sextant verify-model: --tolerance must be 0 or more, got -1
      sextant verify-model: the dump does not hold the tokens that were run (as tokens, input_ids, hook_tokens): give them
      sextant verify-model: tokens: row 1 has 9999 at position 1; the vocabulary has ids 0 to 64"
    `);
  });
});

describe("--out FILE.npz", () => {
  test("of read has the same tensors as safetensors", async () => {
    const args = ["read", MODEL, ...PROMPT, "--points", "resid_post.*,pattern.1", "--out"];
    expect((await sextant([...args, path("run.npz")])).code).toBe(0);
    expect((await sextant([...args, path("run.safetensors")])).code).toBe(0);
    expect(Object.fromEntries(readNpz(path("run.npz")))).toEqual(Object.fromEntries(readSafetensors(path("run.safetensors"))));
  });

  test("of gradient too, and other endings are refused before a model is loaded", async () => {
    const args = ["gradient", MODEL, "--tokens", "[0,1,33]", "--of", "loss", "--points", "resid_pre.1", "--out"];
    expect((await sextant([...args, path("gradient.npz")])).code).toBe(0);
    expect([...readNpz(path("gradient.npz")).keys()].toSorted()).toEqual(["resid_pre.1", "values"]);
    const said = await sextant(["read", "nowhere", ...PROMPT, "--points", "embed", "--out", "run.npy"]);
    expect(said.err).toMatch(/cannot write run\.npy: tensors are not written as \.npy/);
    expect(said.code).toBe(2);
  });
});
