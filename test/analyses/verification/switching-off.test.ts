/** @file Edits that switch heads and units off and give heads back: what is then read is 0, or what it was, exactly there and nowhere else. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { headsAsBefore, headsOff, unitsOff } from "../../../src/analyses/verification/switching-off.js";
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";
import { apart, at, loadFixture, rowsOf } from "../../runtime/support.js";

/** Rows of different lengths: the last position of the shorter ones stands inside. */
const rows = rowsOf(6, 9, 4);

let model: Model;
beforeAll(async () => {
  model = await loadFixture("phi-qk-layernorm-gqa");
});
afterAll(() => model.close());

async function valueOf(address: string, edits: readonly Edit[]) {
  const { activations } = await model.forward({ tokens: rows, read: [address], edits, logits: false });
  return activations[address]!;
}

async function logitsOf(edits: readonly Edit[]) {
  return (await model.forward({ tokens: rows, edits, logits: { positions: "last" } })).logits!;
}

/** Calls `take` with each position of each row. */
function everywhere(take: (row: number, position: number, isLast: boolean) => void): void {
  for (const [row, { length }] of rows.entries())
    for (let position = 0; position < length; position++) take(row, position, position === length - 1);
}

const isZero = (values: readonly number[]): boolean => values.every((value) => value === 0);

describe("heads off", () => {
  test("are one edit a layer, in the order of the layers", () => {
    const heads = [
      { layer: 1, head: 3 },
      { layer: 0, head: 2 },
      { layer: 1, head: 0 },
    ];
    expect(headsOff(heads)).toEqual([
      { at: "z.0", op: "set", value: 0, heads: [2] },
      { at: "z.1", op: "set", value: 0, heads: [3, 0] },
    ]);
    expect(headsOff([])).toEqual([]);
  });

  test.each([undefined, [-1]])("are 0 at positions %s, and other heads of the layer are what they were", async (positions) => {
    const edits = headsOff([{ layer: 0, head: 2 }], positions);
    const [before, after] = [await valueOf("z.0", []), await valueOf("z.0", edits)];
    everywhere((row, position, isLast) => {
      for (const head of [0, 1, 3]) expect(at(after, row, position, head)).toEqual(at(before, row, position, head));
      expect(isZero(at(before, row, position, 2))).toBe(false);
      if (positions === undefined || isLast) expect(isZero(at(after, row, position, 2))).toBe(true);
      else expect(at(after, row, position, 2)).toEqual(at(before, row, position, 2));
    });
  });
});

test("units off are 0 at each row's last position alone, and other units are what they were", async () => {
  const edits = unitsOff([
    { layer: 1, unit: 5 },
    { layer: 1, unit: 0 },
  ]);
  const [before, after] = [await valueOf("mlp_post.1", []), await valueOf("mlp_post.1", edits)];
  everywhere((row, position, isLast) => {
    const expected = at(before, row, position).map((value, unit) => (isLast && [0, 5].includes(unit) ? 0 : value));
    expect(at(after, row, position)).toEqual(expected);
  });
  expect(at(before, 0, 5).filter((_, unit) => [0, 5].includes(unit))).not.toContain(0);
});

describe("heads given back", () => {
  const all = [0, 1].flatMap((layer) => [0, 1, 2, 3].map((head) => ({ layer, head })));

  test("have what they had in an untouched run, while those in front of them are off", async () => {
    const back = await headsAsBefore(model, rows, [{ layer: 1, head: 2 }]);
    const off = headsOff([0, 1, 2, 3].map((head) => ({ layer: 0, head })));
    const [before, without, given] = [await valueOf("z.1", []), await valueOf("z.1", off), await valueOf("z.1", [...off, ...back])];
    everywhere((row, position) => {
      expect(at(given, row, position, 2)).toEqual(at(before, row, position, 2));
      for (const head of [0, 1, 3]) expect(at(given, row, position, head)).toEqual(at(without, row, position, head));
    });
    expect(apart(without, before)).toBeGreaterThan(0.01);
  });

  test("one and all leave the logits as they were", async () => {
    const back = await headsAsBefore(model, rows, all);
    // Packed in segments the same products are summed in the same order; 1e-6 is float32.
    expect(apart(await logitsOf(back), await logitsOf([]))).toBeLessThan(1e-5);
    expect(apart(await logitsOf(headsOff(all)), await logitsOf([]))).toBeGreaterThan(0.01);
  });

  test("at the last position only are 0 in front of it", async () => {
    const back = await headsAsBefore(model, rows, [{ layer: 1, head: 0 }], { onlyLast: true });
    const [before, given] = [await valueOf("z.1", []), await valueOf("z.1", back)];
    everywhere((row, position, isLast) => {
      if (isLast) expect(at(given, row, position, 0)).toEqual(at(before, row, position, 0));
      else expect(isZero(at(given, row, position, 0))).toBe(true);
      expect(at(given, row, position, 1)).toEqual(at(before, row, position, 1));
    });
  });

  test("that are none need no run", async () => {
    expect(await headsAsBefore(model, [], [])).toEqual([]);
  });
});
