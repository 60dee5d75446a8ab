/** @file The lens of vectors: planted tokens, every score in plain loops, ties, stops. */
import { describe, expect, test } from "vitest";
import { vectorLens } from "../../../src/analyses/mechanism/vector-lens.js";
import { numbers, plant, row, SIZES, smallModel, sumOf } from "./small-weights.js";

const WIDTH = SIZES.dModel;

describe("vectorLens", () => {
  test("gives for each vector the tokens in order of their products, as plain loops have them", async () => {
    const { weights } = smallModel(1);
    const vectors = [numbers(WIDTH, 2), numbers(WIDTH, 3), numbers(WIDTH, 4)];
    const readings = await vectorLens(weights, vectors, { top: 7 });
    const table = weights.unembedding();
    for (const [i, vector] of vectors.entries()) {
      const scored = Array.from({ length: SIZES.vocab }, (_, token) => ({ token, score: sumOf(vector, row(table, token)) }));
      const sorted = scored.toSorted((a, b) => b.score - a.score);
      const { top, bottom } = readings[i]!;
      expect(top.map(({ token }) => token)).toEqual(sorted.slice(0, 7).map(({ token }) => token));
      expect(bottom.map(({ token }) => token)).toEqual(sorted.toReversed().slice(0, 7).map(({ token }) => token)); // prettier-ignore
      for (const { token, score } of [...top, ...bottom]) expect(score).toBeCloseTo(scored[token]!.score, 10);
    }
  });

  test("finds a planted token first, and last for the antipode", async () => {
    const { weights } = smallModel(5);
    const vector = numbers(WIDTH, 6);
    plant(weights.unembedding(), 33, vector.map((value) => 3 * value)); // prettier-ignore
    const [along, against] = await vectorLens(weights, [vector, vector.map((value) => -value)], { top: 1 });
    expect(along!.top[0]!.token).toBe(33);
    expect(against!.bottom).toEqual([{ token: 33, score: -along!.top[0]!.score }]);
  });

  test("puts the smaller of two equal tokens first at either end, and gives all where fewer are there than asked for", async () => {
    const { weights } = smallModel(7, { vocab: 3 });
    for (const [token, value] of [2, 2, -1].entries()) plant(weights.unembedding(), token, Array.from({ length: WIDTH }, () => value)); // prettier-ignore
    const ones = Array.from({ length: WIDTH }, () => 1);
    const [reading] = await vectorLens(weights, [ones]);
    expect(reading!.top.map(({ token }) => token)).toEqual([0, 1, 2]);
    expect(reading!.bottom.map(({ token }) => token)).toEqual([2, 0, 1]);
  });

  test("reads the unembedding once for all vectors", async () => {
    const { weights, reads } = smallModel(8);
    await vectorLens(
      weights,
      Array.from({ length: 20 }, (_, i) => numbers(WIDTH, i)),
    );
    expect(reads.unembedding).toBe(1);
  });

  test("refuses vectors of another width or that are not finite, and stops when told to", async () => {
    const { weights } = smallModel(9);
    await expect(vectorLens(weights, [[1, 2]])).rejects.toThrow("vectorLens: vector 0 must have 24 coordinates, got 2");
    await expect(vectorLens(weights, [numbers(WIDTH, 1).with(3, NaN)])).rejects.toThrow("vector 0 has a coordinate that is not finite");
    await expect(vectorLens(weights, [], { top: 0 })).rejects.toThrow("top must be a whole number above 0, got 0");
    const stopped = vectorLens(weights, [numbers(WIDTH, 1)], { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ kind: "interrupted" });
  });
});
