/** @file Rows by variant and position: found where they stand; when some join and leave, each keeps its own value or begins with its base's. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gatherRows, regroup, Rows, union } from "../../../src/runtime/sweep/rows.js";
import { Scratch } from "../../../src/runtime/sweep/scratch.js";

const LENGTH = 9;

/** Some positions, ascending. */
const positions = fc.subarray(Array.from({ length: LENGTH }, (_, i) => i)).map((list) => Int32Array.from(list));

/** The positions of variants, of which the first is the base and has all. */
const lists = fc.array(positions, { maxLength: 6 }).map((some) => [Int32Array.from({ length: LENGTH }, (_, i) => i), ...some]);

/** Rows before and after, of as many variants. */
const moves = lists.chain((before) =>
  fc.record({
    before: fc.constant(before),
    after: fc.array(positions, { minLength: before.length - 1, maxLength: before.length - 1 }).map((some) => [before[0]!, ...some]),
  }),
);

const toBase = (): number => 0;

describe("rows", () => {
  it("stand variant by variant, positions ascending, and are found where they stand", () => {
    fc.assert(
      fc.property(lists, (given) => {
        const rows = new Rows(given);
        expect(rows.count).toBe(given.reduce((total, { length }) => total + length, 0));
        expect(rows.variants).toBe(given.length);
        given.forEach((list, variant) => {
          expect(rows.of(variant)).toEqual(list);
          for (let position = -1; position <= LENGTH; position++) {
            const at = list.indexOf(position);
            expect(rows.find(variant, position)).toBe(at === -1 ? -1 : rows.starts[variant]! + at);
          }
        });
      }),
    );
  });

  it("are visited in their order", () => {
    const seen: number[][] = [];
    new Rows([Int32Array.of(0, 1), new Int32Array(0), Int32Array.of(1)]).forEach((...visit) => seen.push(visit));
    expect(seen).toEqual([
      [0, 0, 0],
      [1, 0, 1],
      [2, 2, 1],
    ]);
  });

  it("are none where there is no variant", () => {
    const rows = new Rows([]);
    expect([rows.count, rows.variants]).toEqual([0, 0]);
  });
});

describe("regrouped rows", () => {
  it("have each its own old value, or the base's where the variant had none", () => {
    fc.assert(
      fc.property(moves, ({ before, after }) => {
        const old = new Rows(before);
        const { rows, index } = regroup(old, (variant) => after[variant]!, toBase);
        after.forEach((list, variant) => expect(rows.of(variant)).toEqual(list));
        rows.forEach((row, variant, position) => {
          const own = old.find(variant, position);
          expect(index ? index[row] : row).toBe(own === -1 ? old.find(0, position) : own);
        });
      }),
    );
  });

  it("are the very same, and nothing moves, exactly where no row joins or leaves", () => {
    fc.assert(
      fc.property(moves, ({ before, after }) => {
        const old = new Rows(before);
        expect(regroup(old, (variant) => before[variant]!.slice(), toBase)).toEqual({ rows: old, index: undefined });
        const isSame = before.every((list, variant) => String(list) === String(after[variant]));
        expect(regroup(old, (variant) => after[variant]!, toBase).index === undefined).toBe(isSame);
      }),
    );
  });

  it("are refused where not even the base has a value", () => {
    const old = new Rows([Int32Array.of(0, 1), new Int32Array(0)]);
    expect(() => regroup(old, (variant) => (variant === 0 ? old.of(0) : Int32Array.of(2)), toBase)).toThrowErrorMatchingInlineSnapshot(
      `[SextantError: internal: position 2 of a base is missing]`,
    );
  });
});

describe("the union of two lists", () => {
  it("is both, ascending, each position once", () => {
    fc.assert(
      fc.property(positions, fc.array(fc.nat(LENGTH - 1)), (a, b) => {
        expect([...union(a, b)]).toEqual([...new Set([...a, ...b])].toSorted((x, y) => x - y));
      }),
    );
  });

  it("is the first list itself where the second adds nothing", () => {
    const a = Int32Array.of(1, 4);
    expect(union(a, [4, 1, 4])).toBe(a);
  });
});

describe("gathered rows", () => {
  const values = fc.record({ width: fc.integer({ min: 1, max: 4 }), count: fc.integer({ min: 1, max: 8 }) }).chain(({ width, count }) =>
    fc.record({
      width: fc.constant(width),
      data: fc.array(fc.nat(1000), { minLength: count * width, maxLength: count * width }),
      index: fc.array(fc.nat(count - 1), { maxLength: 20 }).map((list) => Int32Array.from(list)),
    }),
  );

  it("are the rows at the indices, in float32 and in whole numbers, in memory of their own", () => {
    fc.assert(
      fc.property(values, ({ width, data, index }) => {
        const wanted = [...index].flatMap((row) => data.slice(row * width, (row + 1) * width));
        for (const given of [Float32Array.from(data), Int32Array.from(data)]) {
          const scratch = new Scratch();
          scratch.give(scratch.take(data.length).fill(-1));
          const gathered = gatherRows(given, width, { index, scratch });
          expect(gathered.constructor).toBe(given.constructor);
          expect([...gathered]).toEqual(wanted);
          expect(gathered.buffer).not.toBe(given.buffer);
        }
      }),
    );
  });
});
