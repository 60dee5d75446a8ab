/** @file Maps between embeddings: planted ones recovered, least squares and least norm by their conditions, and a control that finds nothing. */
import { describe, expect, test } from "vitest";
import { carry, checkEmb2Emb, fitEmb2Emb, type Emb2Emb, type TokenPair } from "../../../src/analyses/mechanism/emb2emb.js";
import { normalNumbers, shuffled } from "../../../src/base/draws.js";
import { seededRandom } from "../../../src/base/random.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import { cosineOf, numbers, row } from "./small-weights.js";

const FROM = 31;
const TO = 18;

function table(vocab: number, width: number, seed: number): Tensor<Float32Array> {
  return tensor(Float32Array.from(normalNumbers(vocab * width, seededRandom(seed))), [vocab, width], ["vocab", "d_model"]);
}

/** Rows of A times a planted matrix, as another table whose ids run the other way; and the pairs. */
function planted(vocab: number, noise = 0): { a: Tensor<Float32Array>; b: Tensor<Float32Array>; pairs: TokenPair[]; matrix: number[] } {
  const [a, errors, matrix] = [table(vocab, FROM, 1), table(vocab, TO, 2), numbers(FROM * TO, 3)];
  const b = tensor(new Float32Array(vocab * TO), [vocab, TO]);
  for (let id = 0; id < vocab; id++)
    for (let j = 0; j < TO; j++) {
      const value = row(a, id).reduce((sum, x, i) => sum + x * matrix[i * TO + j]!, 0);
      b.data[(vocab - 1 - id) * TO + j] = value + noise * errors.data[id * TO + j]!;
    }
  return { a, b, pairs: Array.from({ length: vocab }, (_, id) => [id, vocab - 1 - id] as const), matrix };
}

/** Aᵀ (A T − B) + ridge T, the slope of what is minimised: 0 at its least. */
function slope(map: Emb2Emb, a: Tensor, b: Tensor, { pairs, ridge }: { pairs: readonly TokenPair[]; ridge: number }): number {
  const sums = map.map.map((value) => ridge * value);
  for (const [from, to] of pairs) {
    const [x, y] = [row(a, from), row(b, to)];
    const missed = y.map((value, j) => x.reduce((sum, xi, i) => sum + xi * map.map[i * map.to + j]!, 0) - value);
    x.forEach((xi, i) => missed.forEach((error, j) => (sums[i * map.to + j]! += xi * error)));
  }
  return Math.max(...sums.map(Math.abs));
}

/** The largest part of a column of T that no row of A has: 0 for the smallest T among equals. */
function outsideOfRows(map: Emb2Emb, rows: readonly number[][]): number {
  const basis: number[][] = [];
  const without = (vector: number[]): number[] =>
    basis.reduce((rest, unit) => {
      const amount = rest.reduce((sum, value, i) => sum + value * unit[i]!, 0);
      return rest.map((value, i) => value - amount * unit[i]!);
    }, vector);
  for (const vector of rows) {
    const rest = without(without(vector));
    const length = Math.hypot(...rest);
    if (length > 1e-9) basis.push(rest.map((value) => value / length));
  }
  const columns = Array.from({ length: map.to }, (_, j) => Array.from({ length: map.from }, (_unused, i) => map.map[i * map.to + j]!));
  return Math.max(...columns.map((column) => Math.hypot(...without(column))));
}

