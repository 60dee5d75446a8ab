/** @file Attention from a query to keys: against sums over whole patterns, on heads whose attention is known, and within a memory of one layer. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { headsAbove, mentions, targetAttention, type AttentionCase } from "../../../src/analyses/mechanism/target-attention.js";
import { bootstrapInterval } from "../../../src/base/bootstrap.js";
import { loadModel } from "../../../src/runtime/load.js";
import type { ForwardRequest, Model } from "../../../src/runtime/model.js";
import { loadFixture, rowsOf } from "../../runtime/support.js";

/** Other batches, other sums: float32, of attention in 0 … 1. Seen: 1e-7. */
const DIGITS = 5;

describe("mentions", () => {
  test("gives the last token of each whole occurrence in front of the end", () => {
    const tokens = [4, 9, 4, 9, 9, 4, 9];
    expect(mentions(tokens, [4, 9], 7)).toEqual([1, 3, 6]);
    expect(mentions(tokens, [4, 9], 6)).toEqual([1, 3]);
    expect(mentions(tokens, [4, 9], 3)).toEqual([1]);
    expect(mentions(tokens, [9], 5)).toEqual([1, 3, 4]);
    expect(mentions(tokens, [9, 9, 9], 7)).toEqual([]);
    expect(mentions([1, 1, 1], [1, 1], 100)).toEqual([1, 2]);
    expect(mentions([1], [1, 1], 1)).toEqual([]);
  });

  test("refuses a target of no tokens", () => {
    expect(() => mentions([1], [], 1)).toThrow("mentions: the target must have a token or more");
  });
});

describe("targetAttention", () => {
  let model: Model;
  const rows = rowsOf(12, 7, 9, 12, 5);
  const cases: AttentionCase[] = rows.map((tokens, i) => ({
    tokens,
    query: tokens.length - 1 - (i % 2),
    keys: i === 0 ? [2, 5] : [1],
    controls: { later: [3], none: [], both: [0, 2] },
  }));
  beforeAll(async () => {
    model = await loadFixture("gemma3-old-style");
  });
  afterAll(() => model.close());

  /** One case's density, from the whole pattern of that case alone. */
  async function naive(one: AttentionCase, layer: number, head: number, keys: readonly number[]): Promise<number> {
    const { activations } = await model.forward({ tokens: [one.tokens], read: [`pattern.${layer}`], logits: false });
    const length = one.tokens.length;
    const pattern = activations[`pattern.${layer}`]!.data;
    return keys.reduce((sum, key) => sum + pattern[(head * length + one.query) * length + key]!, 0);
  }

  test("is the mean over cases of the sums over keys, with intervals over cases", async () => {
    const { heads, even, cases: count } = await targetAttention(model, cases, { seed: 5, batch: 2 });
    expect(count).toBe(5);
    expect(heads.map(({ layer, head }) => `${layer}.${head}`)).toEqual(
      [0, 1, 2].flatMap((layer) => [0, 1, 2, 3].map((head) => `${layer}.${head}`)),
    );
    for (const { layer, head, density, interval, controls } of heads) {
      const values = await Promise.all(cases.map((one) => naive(one, layer, head, one.keys)));
      const both = await Promise.all(cases.map((one) => naive(one, layer, head, [0, 2])));
      expect(density).toBeCloseTo(meanOf(values), DIGITS);
      expect(controls["both"]!.density).toBeCloseTo(meanOf(both), DIGITS);
      expect(controls["none"]!.density).toBe(0);
      expect(interval!.low).toBeCloseTo(bootstrapInterval(values, { seed: 5 })!.low, DIGITS);
      expect(interval!.high).toBeCloseTo(bootstrapInterval(values, { seed: 5 })!.high, DIGITS);
    }
    expect(even.density).toBeCloseTo(meanOf(cases.map(({ keys, query }) => keys.length / (query + 1))), 12);
    expect(even.controls["both"]).toBeCloseTo(meanOf(cases.map(({ query }) => 2 / (query + 1))), 12);
  });

  test("never holds more patterns than the budget, and gives the same whatever the batches", async () => {
    const asked: ForwardRequest[] = [];
    const watched = { spec: model.spec, forward: (request: ForwardRequest) => (asked.push(request), model.forward(request)) };
    const whole = await targetAttention(model, cases, { seed: 1, batch: 5 });
    const narrow = await targetAttention(watched, cases, { seed: 1, batch: 2, memoryBudget: 1 });
    for (const { read } of asked) expect(read!.filter((address) => address.startsWith("pattern."))).toHaveLength(1);
    expect(asked).toHaveLength(9);
    expect(Math.max(...asked.map(({ tokens }) => tokens.length))).toBe(2);
    for (const [i, { density, controls }] of narrow.heads.entries()) {
      expect(density).toBeCloseTo(whole.heads[i]!.density, DIGITS);
      expect(controls["later"]!.density).toBeCloseTo(whole.heads[i]!.controls["later"]!.density, DIGITS);
    }
  });

  test("over the last batch only is over those cases alone", async () => {
    const last = await targetAttention(model, cases, { seed: 1, lastBatch: 2 });
    const alone = await targetAttention(model, cases.slice(3), { seed: 1 });
    const all = await targetAttention(model, cases, { seed: 1 });
    expect(last).toEqual(alone);
    expect(last.cases).toBe(2);
    expect(last.heads.map(({ density }) => density)).not.toEqual(all.heads.map(({ density }) => density));
  });

  test("reports its progress and stops when told to", async () => {
    const done: number[] = [];
    await targetAttention(model, cases, { seed: 1, batch: 2, onProgress: (progress) => done.push(progress.done) });
    expect(done).toEqual([0, 2, 4, 5]);
    const stopped = targetAttention(model, cases, { seed: 1, signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ kind: "interrupted" });
  });

  test.each([
    ["needs a case or more", []],
    ["case 0 has no keys", [{ ...cases[0]!, keys: [] }]],
    ["case 0: query must be one of its 12 positions, got 12", [{ ...cases[0]!, query: 12 }]],
    ["case 0: a key must be a position up to the query's, 3, got 4", [{ ...cases[0]!, query: 3, keys: [4] }]],
    ["case 0: a key is named twice", [{ ...cases[0]!, keys: [1, 1] }]],
    ["case 1 must have the controls both, later, none, got both", [cases[0]!, { ...cases[1]!, controls: { both: [] } }]],
  ])("refuses: %s", async (message, asked) => {
    await expect(targetAttention(model, asked, { seed: 1 })).rejects.toThrow(message);
  });

  test("refuses batches that are none", async () => {
    await expect(targetAttention(model, cases, { seed: 1, batch: 0 })).rejects.toThrow("batch must be a whole number above 0, got 0");
    await expect(targetAttention(model, cases, { seed: 1, lastBatch: 0.5 })).rejects.toThrow("lastBatch must be a whole number above 0");
  });
});

