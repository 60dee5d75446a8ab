/** @file Damaged GGUF files of whole models: a spec, a tokenizer and weights come of them, or a `SextantError`; nothing else is thrown. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isSextantError } from "../../src/base/errors.js";
import { readGgufHeader } from "../../src/formats/gguf/header.js";
import { loadTokenizer } from "../../src/formats/tokenizer.js";
import { readSpec } from "../../src/runtime/load.js";
import { temporaryFolder } from "../formats/folder.js";
import { ggufBytes, type Claim, type Pair } from "../formats/gguf/build.js";

const { path, write, refusal } = temporaryFolder();
const file = (name: string): string => fileURLToPath(new URL(`../fixtures/gguf/${name}.gguf`, import.meta.url));

const before = process.env["SEXTANT_CACHE"];
beforeAll(() => void (process.env["SEXTANT_CACHE"] = path("cache")));
afterAll(() => {
  if (before === undefined) delete process.env["SEXTANT_CACHE"];
  else process.env["SEXTANT_CACHE"] = before;
});

function attempt(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!isSextantError(error) || error.kind === "internal" || error.kind === "memory") throw error;
  }
}

describe.each(["llama", "qwen2", "gpt2"])("%s", (name) => {
  const bytes = readFileSync(file(name));
  const start = Math.min(...[...readGgufHeader(file(name)).tensors.values()].map(({ offset }) => offset));

  test("with changed bytes and counts in its header", () => {
    const place = fc.nat(start - 9);
    const flips = fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 3 });
    const counts = fc.array(fc.tuple(place, fc.constantFrom(0, 1, 2, 7, 0xffff, 0x7fffffff, 0xffffffff)), { maxLength: 2 });
    const damaged = fc.tuple(flips, counts).map(([flipped, claimed]) => {
      const copy = Buffer.from(bytes);
      for (const [at, byte] of flipped) copy[at] = byte;
      for (const [at, count] of claimed) copy.writeUInt32LE(count >>> 0, at);
      return copy;
    });
    const check = (content: Buffer): void => {
      const at = write(`${name}.gguf`, content);
      attempt(() => readSpec(at).checkpoint.close());
      attempt(() => loadTokenizer(at).encode("the cat 🙂").ids);
    };
    fc.assert(fc.property(damaged, check), { numRuns: 60 });
  });
});

// ── keys of a model that lie ──

const F32 = 0;
const DIMS = { d: 4, mlp: 8, vocab: 5 };
const shapes: readonly (readonly [string, readonly number[]])[] = [
  ["token_embd.weight", [DIMS.d, DIMS.vocab]],
  ["output_norm.weight", [DIMS.d]],
  ["blk.0.attn_norm.weight", [DIMS.d]],
  ...["attn_q", "attn_k", "attn_v", "attn_output"].map((part) => [`blk.0.${part}.weight`, [DIMS.d, DIMS.d]] as const),
  ["blk.0.ffn_norm.weight", [DIMS.d]],
  ...["ffn_gate", "ffn_up"].map((part) => [`blk.0.${part}.weight`, [DIMS.d, DIMS.mlp]] as const),
  ["blk.0.ffn_down.weight", [DIMS.mlp, DIMS.d]],
];
const keys: Readonly<Record<string, readonly [kind: number, value: unknown]>> = {
  "general.architecture": [8, "llama"],
  "llama.block_count": [4, 1],
  "llama.embedding_length": [4, DIMS.d],
  "llama.feed_forward_length": [4, DIMS.mlp],
  "llama.attention.head_count": [4, 2],
  "llama.context_length": [4, 16],
  "llama.attention.layer_norm_rms_epsilon": [6, 1e-5],
};

type Changes = Readonly<Record<string, readonly [kind: number, value: unknown] | undefined>>;

/** A one-layer Llama of zeros with some keys changed, and tensors put in front. */
function model(changes: Changes, more: readonly (readonly [string, readonly number[]])[] = []): string {
  const pairs = Object.entries({ ...keys, ...changes }).flatMap(([key, value]): Pair[] => (value ? [[key, ...value]] : []));
  let offset = 0;
  const claims = [...more, ...shapes].map(([name, lengths]): Claim => {
    const at = offset;
    offset += Math.ceil((4 * lengths.reduce((size, length) => size * length, 1)) / 32) * 32;
    return { name, lengths, type: F32, offset: at };
  });
  return write("model.gguf", ggufBytes({ pairs, claims, data: new Uint8Array(offset).fill(0x3f) }));
}

