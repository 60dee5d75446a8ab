/**
 * @file What a run is said to cost: arithmetic counted by hand for a small model, bytes that are exactly those returned, and time from
 * the speed of earlier runs.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.js";
import { readSafetensorsHeader } from "../../src/formats/safetensors.js";
import { loadModel } from "../../src/runtime/load.js";
import type { ForwardRequest, GenerateRequest, Model } from "../../src/runtime/model.js";
import { fixture, loadFixture, rowsOf } from "./support.js";

let model: Model;
beforeAll(async () => {
  model = await loadFixture("gpt2-hub-names");
});
afterAll(() => model.close());

// gpt2-hub-names: 2 layers, d_model 32, 4 heads of 8, d_mlp 128, vocabulary 61, 64 positions.
const [LAYERS, D, MLP, VOCAB, CONTEXT] = [2, 32, 128, 61, 64];
/** Weights that a token meets in a block: q, k, v, output, and the two of the MLP. */
const PER_BLOCK = 3 * D * D + D * D + 2 * D * MLP;

/** Floating point operations of one block for a token that sees so many keys: scores and mixing are 2 · d_model each and key. */
function block(keys: number): number {
  return 2 * PER_BLOCK + 2 * (2 * D * keys);
}

describe("arithmetic, counted by hand", () => {
  it("the model is the one that is counted", () => {
    const config = JSON.parse(readFileSync(join(fixture("gpt2-hub-names"), "config.json"), "utf8")) as Record<string, number>;
    expect([config["n_layer"], config["n_embd"], config["n_inner"] ?? 4 * D, config["vocab_size"], config["n_positions"]]).toEqual([
      LAYERS,
      D,
      MLP,
      VOCAB,
      CONTEXT,
    ]);
  });

  it("a pass: every token through every block, and one position a row through the unembedding", () => {
    expect(model.forecast({ tokens: rowsOf(5) }).flops).toBe(5 * LAYERS * block(5) + 2 * D * VOCAB);
    expect(model.forecast({ tokens: rowsOf(5, 5, 5) }).flops).toBe(3 * (5 * LAYERS * block(5) + 2 * D * VOCAB));
  });

  it("rows of other lengths are computed as wide as the longest", () => {
    expect(model.forecast({ tokens: rowsOf(7, 2) }).flops).toBe(2 * 7 * LAYERS * block(7) + 2 * (2 * D * VOCAB));
  });

  it("logits: as many positions and tokens as are asked for", () => {
    const blocks = 2 * 7 * LAYERS * block(7);
    const flops = (logits: ForwardRequest["logits"]): number => model.forecast({ tokens: rowsOf(7, 3), logits: logits! }).flops - blocks;
    expect(flops({ positions: "all" })).toBe((7 + 3) * 2 * D * VOCAB);
    expect(flops({ positions: [0, -1, 2] })).toBe(2 * 3 * 2 * D * VOCAB);
    expect(flops({ tokens: [4, 9] })).toBe(2 * 2 * D * 2);
    expect(model.forecast({ tokens: rowsOf(7, 3), logits: false, read: ["final_normalized"] }).flops).toBe(blocks);
    expect(model.forecast({ tokens: rowsOf(7, 3), logits: false, read: ["logits"] }).flops - blocks).toBe((7 + 3) * 2 * D * VOCAB);
  });

  it("only the blocks that run: up to the last read, from where it resumes", () => {
    const tokens = rowsOf(6);
    expect(model.forecast({ tokens, logits: false, read: ["q.0"] }).flops).toBe(6 * block(6));
    expect(model.forecast({ tokens, logits: false, read: ["embed"] }).flops).toBe(0);
    const resid = { data: new Float32Array(6 * D), shape: [1, 6, D], axes: ["batch", "pos", "d_model"] };
    expect(model.forecast({ tokens, resume: { layer: 1, resid } }).flops).toBe(6 * block(6) + 2 * D * VOCAB);
    expect(model.forecast({ tokens, resume: { layer: 2, resid } }).flops).toBe(2 * D * VOCAB);
  });

  it("heads' terms, which are computed for their reader", () => {
    const tokens = rowsOf(6);
    const plain = model.forecast({ tokens }).flops;
    expect(model.forecast({ tokens, read: ["head_out.0", "z.1"] }).flops - plain).toBe(6 * 2 * D * D);
  });

  it("generation: the prompts, then a token a row and step with one key more each", () => {
    const prompt = 2 * 5 * LAYERS * block(5) + 2 * (2 * D * VOCAB);
    const steps = [6, 7, 8].map((keys) => 2 * (LAYERS * block(keys) + 2 * D * VOCAB));
    const expected = steps.reduce((sum, step) => sum + step, prompt);
    expect(model.forecast({ tokens: rowsOf(5, 4), maxNew: 4 }).flops).toBe(expected);
    expect(model.forecast({ tokens: rowsOf(5, 4), maxNew: 1 }).flops).toBe(prompt);
  });

  it("generation that computes everything anew at each step", () => {
    const steps = [5, 6, 7, 8].map((width) => 2 * (width * LAYERS * block(width) + 2 * D * VOCAB));
    const expected = steps.reduce((sum, step) => sum + step, 0);
    expect(model.forecast({ tokens: rowsOf(5, 4), maxNew: 4, recompute: true }).flops).toBeCloseTo(expected, 3);
  });

  it("experts: those that a token is sent to, and the router", async () => {
    const mixture = await loadFixture("qwen3-moe-dense-first");
    const { layers, dModel, vocabOut } = mixture.spec;
    const { heads, kvHeads, dHead } = layers[1]!.attention;
    const config = JSON.parse(readFileSync(join(fixture("qwen3-moe-dense-first"), "config.json"), "utf8")) as Record<string, number>;
    const attention = dModel * heads * dHead * 2 + dModel * kvHeads * dHead * 2;
    const dense = 3 * dModel * config["intermediate_size"]!;
    const sparse = dModel * config["num_experts"]! + config["num_experts_per_tok"]! * 3 * dModel * config["moe_intermediate_size"]!;
    const expected = 5 * (2 * (2 * attention + dense + sparse) + 2 * (4 * heads * dHead * 5)) + 2 * dModel * vocabOut;
    expect(mixture.forecast({ tokens: rowsOf(5) }).flops).toBe(expected);
    await mixture.close();
  });
});

