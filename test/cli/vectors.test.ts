/** @file Vectors and control vectors on the command line. */
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { writeControlVector } from "../../src/formats/gguf/control-vector.js";
import { readNpz, writeNpz } from "../../src/formats/npz.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
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
