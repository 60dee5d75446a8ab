/**
 * @file Tokenizers in GGUF files: ids and texts as `sentencepiece` and `tokenizers` have them, real vocabularies against the same tokenizers' own files, and
 * keys that lie.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { isGguf, readGgufHeader } from "../../../src/formats/gguf/header.js";
import type { GgufMetadata, GgufValue } from "../../../src/formats/gguf/metadata.js";
import { mergesOf } from "../../../src/formats/gguf/sentencepiece-merges.js";
import { tokenizerFiles } from "../../../src/formats/gguf/tokenizer.js";
import { encodeChat } from "../../../src/formats/chat.js";
import { loadTokenizer, type Tokenizer } from "../../../src/formats/tokenizer.js";
import { hasShared, sharedPath } from "../../shared.js";
import { temporaryFolder } from "../folder.js";

const { write, path, refusal } = temporaryFolder();
const FIXTURES = fileURLToPath(new URL("../../fixtures/gguf", import.meta.url));
type Case = { readonly text: string; readonly ids: number[]; readonly decoded: string };
const expected = JSON.parse(readFileSync(`${FIXTURES}/tokenizers.json`, "utf8")) as Record<"llama" | "qwen2", Case[]>;

describe.each(["llama", "qwen2"] as const)("%s.gguf", (name) => {
  const tokenizer = loadTokenizer(`${FIXTURES}/${name}.gguf`);

  test.each(expected[name])("reads $text", ({ text, ids }) => {
    expect(tokenizer.encode(text).ids).toEqual(ids);
  });

  test("gives texts back", () => {
    for (const { ids, decoded } of expected[name]) expect(tokenizer.decode(ids, { skipSpecialTokens: name === "llama" })).toBe(decoded);
  });
});

test("special tokens and chat templates are those of the file", () => {
  const llama = loadTokenizer(`${FIXTURES}/llama.gguf`);
  expect(llama).toMatchObject({
    bosId: 1,
    eosIds: [2],
    vocabSize: 288,
    specialTokens: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
  });
  expect(llama.specialIds).toEqual(new Set([0, 1, 2]));
  expect(encodeChat(llama, [{ role: "user", content: "the cat" }]).text).toBe("the cat");
  expect(llama.encode("a</s>the").ids.filter((id) => id === 2)).toHaveLength(1);
  const qwen = loadTokenizer(`${FIXTURES}/qwen2.gguf`);
  expect(qwen).toMatchObject({ bosId: 297, eosIds: [299], vocabSize: 300 });
  expect(qwen.encode("<|im_end|>").ids).toEqual([299]);
});

describe("merges from scores", () => {
  test("join the best joint first, and a joint of equal score by its longer left part", () => {
    const pieces = ["a", "b", "c", "ab", "bc", "abc", "x"];
    const scores = [-9, -9, -9, -1, -2, -3, -9];
    expect(mergesOf(pieces, scores, () => true)).toEqual([
      ["a", "b"],
      ["b", "c"],
      ["ab", "c"],
      ["a", "bc"],
    ]);
    expect(mergesOf(pieces, scores, (id) => id !== 3)).toEqual([
      ["b", "c"],
      ["a", "bc"],
    ]);
  });

  test("never cut a character in two", () => {
    expect(mergesOf(["\ud83d", "\ude42", "🙂"], [0, 0, 0], () => true)).toEqual([]);
  });
});

// ── keys that lie ──

const base: readonly (readonly [string, GgufValue])[] = [
  ["tokenizer.ggml.model", "gpt2"],
  ["tokenizer.ggml.pre", "gpt-2"],
  ["tokenizer.ggml.tokens", ["a", "b", "ab", "<end>"]],
  ["tokenizer.ggml.token_type", [1, 1, 1, 3]],
  ["tokenizer.ggml.merges", ["a b"]],
  ["tokenizer.ggml.eos_token_id", 3],
];

const keys = (changes: Readonly<Record<string, GgufValue | undefined>>): GgufMetadata => {
  const changed = new Map<string, GgufValue>(base);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) changed.delete(`tokenizer.ggml.${key}`);
    else changed.set(`tokenizer.ggml.${key}`, value);
  }
  return changed;
};

test("keys that are lies are refused by name", () => {
  // oxfmt-ignore
  const LIES: readonly Readonly<Record<string, GgufValue | undefined>>[] = [
    { model: undefined }, { model: "t5" }, { model: 3 }, { pre: undefined }, { pre: "falcon" }, { pre: "constructor" }, { pre: 1 },
    { tokens: undefined }, { tokens: [] }, { tokens: [1, 2] }, { tokens: ["a", "b", "ab", "a"] }, { token_type: [1] }, { token_type: ["a", "b", "c", "d"] },
    { merges: undefined }, { merges: ["ab"] }, { merges: ["a z"] }, { merges: ["b a"] }, { eos_token_id: 4 }, { eos_token_id: -1 }, { eos_token_id: "3" },
    { add_bos_token: 1 }, { add_bos_token: true },
    { model: "llama" }, { model: "llama", scores: [1, 2] }, { model: "llama", scores: [0, 0, 0, 0], add_space_prefix: "yes" },
  ];
  const said = LIES.map((lie) => `${JSON.stringify(lie)}: ${refusal(() => tokenizerFiles(keys(lie), "FILE"))}`);
  expect(said.join("\n")).toMatchInlineSnapshot(`
    "{}: unsupported: cannot read the tokenizer of FILE: it has none. Instead: give token ids with --tokens
    {"model":"t5"}: unsupported: cannot read the tokenizer of FILE: it is of the kind "t5"; read are gpt2, llama. Instead: give token ids with --tokens
    {"model":3}: unsupported: cannot read the tokenizer of FILE: it is of the kind the number 3; read are gpt2, llama. Instead: give token ids with --tokens
    {}: unsupported: cannot read the tokenizer of FILE: no tokenizer.ggml.pre says how it cuts text, and guessing would give other tokens; known are default, gpt-2, llama-bpe, llama-v3, llama3, qwen2, smollm. Instead: give token ids with --tokens
    {"pre":"falcon"}: unsupported: cannot read the tokenizer of FILE: it cuts text by the rule "falcon"; known are default, gpt-2, llama-bpe, llama-v3, llama3, qwen2, smollm. Instead: give token ids with --tokens
    {"pre":"constructor"}: unsupported: cannot read the tokenizer of FILE: it cuts text by the rule "constructor"; known are default, gpt-2, llama-bpe, llama-v3, llama3, qwen2, smollm. Instead: give token ids with --tokens
    {"pre":1}: unsupported: cannot read the tokenizer of FILE: tokenizer.ggml.pre is the number 1; known are default, gpt-2, llama-bpe, llama-v3, llama3, qwen2, smollm. Instead: give token ids with --tokens
    {}: format: FILE: tokenizer.ggml.tokens must be a list of texts, it is missing
    {"tokens":[]}: format: FILE: tokenizer.ggml.tokens must be a list of 1 to 16777216 texts, got []
    {"tokens":[1,2]}: format: FILE: tokenizer.ggml.tokens must be a list of texts, got [1, 2]
    {"tokens":["a","b","ab","a"]}: format: FILE: tokenizer.ggml.tokens has "a" twice
    {"token_type":[1]}: format: FILE: tokenizer.ggml.token_type must be 4 numbers, one a token, got [1]
    {"token_type":["a","b","c","d"]}: format: FILE: tokenizer.ggml.token_type must be a list of numbers, got ["a", "b", "c", "d"]
    {}: format: FILE: tokenizer.ggml.merges must be a list of texts, it is missing
    {"merges":["ab"]}: format: FILE: tokenizer.ggml.merges has "ab", which does not join two tokens to a third
    {"merges":["a z"]}: format: FILE: tokenizer.ggml.merges has "a z", which does not join two tokens to a third
    {"merges":["b a"]}: format: FILE: tokenizer.ggml.merges has "b a", which does not join two tokens to a third
    {"eos_token_id":4}: format: FILE: tokenizer.ggml.eos_token_id must be an index below 4, got the number 4
    {"eos_token_id":-1}: format: FILE: tokenizer.ggml.eos_token_id must be an index below 4, got the number -1
    {"eos_token_id":"3"}: format: FILE: tokenizer.ggml.eos_token_id must be an index below 4, got the string "3"
    {"add_bos_token":1}: format: FILE: tokenizer.ggml.add_bos_token must be true or false, got the number 1
    {"add_bos_token":true}: format: FILE: a text is to have its bos token, but tokenizer.ggml.bos_token_id is missing
    {"model":"llama"}: format: FILE: tokenizer.ggml.scores must be a list of numbers, it is missing
    {"model":"llama","scores":[1,2]}: format: FILE: tokenizer.ggml.scores must be 4 numbers, one a token, got [1, 2]
    {"model":"llama","scores":[0,0,0,0],"add_space_prefix":"yes"}: format: FILE: tokenizer.ggml.add_space_prefix must be true or false, got the string "yes""
  `);
});

test("what is whole is read", () => {
  const { file, generation } = tokenizerFiles(keys({}), "FILE");
  expect(file["model"]).toMatchObject({ vocab: { a: 0, b: 1, ab: 2 }, merges: [["a", "b"]], ignore_merges: false });
  expect(generation).toEqual({ eos_token_id: [3] });
});

// ── real vocabularies ──

/** The texts of llama.cpp's tests and the ids that it gives. */
function vectors(name: string): { text: string; ids: number[] }[] {
  const read = (ending: string): string => readFileSync(sharedPath("tokenizers", "vectors", `${name}.${ending}`), "utf8");
  const texts = read("inp").split("\n__ggml_vocab_test__\n");
  const lines = read("out").split("\n");
  return texts.slice(0, lines.length - 1).map((text, i) => ({ text, ids: lines[i]!.trim().split(/\s+/).filter(Boolean).map(Number) }));
}

