/**
 * @file The built-in induction model: the committed files are what the script builds, and the model does what its card proves. The
 * forward pass here is a plain float64 loop that shares nothing with the product.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { afterAll, describe, expect, it } from "vitest";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { buildInductionModel } from "../../scripts/build-induction-model.js";
import { guarantee, highestPrior, ideal, ORDINARY, prior, withoutPrevious } from "../../scripts/induction-model/bounds.js";
import { PROMPTS } from "../../scripts/induction-model/card.js";
import { HEADS } from "../../scripts/induction-model/circuit.js";
import { STREAM } from "../../scripts/induction-model/layout.js";
import { BOS, CLASS_NAMES, codeOf, VOCABULARY, WORDS } from "../../scripts/induction-model/words.js";

const COMMITTED = fileURLToPath(new URL("../../models/induction", import.meta.url));
const FILES = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
const scratch = mkdtempSync(join(tmpdir(), "induction-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const readJson = <T extends object>(name: string): T => JSON.parse(readFileSync(join(COMMITTED, name), "utf8")) as T;
const config = readJson<{
  num_hidden_layers: number;
  num_attention_heads: number;
  head_dim: number;
  max_position_embeddings: number;
  rope_theta: number;
  rms_norm_eps: number;
}>("config.json");
const tensors = readSafetensors(join(COMMITTED, "model.safetensors"));
const tokenizer = new Tokenizer(readJson("tokenizer.json"), readJson("tokenizer_config.json"));
const bounds = guarantee();

// --- a forward pass: T positions, D = d_model, H heads of C channels; float64; zeros are skipped ---

interface Row {
  readonly columns: readonly number[];
  readonly values: readonly number[];
}
const [H, C, CONTEXT] = [config.num_attention_heads, config.head_dim, config.max_position_embeddings];

/** The rows of a matrix without their zeros. */
function rowsOf(name: string): Row[] {
  const { data, shape } = tensors.get(name)!;
  const [rows = 0, width = 0] = shape;
  return Array.from({ length: rows }, (_, row) => {
    const values = [...data.subarray(row * width, (row + 1) * width)];
    const columns = [...values.keys()].filter((column) => values[column] !== 0);
    return { columns, values: columns.map((column) => values[column]!) };
  });
}

const matrices = new Map([...tensors.keys()].filter((name) => tensors.get(name)!.shape.length === 2).map((name) => [name, rowsOf(name)]));

function linear(name: string, x: readonly number[]): number[] {
  return matrices.get(name)!.map(({ columns, values }) => {
    let sum = 0;
    for (let i = 0; i < columns.length; i++) sum += values[i]! * x[columns[i]!]!;
    return sum;
  });
}

const add = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + b[i]!);
const silu = (x: number): number => x / (1 + Math.exp(-x));

function norm(name: string, x: readonly number[]): number[] {
  const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + config.rms_norm_eps);
  return x.map((value, i) => value * scale * tensors.get(name)!.data[i]!);
}

/** Cosine and sine of `position · theta^(-2i/C)`, by position and pair i. */
const turns = Array.from({ length: CONTEXT }, (_, position) =>
  Array.from({ length: C / 2 }, (__, i) => position * config.rope_theta ** ((-2 * i) / C)).map(
    (angle) => [Math.cos(angle), Math.sin(angle)] as const,
  ),
);

/** Turns the channel pairs (i, i + C/2) of every head. */
function rotate(x: readonly number[], position: number): number[] {
  const out = [...x];
  for (let start = 0; start < H * C; start += C) {
    turns[position]!.forEach(([cos, sin], i) => {
      const [a, b] = [x[start + i]!, x[start + i + C / 2]!];
      out[start + i] = a * cos - b * sin;
      out[start + i + C / 2] = b * cos + a * sin;
    });
  }
  return out;
}

/** z of one head at position `t`: softmax(q · k / √C) · v over the positions up to `t`. */
function headZ(qkv: { q: number[][]; k: number[][]; v: number[][] }, head: number, t: number): number[] {
  const query = qkv.q[t]!;
  const scores: number[] = [];
  for (let s = 0; s <= t; s++) {
    const key = qkv.k[s]!;
    let score = 0;
    for (let i = head * C; i < (head + 1) * C; i++) score += query[i]! * key[i]!;
    scores.push(score / Math.sqrt(C));
  }
  const z = Array<number>(C).fill(0);
  softmax(scores).forEach((weight, s) => {
    for (let i = 0; i < C; i++) z[i]! += weight * qkv.v[s]![head * C + i]!;
  });
  return z;
}