/** Bytes of the tensors of a result. */
function bytesOf({ activations, logits }: { activations: Readonly<Record<string, Tensor>>; logits?: Tensor }): number {
  return [...Object.values(activations), ...(logits ? [logits] : [])].reduce((sum, { data }) => sum + data.byteLength, 0);
}

describe("bytes are exactly those of the result", () => {
  const tokens = rowsOf(6, 3);
  const requests: readonly (readonly [string, ForwardRequest])[] = [
    ["the last logits", { tokens }],
    ["all logits", { tokens, logits: { positions: "all" } }],
    ["some logits", { tokens, logits: { positions: [0, -1, -2], tokens: [1, 2, 3, 4, 5] } }],
    ["every point", { tokens, read: ["all"], logits: false }],
    ["every point, and the logits twice", { tokens, read: ["all"], logits: { positions: "all" } }],
    ["some points", { tokens, read: ["pattern.*", "z.1", "final_scale"] }],
    ["nothing", { tokens, logits: false }],
    ["a point with edits", { tokens, read: ["resid_post.1"], edits: [{ at: "resid_post.0", op: "scale", by: 2 }] }],
  ];

  it.each(requests)("%s", async (_, request) => {
    expect(model.forecast(request).resultBytes).toBe(bytesOf(await model.forward(request)));
  });

  it("in a family with experts, whose points have axes of their own", async () => {
    const mixture = await loadFixture("gpt-oss-yarn-old-style");
    const request: ForwardRequest = { tokens, read: ["all"], logits: false };
    expect(mixture.forecast(request).resultBytes).toBe(bytesOf(await mixture.forward(request)));
    await mixture.close();
  });

  const generations: readonly (readonly [string, Omit<GenerateRequest, "tokens">])[] = [
    ["tokens alone", { maxNew: 4 }],
    ["logits", { maxNew: 4, logits: true }],
    ["reads", { maxNew: 4, read: ["resid_post.*", "pattern.0"] }],
    ["everything", { maxNew: 3, read: ["all"], logits: true }],
    ["one token", { maxNew: 1, read: ["all"], logits: true }],
    ["everything, computed anew", { maxNew: 3, read: ["all"], logits: true, recompute: true }],
  ];

  it.each(generations)("of a generation: %s", async (_, request) => {
    const asked = { tokens, stopTokens: [], ...request };
    expect(model.forecast(asked).resultBytes).toBe(bytesOf(await model.generate(asked)));
  });

  it("of the cache: keys and values of every layer, for all tokens but the last", () => {
    expect(model.forecast({ tokens, maxNew: 4 }).cacheBytes).toBe(4 * LAYERS * 2 * D * 2 * (6 + 3));
    expect(model.forecast({ tokens, maxNew: 4, recompute: true }).cacheBytes).toBe(0);
    expect(model.forecast({ tokens }).cacheBytes).toBe(0);
  });

  it("of the weights: each stored tensor once, as float32; fewer where fewer blocks run", () => {
    const { tensors } = readSafetensorsHeader(join(fixture("gpt2-hub-names"), "model.safetensors"));
    const elements = (isCounted: (name: string) => boolean): number =>
      [...tensors].filter(([name]) => isCounted(name)).reduce((sum, [, { shape }]) => sum + shape.reduce((n, size) => n * size, 1), 0);
    const isWeight = (name: string): boolean => !/\.attn\.(bias|masked_bias)$/.test(name);
    expect(model.forecast({ tokens }).weightBytes).toBe(4 * elements(isWeight));
    const first = model.forecast({ tokens, logits: false, read: ["resid_post.0"] }).weightBytes;
    expect(first).toBe(4 * elements((name) => isWeight(name) && !/\bh\.1\./.test(name)));
  });

  it("a run that needs more memory than it may take is refused before it starts", async () => {
    const tight = await loadModel(fixture("gpt2-hub-names"), { threads: 1, lazy: true, memoryLimit: 200_000 });
    await expect(tight.forward({ tokens: rowsOf(40, 40), read: ["all"] })).rejects.toMatchObject({ kind: "memory" });
    const generation = tight.generate({ tokens: rowsOf(40, 40), maxNew: 10, logits: true, read: ["all"] });
    await expect(generation).rejects.toThrow(/the run would return .*\. Instead: use fewer/);
    expect((await tight.forward({ tokens: rowsOf(4) })).logits!.shape).toEqual([1, 1, 61]);
    await tight.close();
  });
});