interface Saved {
  readonly added_tokens: readonly { id: number; content: string; special: boolean }[];
  readonly model: { readonly vocab: Record<string, number>; readonly merges: readonly (string | readonly string[])[] };
}

/** A tokenizer's own file, in the keys that llama.cpp's converter makes of it. */
function asKeys(folder: string, more: Readonly<Record<string, GgufValue>>): GgufMetadata {
  const { added_tokens: added, model } = JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")) as Saved;
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
  for (const { id, content } of added) tokens[id] = content;
  const kinds: number[] = Array.from(tokens, (token) => (/^<0x[0-9A-F]{2}>$/.test(token) ? 6 : 1));
  for (const { id, special } of added) kinds[id] = special ? 3 : 4;
  const merges = model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
  const named = { tokens, token_type: kinds, merges, ...more };
  return new Map(Object.entries(named).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const));
}

/** The keys as a tokenizer, by way of the files that they stand for. */
function loaded(name: string, metadata: GgufMetadata): Tokenizer {
  const { file, config, generation } = tokenizerFiles(metadata, name);
  write(`${name}/tokenizer.json`, JSON.stringify(file));
  write(`${name}/tokenizer_config.json`, JSON.stringify(config));
  write(`${name}/generation_config.json`, JSON.stringify(generation));
  return loadTokenizer(path(name));
}

