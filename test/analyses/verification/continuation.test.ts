/** @file Continuations with something changed where they judge: against one plain pass over one row for each token. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { continueSearches, type ContinuationRequest } from "../../../src/analyses/verification/continuation.js";
import { headsAsBefore, headsOff } from "../../../src/analyses/verification/switching-off.js";
import type { Model } from "../../../src/runtime/model.js";
import { loadFixture, rowsOf } from "../../runtime/support.js";
import { continuePlainly } from "./plain.js";

/** A GPT-2 of 64 positions: behind these rows it writes 56, 48, 23, 14 and 8 again and again. */
const rows = rowsOf(9, 5, 7, 12, 5);
const open = 56;
const edits = headsOff([
  { layer: 0, head: 0 },
  { layer: 0, head: 1 },
  { layer: 1, head: 2 },
]);
const request: ContinuationRequest = { rows, open, edits, maxNew: 12, stopTokens: [] };

/** Each token as a letter or sign of its own, so that a text's length is its tokens'. */
const letter = (id: number): string => String.fromCodePoint(0x40 + id);
const decode = (ids: readonly number[]): string => ids.map(letter).join("");

let model: Model;
beforeAll(async () => {
  model = await loadFixture("gpt2-hub-names");
});
afterAll(() => model.close());

async function plainly(change: Partial<Parameters<typeof continuePlainly>[2]> = {}): Promise<number[][]> {
  const found: number[][] = [];
  for (const row of rows) found.push(await continuePlainly(model, row, { open, edits, maxNew: 12, ...change }));
  return found;
}

describe.each([1, 2, 32])("in batches of %i", (batch) => {
  test("each row goes on as it does alone", async () => {
    expect(await continueSearches(model, { ...request, batch })).toEqual(await plainly());
  });

  test("a token that stops is kept, and ends its row only", async () => {
    const found = await continueSearches(model, { ...request, batch, stopTokens: [23, 14] });
    expect(found).toEqual(await plainly({ stopTokens: [23, 14] }));
    expect(new Set(found.map(({ length }) => length)).size).toBeGreaterThan(1);
  });
});

test("the edits are in force where it judges, and only there", async () => {
  const [untouched, edited] = [await continueSearches(model, { ...request, edits: [] }), await continueSearches(model, request)];
  expect(untouched).toEqual(await plainly({ edits: [] }));
  expect(edited).not.toEqual(untouched);
  for (const [i, row] of rows.entries()) {
    const judged = untouched[i]!.indexOf(open);
    // Up to the first token at which it judges, nothing is changed.
    expect(row.at(-1)).not.toBe(open);
    expect(edited[i]!.slice(0, judged < 0 ? undefined : judged + 1)).toEqual(untouched[i]!.slice(0, judged < 0 ? undefined : judged + 1));
  }
  expect(await continueSearches(model, { ...request, open: 60 })).toEqual(await plainly({ open: 60, edits: [] }));
});

test("edits may be made for the rows of a pass, which end where they judge", async () => {
  const seen: number[] = [];
  const made = (those: readonly (readonly number[])[]) => {
    seen.push(...those.map((row) => row.at(-1)!));
    return Promise.resolve(edits);
  };
  expect(await continueSearches(model, { ...request, edits: made })).toEqual(await plainly());
  expect(new Set(seen)).toEqual(new Set([open]));
  const back = (those: readonly (readonly number[])[]) => headsAsBefore(model, those, [{ layer: 0, head: 1 }]);
  expect(await continueSearches(model, { ...request, edits: back })).toEqual(await plainly({ edits: [] }));
});

describe("a text that stops", () => {
  const hasStopped = (stop: string) => (written: readonly number[]) => decode(written).includes(stop);

  test.each([
    ["that it writes", decode([23, 23])],
    ["that begins with the token in front of a judgement", decode([56, 56])],
    ["that is the judgement's word", decode([8])],
    ["that goes over a judgement", decode([56, 56, 23])],
    ["that it never writes", decode([1, 2, 3])],
  ])("%s ends the row with the token that completes it", async (_, stop) => {
    const found = await continueSearches(model, { ...request, edits: [], stopStrings: [stop] }, { decode });
    expect(found).toEqual(await plainly({ edits: [], hasStopped: hasStopped(stop) }));
  });

  test("needs to be decoded", async () => {
    await expect(continueSearches(model, { ...request, stopStrings: ["x"] })).rejects.toThrow("stopStrings need a decode function");
  });
});

test("a row that fills the context ends there, the others go on", async () => {
  const long = [rowsOf(60)[0]!, rowsOf(64)[0]!, rows[1]!, rowsOf(63)[0]!];
  const found = await continueSearches(model, { ...request, rows: long });
  expect(found.map(({ length }) => length)).toEqual([4, 0, 12, 1]);
  for (const [i, row] of long.entries()) expect(found[i]).toEqual(await continuePlainly(model, row, { open, edits, maxNew: 12 }));
});

test("a row that ends where it judges is judged at once", async () => {
  const ending = rows.map((row) => [...row, open]);
  const found = await continueSearches(model, { ...request, rows: ending, maxNew: 3 });
  for (const [i, row] of ending.entries()) expect(found[i]).toEqual(await continuePlainly(model, row, { open, edits, maxNew: 3 }));
});

test("no rows, none of what cannot be, and a signal", async () => {
  expect(await continueSearches(model, { ...request, rows: [] })).toEqual([]);
  await expect(continueSearches(model, { ...request, batch: 0 })).rejects.toThrow("batch must be a whole number above 0, got 0");
  await expect(continueSearches(model, { ...request, maxNew: 0.5 })).rejects.toThrow("maxNew must be a whole number above 0, got 0.5");
  const controller = new AbortController();
  const options = { signal: controller.signal, onProgress: () => controller.abort() };
  await expect(continueSearches(model, { ...request, batch: 2 }, options)).rejects.toMatchObject({ kind: "interrupted" });
});