test("a model made by hand is read", () => {
  const { spec, checkpoint } = readSpec(model({}));
  checkpoint.close();
  expect(spec).toMatchObject({ family: "llama", dModel: 4, vocab: 5, notUnderstood: [] });
});

test("what is not understood is listed", () => {
  const { spec, checkpoint } = readSpec(model({ "llama.colour": [8, "blue"], "general.name": [8, "x"] }));
  checkpoint.close();
  expect(spec.notUnderstood).toEqual(["llama.colour"]);
});

test("a model that keys or tensors make another one is refused by name", () => {
  // oxfmt-ignore
  const LIES: readonly (readonly [what: string, changes: Changes, more?: readonly (readonly [string, readonly number[]])[]])[] = [
    ["no architecture",     { "general.architecture": undefined }],
    ["another one",         { "general.architecture": [8, "mamba"] }],
    ["one of objects",      { "general.architecture": [8, "toString"] }],
    ["no layers",           { "llama.block_count": [4, 0] }],
    ["a million layers",    { "llama.block_count": [4, 1_000_000] }],
    ["more than there are", { "llama.block_count": [4, 2] }],
    ["heads of a part",     { "llama.attention.head_count": [4, 3] }],
    ["shared heads",        { "llama.attention.head_count_kv": [4, 1] }],
    ["values apart",        { "llama.attention.value_length": [4, 1] }],
    ["half a rotary",       { "llama.rope.dimension_count": [4, 1] }],
    ["experts",             { "llama.expert_count": [4, 8] }],
    ["a kind of scaling",   { "llama.rope.scaling.type": [8, "longrope"] }],
    ["scaling of nothing",  { "llama.rope.scaling.type": [8, "yarn"], "llama.rope.scaling.factor": [6, 4] }],
    ["an attention",        { "llama.attention.scale": [6, 2] }],
    ["a scale of logits",   { "llama.logit_scale": [6, 2] }],
    ["an epsilon as text",  { "llama.attention.layer_norm_rms_epsilon": [8, "1e-5"] }],
    ["a stray tensor",      {}, [["blk.0.attn_sinks.weight", [4]]]],
    ["a name twice",        {}, [["model.norm.weight", [4]]]],
    ["factors too many",    {}, [["rope_freqs.weight", [4]]]],
    ["factors and scaling", { "llama.rope.scaling.factor": [6, 4] }, [["rope_freqs.weight", [1]]]],
  ];
  const said = LIES.map(([what, changes, more]) => `${what}: ${refusal(() => readSpec(model(changes, more)))}`);
  expect(said.join("\n").replaceAll(/TMP.model\.gguf/g, "FILE")).toMatchInlineSnapshot(`
    "no architecture: unsupported: cannot load the architecture "" of FILE: the architectures read from GGUF are llama, qwen2, qwen3, gemma, gemma2, gemma3, gpt2. Instead: use the model's safetensors
    another one: unsupported: cannot load the architecture "mamba" of FILE: the architectures read from GGUF are llama, qwen2, qwen3, gemma, gemma2, gemma3, gpt2. Instead: use the model's safetensors
    one of objects: unsupported: cannot load the architecture "toString" of FILE: the architectures read from GGUF are llama, qwen2, qwen3, gemma, gemma2, gemma3, gpt2. Instead: use the model's safetensors
    no layers: format: FILE: llama.block_count must be a whole number above 0, got 0
    a million layers: format: FILE: num_hidden_layers is 1000000; at most 4096 are read
    more than there are: weights: the checkpoint has no tensor "model.layers.1.input_layernorm.weight"; FILE asks for it with shape [4]
    heads of a part: format: FILE: llama.attention.head_count must be a divisor of 4, got 3
    shared heads: weights: tensor "model.layers.0.self_attn.k_proj.weight" has shape [4, 4], FILE asks for [2, 4]
    values apart: unsupported: cannot honour llama.attention.value_length 1 of FILE: values must be as long as keys, 2
    half a rotary: unsupported: cannot honour llama.rope.dimension_count 1 of FILE: this family turns the whole head of 2
    experts: unsupported: cannot honour llama.expert_count 8 of FILE: mixtures of experts are not read from GGUF
    a kind of scaling: unsupported: cannot honour llama.rope.scaling.type "longrope" of FILE: known are none, linear and yarn
    scaling of nothing: format: FILE: llama.rope.scaling.original_context_length must be a whole number above 0, it is missing
    an attention: unsupported: cannot honour llama.attention.scale of FILE: no part of Sextant knows this setting
    a scale of logits: unsupported: cannot honour llama.logit_scale of FILE: no part of Sextant knows this setting
    an epsilon as text: format: FILE: llama.attention.layer_norm_rms_epsilon must be a number above 0, got "1e-5"
    a stray tensor: unsupported: cannot use the checkpoint's "blk.0.attn_sinks.weight": config.json describes a model without these tensors, so leaving them out would compute another one. Instead: check that configuration and weights belong together
    a name twice: format: FILE: two of its tensors are "model.norm.weight"
    factors too many: weights: FILE: rope_freqs.weight has 4 factors, a head of 2 has 1
    factors and scaling: unsupported: cannot honour the rope scaling of FILE: it has rope_freqs.weight, too, and it is not clear which of them holds"
  `);
});

