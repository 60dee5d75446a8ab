/** @file Batches by number: always the same, every sample as often as it should be. */
import { describe, expect, test } from "vitest";
import { batchesOf, batchOf, generatedSource, holdOut, listSource, type Sample } from "../../src/training/token-source.js";

const numbered = (count: number): Sample[] => Array.from({ length: count }, (_, i) => ({ tokens: [i, i] }));
const firsts = ({ tokens }: { readonly tokens: readonly (readonly number[])[] }): number[] => tokens.map(([first]) => first!);

describe("generatedSource", () => {
  test("numbers its samples through, each with random numbers of its own", () => {
    const drawn: [number, number][] = [];
    const source = generatedSource((index, random) => (drawn.push([index, random()]), { tokens: [index, 1] }), { rows: 3, seed: 5 });
    expect(firsts(source.batch(2))).toEqual([6, 7, 8]);
    expect(firsts(source.batch(0))).toEqual([0, 1, 2]);
    source.batch(2);
    expect(drawn.slice(6)).toEqual(drawn.slice(0, 3));
    expect(new Set(drawn.map(([, number]) => number)).size).toBe(6);
    expect(source.settings).toEqual({ source: "generated", rows: 3, seed: 5 });
  });
});

describe("listSource", () => {
  const source = (seed = 1): ReturnType<typeof listSource> => listSource(numbered(10), { rows: 4, seed });

  test("has every sample once a round, in another order each", () => {
    const places = Array.from({ length: 5 }, (_, i) => firsts(source().batch(i))).flat();
    const [first, second] = [places.slice(0, 10), places.slice(10)];
    for (const round of [first, second]) expect(round.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => i));
    expect(first).not.toEqual(second);
  });

  test("gives the same batch in whatever order it is asked", () => {
    const [forwards, backwards] = [source(), source()];
    const expected = Array.from({ length: 8 }, (_, i) => forwards.batch(i));
    expect(Array.from({ length: 8 }, (_, i) => backwards.batch(7 - i)).toReversed()).toEqual(expected);
    expect(Array.from({ length: 8 }, (_, i) => source(2).batch(i))).not.toEqual(expected);
  });

  test("refuses nothing at all, and rows that are none", () => {
    expect(() => listSource([], { rows: 1, seed: 1 })).toThrow("training needs at least one sample, got none");
    expect(() => listSource(numbered(1), { rows: 0, seed: 1 })).toThrow("rows of a batch must be a whole number above 0, got 0");
    expect(() => listSource(numbered(1), { rows: 1, seed: NaN })).toThrow("seed must be a whole number, got NaN");
  });
});

describe("holdOut", () => {
  test("divides samples by the share, the same for the same seed", () => {
    const samples = numbered(50);
    const { training, heldOut } = holdOut(samples, { share: 0.2, seed: 3 });
    expect(heldOut).toHaveLength(10);
    expect([...training, ...heldOut].toSorted((a, b) => a.tokens[0]! - b.tokens[0]!)).toEqual(samples);
    expect(holdOut(samples, { share: 0.2, seed: 3 }).heldOut).toEqual(heldOut);
    expect(holdOut(samples, { share: 0.2, seed: 4 }).heldOut).not.toEqual(heldOut);
  });

  test("leaves both parts something", () => {
    expect(holdOut(numbered(2), { share: 0.001, seed: 1 }).heldOut).toHaveLength(1);
    expect(holdOut(numbered(2), { share: 0.999, seed: 1 }).training).toHaveLength(1);
    expect(() => holdOut(numbered(1), { share: 0.5, seed: 1 })).toThrow("needs at least two samples, got 1");
    expect(() => holdOut(numbered(9), { share: 1, seed: 1 })).toThrow("must be between 0 and 1, got 1");
  });
});

describe("batches", () => {
  test("keep the order, the last has what is left", () => {
    expect(batchesOf(numbered(5), 2).map(firsts)).toEqual([[0, 1], [2, 3], [4]]);
  });

  test("count all but the first token where only another sample has a mask", () => {
    expect(batchOf([{ tokens: [1, 2, 3] }, { tokens: [4, 5], mask: [0, 0] }])).toEqual({
      tokens: [
        [1, 2, 3],
        [4, 5],
      ],
      mask: [
        [0, 1, 1],
        [0, 0],
      ],
    });
    expect(batchOf(numbered(1))).toEqual({ tokens: [[0, 0]] });
  });
});