describe("fitEmb2Emb", () => {
  test("recovers a planted map, and carries vectors through it", async () => {
    const { a, b, pairs, matrix } = planted(600);
    const map = await fitEmb2Emb(a, b, pairs);
    expect(map).toMatchObject({ from: FROM, to: TO, pairs: 600 });
    map.map.forEach((value, i) => expect(value).toBeCloseTo(matrix[i]!, 5)); // prettier-ignore
    const vector = numbers(FROM, 9);
    const expected = Array.from({ length: TO }, (_, j) => vector.reduce((sum, x, i) => sum + x * matrix[i * TO + j]!, 0));
    carry(map, vector).forEach((value, j) => expect(value).toBeCloseTo(expected[j]!, 5)); // prettier-ignore
  });

  test.each([0, 0.1, 30])("minimises the squared error with a ridge of %d, with many tokens and with few", async (ridge) => {
    const { a, b, pairs } = planted(300, 0.5);
    for (const part of [pairs, pairs.slice(0, FROM), pairs.slice(0, FROM - 1), pairs.slice(5, 7)])
      expect(slope(await fitEmb2Emb(a, b, part, { ridge }), a, b, { pairs: part, ridge })).toBeLessThan(1e-8);
  });

  test("a large ridge makes it small", async () => {
    const { a, b, pairs } = planted(300);
    const size = async (ridge: number): Promise<number> => Math.hypot(...(await fitEmb2Emb(a, b, pairs, { ridge })).map);
    expect(await size(1e6)).toBeLessThan(1e-2 * (await size(0)));
  });

  test("with fewer tokens than coordinates carries these exactly, by the smallest of all such maps", async () => {
    const { a, b, pairs } = planted(300, 0.5);
    const few = pairs.slice(0, 3);
    const map = await fitEmb2Emb(a, b, few);
    for (const [from, to] of few) carry(map, row(a, from)).forEach((value, j) => expect(value).toBeCloseTo(row(b, to)[j]!, 8)); // prettier-ignore
    expect(outsideOfRows(map, few.map(([from]) => row(a, from)))).toBeLessThan(1e-10); // prettier-ignore
    expect(outsideOfRows(map, few.slice(1).map(([from]) => row(a, from)))).toBeGreaterThan(1e-2); // prettier-ignore
  });

  test("where rows depend on each other it is the smallest map too: few tokens or many, each drawn more than once", async () => {
    const { a, b, pairs } = planted(300, 0.5);
    const three = pairs.slice(0, 3);
    const once = await fitEmb2Emb(a, b, three);
    for (const times of [2, 5]) {
      const again = await fitEmb2Emb(a, b, Array.from({ length: times }, () => three).flat());
      again.map.forEach((value, i) => expect(value).toBeCloseTo(once.map[i]!, 8));
    }
  });

  test("is the same in any order of the tokens, which are summed in pieces, and says how far it is", async () => {
    const { a, b, pairs } = planted(600, 0.5);
    const done: number[] = [];
    const forth = await fitEmb2Emb(a, b, pairs, { onProgress: (progress) => done.push(progress.done) });
    const back = await fitEmb2Emb(a, b, pairs.toReversed());
    forth.map.forEach((value, i) => expect(back.map[i]).toBeCloseTo(value, 10));
    expect(done).toEqual([0, 256, 512, 600, 0, 256, 512, 600]);
  });

  test("refuses ids out of the tables, no pairs and a negative ridge; stops when told to", async () => {
    const { a, b, pairs } = planted(20);
    await expect(fitEmb2Emb(a, b, [])).rejects.toThrow("Emb2Emb: needs a pair of tokens or more");
    await expect(fitEmb2Emb(a, b, [[20, 1]])).rejects.toThrow("pair 20, 1: the first id is not one of 20");
    await expect(fitEmb2Emb(a, b, [[1, -1]])).rejects.toThrow("pair 1, -1: the second id is not one of 20");
    await expect(fitEmb2Emb(a, tensor(new Float32Array(4), [4]), [[1, 1]])).rejects.toThrow("second table must have axes vocab, d_model");
    await expect(fitEmb2Emb(a, b, pairs, { ridge: -1 })).rejects.toThrow("ridge must be 0 or more, got -1");
    await expect(fitEmb2Emb(a, b, pairs, { signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: "interrupted" });
    expect(() => carry({ from: 2, to: 1, map: new Float64Array(2), pairs: 1 }, [1])).toThrow("must have 2 coordinates, got 1");
  });
});

describe("checkEmb2Emb", () => {
  test("carries held-out tokens where there is a map, and says how well; the shuffled pairing does not", async () => {
    const { a, b, pairs } = planted(400, 0.3);
    const found = await checkEmb2Emb(a, b, [...pairs, ...pairs.slice(0, 50)], { seed: 1, heldOut: 0.25 });
    expect(found).toMatchObject({ trained: 300, tested: 100 });
    expect(found.heldOut.cosine).toBeGreaterThan(0.98);
    // Noise of 0.3 beside rows whose coordinates have the planted columns' lengths.
    expect(found.heldOut.r2).toBeGreaterThan(0.95);
    expect(found.heldOut.r2).toBeLessThan(1);
    expect(Math.abs(found.shuffled.cosine)).toBeLessThan(0.3);
    expect(found.shuffled.r2).toBeLessThan(0.05);
  });

  test("finds nothing between tables that have nothing to do with each other", async () => {
    const pairs = Array.from({ length: 400 }, (_, id) => [id, id] as const);
    const found = await checkEmb2Emb(table(400, FROM, 5), table(400, TO, 6), pairs, { seed: 1 });
    for (const { cosine, r2 } of [found.heldOut, found.shuffled]) {
      expect(Math.abs(cosine)).toBeLessThan(0.2);
      expect(r2).toBeLessThan(0.05);
    }
  });

  test("a mean that all rows share gives the shuffled map a cosine, but no R²", async () => {
    const { a, b, pairs } = planted(400);
    for (const shared of [a, b]) shared.data.forEach((value, i) => (shared.data[i] = value + (i % shared.shape[1]! === 0 ? 100 : 0)));
    const control = (await checkEmb2Emb(a, b, pairs, { seed: 1 })).shuffled;
    expect(control.cosine).toBeGreaterThan(0.8);
    expect(control.r2).toBeLessThan(0.05);
  });

  test("its numbers are those of plain loops over the same split", async () => {
    const { a, b, pairs } = planted(90, 4);
    const { heldOut } = await checkEmb2Emb(a, b, pairs, { seed: 3, ridge: 2 });
    const order = shuffled(pairs, seededRandom(3));
    const [tested, trained] = [order.slice(0, 18), order.slice(18)];
    const map = await fitEmb2Emb(a, b, trained, { ridge: 2 });
    const rows = tested.map(([from, to]) => ({ carried: [...carry(map, row(a, from))], true: row(b, to) }));
    const middle = rows[0]!.true.map((_, j) => rows.reduce((sum, one) => sum + one.true[j]!, 0) / rows.length);
    const squares = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, j) => sum + (value - y[j]!) ** 2, 0);
    const missed = rows.reduce((sum, one) => sum + squares(one.carried, one.true), 0);
    const spread = rows.reduce((sum, one) => sum + squares(one.true, middle), 0);
    expect(heldOut.r2).toBeCloseTo(1 - missed / spread, 10);
    expect(heldOut.cosine).toBeCloseTo(rows.reduce((sum, one) => sum + cosineOf(one.carried, one.true), 0) / rows.length, 10);
  });

  test("refuses two partners for a token, and too few pairs", async () => {
    const { a, b, pairs } = planted(20);
    await expect(checkEmb2Emb(a, b, [...pairs, [0, 0]], { seed: 1 })).rejects.toThrow("token 0 is paired with 19 and with 0");
    await expect(checkEmb2Emb(a, b, pairs.slice(0, 3), { seed: 1 })).rejects.toThrow(
      "needs two pairs to fit on and two to test on, got 2 and 1",
    );
    await expect(checkEmb2Emb(a, b, pairs, { seed: 1, heldOut: 1 })).rejects.toThrow("heldOut must be above 0 and below 1, got 1");
  });
});