const OTHERS = [
  "naïve café – “quoted”",
  "日本語とEnglish 12345",
  "🙂👩‍👩‍👧 ok",
  "  two  spaces\n\n\nlines\r\n",
  "I'll WE'VE 3.14159 ...!!",
  "def f(x):\n\treturn x**2\n",
];

describe.skipIf(!hasShared)("real vocabularies", () => {
  test("GPT-2's, in a file of llama.cpp, reads llama.cpp's texts as it does", () => {
    const file = sharedPath("tokenizers", "vectors", "ggml-vocab-gpt-2.gguf");
    expect(isGguf(file) && readGgufHeader(file).tensors.size).toBe(0);
    const tokenizer = loadTokenizer(file);
    for (const { text, ids } of vectors("gpt-2")) expect(tokenizer.encode(text).ids, JSON.stringify(text)).toEqual(ids);
    const own = loadTokenizer(sharedPath("tokenizers", "gpt2"));
    for (const text of OTHERS) expect(tokenizer.encode(text)).toEqual(own.encode(text));
  });

  test("Llama 2's, with merges from scores, reads as llama.cpp and as its own file", () => {
    const folder = sharedPath("models", "stories15M");
    const { model } = JSON.parse(readFileSync(`${folder}/tokenizer.json`, "utf8")) as Saved;
    // The file's merges are in the order of the scores of their joints.
    const scores = Object.keys(model.vocab).map(() => -1e9);
    for (const [rank, merge] of model.merges.entries()) {
      const joint = model.vocab[typeof merge === "string" ? merge.replace(" ", "") : merge.join("")]!;
      scores[joint] = Math.max(scores[joint]!, -rank);
    }
    const tokenizer = loaded("llama2", asKeys(folder, { model: "llama", scores, bos_token_id: 1, eos_token_id: 2, unknown_token_id: 0 }));
    for (const { text, ids } of vectors("llama-spm"))
      expect(tokenizer.encode(text, { addSpecialTokens: false }).ids, JSON.stringify(text)).toEqual(ids);
    const own = loadTokenizer(folder);
    for (const text of OTHERS) expect(tokenizer.encode(text)).toEqual(own.encode(text));
  });

  test("Llama 3's reads as its own file, and a text begins with its first token without being asked to", () => {
    const folder = sharedPath("tokenizers", "llama3");
    const tokenizer = loaded("llama3", asKeys(folder, { model: "gpt2", pre: "llama-bpe", bos_token_id: 128_000 }));
    const own = loadTokenizer(folder);
    for (const text of [...vectors("llama-bpe").map((vector) => vector.text), ...OTHERS]) {
      const [ours, theirs] = [tokenizer, own].map((one) => one.encode(text, { addSpecialTokens: false }).ids);
      expect(ours, JSON.stringify(text)).toEqual(theirs);
    }
    expect(tokenizer.encode("a").ids[0]).toBe(128_000);
  });
});