/** One layer of the residual stream `[T][D]`; `wanted` are the positions that are computed. */
function block(x: readonly number[][], layer: number, wanted: readonly number[], off: readonly string[]): number[][] {
  const at = `model.layers.${layer}`;
  const normed = x.map((row) => norm(`${at}.input_layernorm.weight`, row));
  const project = (part: string): number[][] => normed.map((row) => linear(`${at}.self_attn.${part}_proj.weight`, row));
  const qkv = { q: project("q").map(rotate), k: project("k").map(rotate), v: project("v") };
  return wanted.map((t) => {
    const zs = Array.from({ length: H }, (_, head) => (off.includes(`${layer}.${head}`) ? Array<number>(C).fill(0) : headZ(qkv, head, t)));
    const middle = add(x[t]!, linear(`${at}.self_attn.o_proj.weight`, zs.flat()));
    const input = norm(`${at}.post_attention_layernorm.weight`, middle);
    const up = linear(`${at}.mlp.up_proj.weight`, input);
    const inner = linear(`${at}.mlp.gate_proj.weight`, input).map((gate, i) => silu(gate) * up[i]!);
    return add(middle, linear(`${at}.mlp.down_proj.weight`, inner));
  });
}

/** The last position's residual stream after both layers, and its logits. `off` lists heads whose z is zeroed. */
function forward(tokens: readonly number[], off: readonly string[] = []): { logits: number[]; stream: number[] } {
  const { data, shape } = tensors.get("model.embed_tokens.weight")!;
  const D = shape[1]!;
  const embedded = tokens.map((token) => Array.from(data.subarray(token * D, (token + 1) * D)));
  const middle = block(embedded, 0, [...tokens.keys()], off);
  const [stream = []] = block(middle, 1, [tokens.length - 1], off);
  return { logits: linear("lm_head.weight", norm("model.norm.weight", stream)), stream };
}

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const raw = logits.map((logit) => Math.exp(logit - largest));
  const total = raw.reduce((sum, value) => sum + value, 0);
  return raw.map((value) => value / total);
}

/** The logit of `token` minus the best other one. */
function marginOf(logits: readonly number[], token: number): number {
  return logits[token]! - Math.max(...logits.filter((_, id) => id !== token));
}

// --- inputs ---

const IDS = WORDS.map((_, index) => index + 1);
const id = (word: string): number => VOCABULARY.indexOf(word);
const encode = (text: string): number[] => tokenizer.encode(text).ids;

/** Whole numbers below n, from a seed (mulberry32). */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/** `<bos>`, `before` other words, A B, then other words until A stands `distance` further on. */
function repetition(
  a: number,
  b: number,
  { before, distance, others }: { before: number; distance: number; others: () => number },
): number[] {
  const fill = (count: number): number[] => Array.from({ length: count }, others);
  if (a === b) return [0, ...fill(before), a, a];
  return [0, ...fill(before), a, b, ...fill(distance - 2), a];
}

/** Random tokens other than `a`. */
function othersThan(a: number, roll: (n: number) => number, from: readonly number[] = IDS): () => number {
  const allowed = from.filter((token) => token !== a);
  return () => allowed[roll(allowed.length)]!;
}

function product(a: number, b: number): number {
  return codeOf(a - 1).reduce((sum, sign, i) => sum + sign * codeOf(b - 1)[i]!, 0);
}

/** Asks for the guarantee at the last position: margin, range of the logit, probability. */
function expectAnswer(tokens: readonly number[], b: number, off: readonly string[] = []): number {
  const { logits } = forward(tokens, off);
  const margin = marginOf(logits, b);
  if (margin < bounds.margin)
    expect.fail(`margin ${margin} of ${VOCABULARY[b]} after ${tokens.map((token) => VOCABULARY[token]).join(" ")}`);
  expect(logits[b]).toBeGreaterThan(bounds.answerLogit.low);
  expect(logits[b]).toBeLessThan(bounds.answerLogit.high);
  expect(softmax(logits)[b]).toBeGreaterThan(bounds.probability);
  return margin;
}