describe("time", () => {
  it("is not told before the first run, and then from the speed seen", async () => {
    const fresh = await loadFixture("gpt2-hub-names");
    const request = { tokens: rowsOf(20, 20) };
    expect(fresh.forecast(request).ms).toBeUndefined();
    const first = await fresh.forward(request);
    expect(first.cost.forecast.ms).toBeUndefined();
    expect(first.cost.ms).toBeGreaterThan(0);
    const speed = first.cost.forecast.flops / first.cost.ms;
    const larger = fresh.forecast({ tokens: rowsOf(40, 40) });
    expect(larger.ms).toBeCloseTo(larger.flops / speed, 6);
    await fresh.close();
  });

  it("a run's cost has the forecast that was made for it, so that it tells how far off that was", async () => {
    const request = { tokens: rowsOf(30, 30), read: ["resid_post.*"] };
    await model.forward(request);
    const forecast = model.forecast(request);
    const { cost } = await model.forward(request);
    expect(cost.forecast).toEqual(forecast);
    const offBy = cost.ms / cost.forecast.ms!;
    expect(offBy).toBeGreaterThan(0.01);
    expect(offBy).toBeLessThan(100);
  });

  it("of a generation and of a continued run is measured too", async () => {
    const made = await model.generate({ tokens: rowsOf(5), maxNew: 3 });
    expect(made.cost.forecast.ms).toBeGreaterThan(0);
    expect(made.cost.ms).toBeGreaterThan(0);
    const paused = await model.runUntil("resid_post.0", { tokens: rowsOf(5) });
    const { cost } = await model.runFrom(paused, paused.value);
    expect(cost.ms).toBeGreaterThan(0);
    expect(cost.forecast.flops).toBeGreaterThan(0);
  });

  it("a run without arithmetic leaves the speed as it was", async () => {
    await model.forward({ tokens: rowsOf(20) });
    const before = model.forecast({ tokens: rowsOf(20) }).ms;
    await model.forward({ tokens: rowsOf(20), read: ["embed"], logits: false });
    expect(model.forecast({ tokens: rowsOf(20) }).ms).toBe(before);
    expect(before).toBeGreaterThan(0);
  });
});