test("a model cut off anywhere, of types that are not read, or that is none says so", () => {
  const bytes = readFileSync(file("llama"));
  for (const share of [0, 0.01, 0.2, 0.5, 0.9, 0.999])
    expect(
      refusal(() => readSpec(write("cut.gguf", bytes.subarray(0, Math.floor(bytes.length * share))))),
      String(share),
    ).toMatch(/^format: TMP.cut\.gguf: /);
  const unread = ggufBytes({
    pairs: Object.entries(keys).map(([key, value]): Pair => [key, ...value]),
    claims: [{ name: "token_embd.weight", lengths: [4, 5], type: 26, offset: 0 }],
    data: new Uint8Array(96),
  });
  const said = [
    refusal(() => readSpec(write("unread.gguf", unread))),
    refusal(() => readSpec(fileURLToPath(new URL("../fixtures/vectors/gemma3-old-style.gguf", import.meta.url)))).replace(
      /\S*fixtures/,
      "",
    ),
    refusal(() => loadTokenizer(model({}))),
    refusal(() => loadTokenizer(model({ "tokenizer.ggml.model": [8, "rwkv"] }))),
    refusal(() => loadTokenizer(model({ "tokenizer.ggml.model": [8, "llama"] }))),
  ];
  expect(said.join("\n")).toMatchInlineSnapshot(`
    "weights: cannot load TMP/unread.gguf: its tensor "token_embd.weight" is stored as I32; read are F32, F16, BF16, F64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, IQ2_XXS. Instead: use the model in another quantisation
    unsupported: cannot load /vectors/gemma3-old-style.gguf: it is a control vector, which changes a model and is none. Instead: give the model's own file, and this one with --control
    unsupported: cannot read the tokenizer of TMP/model.gguf: it has none. Instead: give token ids with --tokens
    unsupported: cannot read the tokenizer of TMP/model.gguf: it is of the kind "rwkv"; read are gpt2, llama. Instead: give token ids with --tokens
    format: TMP/model.gguf: tokenizer.ggml.tokens must be a list of texts, it is missing"
  `);
});