describe("the files", () => {
  it("are what the script builds, byte for byte", () => {
    buildInductionModel(scratch);
    expect(readdirSync(scratch).toSorted()).toEqual(FILES);
    expect(readdirSync(COMMITTED).toSorted()).toEqual(FILES);
    for (const file of FILES) expect(readFileSync(join(scratch, file)).equals(readFileSync(join(COMMITTED, file))), file).toBe(true);
  });

  it("take less than 400 kB", () => {
    const bytes = FILES.reduce((sum, file) => sum + statSync(join(COMMITTED, file)).size, 0);
    expect(bytes).toBeLessThan(400_000);
  });
});

describe("the tokenizer", () => {
  it("puts <bos> in front and makes one token of each word", () => {
    expect(VOCABULARY).toHaveLength(65);
    expect(new Set(VOCABULARY).size).toBe(65);
    for (const word of WORDS) expect(encode(word), word).toEqual([0, id(word)]);
  });

  it("gives natural text back, without spaces before punctuation", () => {
    const text = "The cat, his dog and Mira Stone sat by the river. Tom saw her";
    expect(tokenizer.decode(encode(text), { skip_special_tokens: true })).toBe(text);
  });

  it("says <unk> for a word that is not in the vocabulary, even one that begins like a word that is", () => {
    expect(tokenizer.encode("cats met Mira's zebra!").tokens).toEqual([BOS, "<unk>", "met", "Mira", "<unk>", "<unk>", "<unk>", "<unk>"]);
  });
});

describe("the codes", () => {
  it("have products of -4, 0 or 4 with one another", () => {
    const products = new Set(IDS.flatMap((a) => IDS.filter((b) => b !== a).map((b) => product(a, b))));
    expect([...products].toSorted((a, b) => a - b)).toEqual([-4, 0, 4]);
  });

  it("are a tight frame: uncorrelated coordinates, each as often +1 as -1", () => {
    const coordinates = Array.from({ length: 16 }, (_, i) => i);
    const sum = (f: (code: readonly number[]) => number): number => WORDS.reduce((total, _, index) => total + f(codeOf(index)), 0);
    for (const i of coordinates) {
      expect(sum((code) => code[i]!)).toBe(0);
      for (const j of coordinates) expect(sum((code) => code[i]! * code[j]!)).toBe(i === j ? 64 : 0);
    }
  });
});

describe("a repeated word", () => {
  it("is followed by what followed it, for every pair of words", () => {
    const roll = dice(1);
    let smallest = Infinity;
    for (const a of IDS) {
      for (const b of IDS) {
        const tokens = repetition(a, b, { before: roll(8), distance: 2 + roll(16), others: othersThan(a, roll) });
        smallest = Math.min(smallest, expectAnswer(tokens, b));
      }
    }
    // The bound is not idle: what happens comes near it.
    expect(smallest - bounds.margin).toBeLessThan(0.15);
  });

  it("is followed by what followed it, at every distance up to the context", () => {
    const roll = dice(2);
    for (let distance = 2; distance <= CONTEXT - 2; distance++) {
      const [a, b] = [IDS[roll(64)]!, IDS[roll(64)]!];
      if (a === b) continue;
      const tokens = repetition(a, b, { before: CONTEXT - 2 - distance, distance, others: othersThan(a, roll) });
      expect(tokens).toHaveLength(CONTEXT);
      expectAnswer(tokens, b);
    }
  });

  it("is found among the words that resemble it most, in a full context", () => {
    const roll = dice(3);
    for (const a of IDS.slice(0, 24)) {
      const alike = IDS.filter((other) => product(a, other) === 4);
      const others = othersThan(a, roll, alike);
      const b = others();
      expectAnswer(repetition(a, b, { before: 0, distance: CONTEXT - 2, others }), b);
    }
  });

  it("may have occurred several times, if always with the same word after it", () => {
    const roll = dice(4);
    for (let n = 0; n < 20; n++) {
      const cycle = Array.from({ length: 9 }, (_, i) => IDS[(7 * n + 13 * i) % 64]!);
      const tokens = [0, ...cycle, ...cycle, ...cycle, ...cycle.slice(0, 1 + roll(8))];
      expectAnswer(tokens, cycle[(tokens.length - 1) % 9]!);
    }
  });

  it("continues the default prompt, and greedily the whole sentence", () => {
    const { logits } = forward(encode(PROMPTS.repeated));
    expect(VOCABULARY[logits.indexOf(Math.max(...logits))]).toBe(PROMPTS.answer);
    expect(softmax(logits)[id(PROMPTS.answer)]).toBeCloseTo(ideal(), 3);
    const tokens = encode("Mira Stone saw a fox near the river. Mira");
    for (let n = 0; n < 17; n++) {
      const next = forward(tokens).logits;
      tokens.push(next.indexOf(Math.max(...next)));
    }
    const sentence = "Mira Stone saw a fox near the river.";
    expect(tokenizer.decode(tokens, { skip_special_tokens: true })).toBe(`${sentence} ${sentence} ${sentence}`);
  });

  it("is answered from its own context: another surname, another answer; another first name, none", () => {
    const other = softmax(forward(encode(PROMPTS.otherAnswer)).logits);
    expect(other[id("Hill")]).toBeGreaterThan(bounds.probability);
    expect(Math.max(...softmax(forward(encode(PROMPTS.otherName)).logits))).toBeLessThan(0.08);
    expect(encode(PROMPTS.otherAnswer)).toHaveLength(encode(PROMPTS.repeated).length);
    expect(encode(PROMPTS.otherName)).toHaveLength(encode(PROMPTS.repeated).length);
  });
});