describe("on the induction model", () => {
  const PROMPT = [0, 1, 33, 11, 17, 49, 58, 29, 1, 34, 9, 49];

  test("the planted heads are those above the threshold: one back, and behind the earlier mention", async () => {
    const model = await loadModel(fileURLToPath(new URL("../../../models/induction", import.meta.url)));
    try {
      // The query is the second 49; behind the first stands 58.
      const behind = mentions(PROMPT, [49], PROMPT.length - 1).map((last) => last + 1);
      expect(behind).toEqual([6]);
      const one = { tokens: PROMPT, query: 11, keys: behind, controls: { back: [10], other: [3] } };
      const { heads } = await targetAttention(model, [one], { seed: 1 });
      const above = (list: typeof heads): string[] => headsAbove(list, { threshold: 0.9 }).map(({ layer, head }) => `${layer}.${head}`);
      expect(above(heads)).toEqual(["1.2"]);
      const back = heads.map((head) => ({ ...head, ...head.controls["back"]! }));
      expect(above(back).toSorted()).toEqual(["0.1", "1.1"]);
      expect(above(heads.map((head) => ({ ...head, ...head.controls["other"]! })))).toEqual([]);
      expect(heads[0]).not.toHaveProperty("interval");
    } finally {
      await model.close();
    }
  });
});

describe("headsAbove", () => {
  const heads = [0.3, 0.1, 0.5, 0.3, 0.05].map((density, i) => ({ layer: Math.floor(i / 3), head: i % 3, density }));

  test("leaves those above the threshold, highest first, at most so many", () => {
    const names = (list: typeof heads): string[] => list.map(({ layer, head }) => `${layer}.${head}`);
    expect(names(headsAbove(heads, { threshold: 0.1 }))).toEqual(["0.2", "0.0", "1.0"]);
    expect(names(headsAbove(heads, { threshold: 0.1, most: 2 }))).toEqual(["0.2", "0.0"]);
    expect(headsAbove(heads, { threshold: 0.5 })).toEqual([]);
  });
});

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
