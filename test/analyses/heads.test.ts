/** @file Scores of planted patterns, and ablation of heads in batches against one head at a time. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ablateHeads, headsOf, patternOf, scoreHead, scoreHeads } from "../../src/analyses/heads.js";
import { standingOf, topTokens } from "../../src/analyses/probabilities.js";
import { logSumExp } from "../../src/base/log-sum-exp.js";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";

const PROMPT = [0, 1, 33, 11, 17, 49, 58, 29, 1, 34, 9, 49];
const HILL = 58;

/** A pattern in which query q gives all its attention to `key(q)`. */
function planted(length: number, key: (query: number) => number): Tensor<Float32Array> {
  const data = new Float32Array(length * length);
  for (let query = 0; query < length; query++) data[query * length + key(query)] = 1;
  return tensor(data, [length, length], ["query", "key"]);
}

describe("scores", () => {
  const tokens = [7, 8, 9, 7, 8, 9];

  test("of heads that do one thing are 1 for it", () => {
    expect(
      scoreHead(
        planted(6, (q) => Math.max(0, q - 1)),
        tokens,
      ),
    ).toMatchObject({ previous: 1, self: 0, entropy: 0 });
    expect(
      scoreHead(
        planted(6, () => 0),
        tokens,
      ),
    ).toMatchObject({ first: 1, previous: 0.2, induction: 0 });
    expect(
      scoreHead(
        planted(6, (q) => q),
        tokens,
      ),
    ).toMatchObject({ self: 1, previous: 0, induction: 0 });
    expect(
      scoreHead(
        planted(6, (q) => Math.max(0, q - 2)),
        tokens,
      ),
    ).toMatchObject({ induction: 1, previous: 0.2 });
  });

  test("of a uniform head are its entropy", () => {
    const uniform = tensor(
      Float32Array.from({ length: 16 }, (_, i) => (i % 4 <= i / 4 ? 1 / (Math.floor(i / 4) + 1) : 0)),
      [4, 4],
    );
    expect(scoreHead(uniform, [1, 2, 3, 4]).entropy).toBeCloseTo((Math.log(2) + Math.log(3) + Math.log(4)) / 3, 6);
  });

  test("have no induction where nothing repeats", () => {
    expect(
      scoreHead(
        planted(3, (q) => q),
        [1, 2, 3],
      ),
    ).not.toHaveProperty("induction");
    expect(
      scoreHead(
        planted(2, (q) => q),
        [1, 1],
      ),
    ).not.toHaveProperty("induction");
  });

  test("of one token are nothing, not NaN", () => {
    expect(
      scoreHead(
        planted(1, () => 0),
        [1],
      ),
    ).toEqual({ previous: 0, first: 0, self: 0, entropy: 0 });
  });

  test("read one head of one row of a batch", () => {
    const data = Float32Array.from({ length: 2 * 2 * 3 * 3 }, (_, i) => i);
    expect([...patternOf(tensor(data, [2, 2, 3, 3]), 1, 0, 2).data]).toEqual([18, 19, 21, 22]);
  });
});

describe("probabilities", () => {
  const logits = Float32Array.of(1, 3, 3, -Infinity, 2);

  test("rank tokens, equal ones by id", () => {
    expect(topTokens(logits, 3).map(({ token, rank }) => [token, rank])).toEqual([[1, 1], [2, 1], [4, 3]]); // prettier-ignore
    expect(standingOf(logits, 4)).toEqual(topTokens(logits, 3)[2]);
    expect(standingOf(logits, 3)).toMatchObject({ rank: 5, probability: 0 });
  });

  test("add up to 1, however large the logits", () => {
    const sum = topTokens(
      Float32Array.from(logits, (logit) => logit + 1000),
      5,
    ).reduce((total, { probability }) => total + probability, 0);
    expect(sum).toBeCloseTo(1, 12);
    expect(logSumExp(Float32Array.of(-Infinity))).toBe(-Infinity);
  });
});

describe("on the induction model", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(fileURLToPath(new URL("../../models/induction", import.meta.url)));
  });
  afterAll(() => model.close());

  test("the planted heads have the highest scores", async () => {
    const heads = await scoreHeads(model, { tokens: PROMPT });
    const clear = (score: "previous" | "induction"): string[] =>
      heads.filter(({ scores }) => (scores[score] ?? 0) > 0.9).map(({ layer, head }) => `${layer}.${head}`);
    expect(clear("previous")).toEqual(["0.1", "1.1"]);
    expect(clear("induction")).toEqual(["1.2"]);
  });

  test("without either head of the circuit the answer goes, without any other it stays", async () => {
    const { before, effects } = await ablateHeads(model, { tokens: PROMPT });
    expect(before).toMatchObject({ token: HILL, rank: 1 });
    expect(effects.map(({ layer, head }) => ({ layer, head }))).toEqual(headsOf(model));
    const needed = effects.filter(({ change }) => change < -1).map(({ layer, head }) => `${layer}.${head}`);
    expect(needed).toEqual(["0.1", "1.2"]);
    for (const { layer, head, change } of effects) if (!needed.includes(`${layer}.${head}`)) expect(Math.abs(change)).toBeLessThan(0.01);
  });

  test("switching heads off in one sweep gives what one head at a time gives", async () => {
    const { effects } = await ablateHeads(model, { tokens: PROMPT, target: 57 });
    for (const { layer, head, after } of effects) {
      const { logits } = await model.forward({ tokens: [PROMPT], edits: [{ at: `z.${layer}`, op: "set", value: 0, heads: [head] }] });
      expect(after.logit).toBeCloseTo(standingOf(logits!.data, 57).logit, 4);
    }
  });

  test("only the heads asked for are switched off", async () => {
    const { effects } = await ablateHeads(model, { tokens: PROMPT, heads: [{ layer: 1, head: 2 }, { layer: 0, head: 1 }] }); // prettier-ignore
    expect(effects.map(({ layer, head }) => `${layer}.${head}`)).toEqual(["0.1", "1.2"]);
  });
});