describe("a word that is not repeated", () => {
  it("is followed by the word classes that the card states", () => {
    const roll = dice(5);
    for (const [index, word] of WORDS.entries()) {
      const others = othersThan(id(word), roll);
      const probabilities = softmax(forward([0, ...Array.from({ length: 10 }, others), id(word)]).logits);
      for (const [next, expected] of prior(CLASS_NAMES[index >> 3]!)) {
        expect(Math.abs(Math.log(probabilities[id(next)]! / expected)), `${word} ${next}`).toBeLessThan(0.1);
      }
    }
    expect(softmax(forward([0]).logits)[id("the")]).toBeCloseTo(prior("start").get("the")!, 3);
  });
});

describe("switching a head off", () => {
  const roll = dice(6);
  const cases = Array.from({ length: 24 }, (_, n) => {
    const [a, b] = [IDS[(n * 11) % 64]!, IDS[(n * 23 + 5) % 64]!];
    const tokens = repetition(a, b, { before: roll(10), distance: 2 + roll(30), others: othersThan(a, roll) });
    return { a, b: a === b ? a : b, tokens };
  });
  const idle = HEADS.flatMap((row, layer) => row.flatMap(({ matters }, head) => (matters ? [] : [`${layer}.${head}`])));

  it("destroys induction when it is 0.1 or 1.2", () => {
    for (const { a, b, tokens } of cases) {
      for (const [head, unrepeated] of [
        ["0.1", withoutPrevious()],
        ["1.2", ORDINARY],
      ] as const) {
        const { logits, stream } = forward(tokens, [head]);
        const probabilities = softmax(logits);
        expect(probabilities[b], head).toBeLessThan(highestPrior(unrepeated) + 0.001);
        expect(
          STREAM.ANSWER.every((i) => Math.abs(stream[i]!) < 1e-6),
          head,
        ).toBe(true);
        for (const [next, expected] of prior(CLASS_NAMES[(a - 1) >> 3]!, unrepeated)) {
          expect(probabilities[id(next)], `${head} ${next}`).toBeCloseTo(expected, 3);
        }
      }
    }
  });

  it("changes next to nothing when it is another one, or all six others", () => {
    expect(idle).toEqual(["0.0", "0.2", "0.3", "1.0", "1.1", "1.3"]);
    for (const { b, tokens } of cases) {
      const before = forward(tokens).logits[b]!;
      for (const off of [...idle.map((head) => [head]), idle]) {
        expectAnswer(tokens, b, off);
        expect(Math.abs(forward(tokens, off).logits[b]! - before), off.join()).toBeLessThan(0.02);
      }
    }
  });
});
