/** @file Values at chosen positions: against plain passes over one row at a time, whatever rows are run together. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collectAt, type Site } from "../../src/analyses/collect.js";
import type { Edit } from "../../src/runtime/edit.js";
import type { Model } from "../../src/runtime/model.js";
import { loadFixture, rowsOf } from "../runtime/support.js";

/** Other rows beside, other sums: float32, of values of 1 and less. Seen: 4e-7. */
const DIGITS = 5;

const rows = rowsOf(9, 5, 12, 7, 3, 12);
/** Not in the order of the rows; row 3 has none, row 2 has three, one of them twice. */
const sites: readonly Site[] = [
  { row: 2, position: 11 },
  { row: 0, position: 0 },
  { row: 4, position: 2 },
  { row: 2, position: 4 },
  { row: 1, position: 3 },
  { row: 2, position: 11 },
  { row: 5, position: 6 },
];
const read = ["resid_post.*", "z.1", "mlp_post.0"];
const edits: readonly Edit[] = [{ at: "z.0", op: "set", value: 0, heads: [1], positions: [-1] }];

let model: Model;
beforeAll(async () => {
  model = await loadFixture("phi-qk-layernorm-gqa");
});
afterAll(() => model.close());

/** The values of one site, from a pass over its row alone. */
async function plain({ row, position }: Site, address: string, own: readonly Edit[]): Promise<number[]> {
  const { activations } = await model.forward({ tokens: [rows[row]!], read: [address], edits: own, logits: false });
  const { data, shape } = activations[address]!;
  const width = data.length / shape[1]!;
  return [...data.subarray(position * width, (position + 1) * width)];
}

describe.each<[string, readonly Edit[]]>([
  ["untouched", []],
  ["edited at each row's last position", edits],
])("values of rows that are %s", (_, own) => {
  test.each([undefined, 1, 2, 100])("are those of each row alone, with batches of %s", async (batch) => {
    const values = await collectAt(model, { rows, sites, read, edits: own, ...(batch !== undefined && { batch }) });
    expect(Object.keys(values)).toEqual(["mlp_post.0", "resid_post.0", "z.1", "resid_post.1"]);
    for (const [address, { data }] of Object.entries(values)) {
      const width = data.length / sites.length;
      for (const [example, site] of sites.entries()) {
        const expected = await plain(site, address, own);
        expect(width).toBe(expected.length);
        for (const [i, value] of expected.entries()) expect(data[example * width + i]).toBeCloseTo(value, DIGITS);
      }
    }
  });
});

test("have an axis of examples, then those of the point", async () => {
  const values = await collectAt(model, { rows, sites, read });
  const { dModel, layers } = model.spec;
  const { heads, dHead } = layers[1]!.attention;
  expect(values["resid_post.1"]).toMatchObject({ shape: [7, dModel], axes: ["example", "d_model"] });
  expect(values["z.1"]).toMatchObject({ shape: [7, heads, dHead], axes: ["example", "head", "d_head"] });
});

test("each row with a site is run once, and how many are done is told", async () => {
  const told: number[] = [];
  await collectAt(model, { rows, sites, read, batch: 2 }, { onProgress: ({ done, total }) => void told.push(done, total) });
  expect(told).toEqual([2, 5, 4, 5, 5, 5]);
});

test("end when they are interrupted", async () => {
  const controller = new AbortController();
  const onProgress = (): void => controller.abort();
  const collecting = collectAt(model, { rows, sites, read, batch: 1 }, { signal: controller.signal, onProgress });
  await expect(collecting).rejects.toMatchObject({ kind: "interrupted" });
});

test.each<[string, Partial<Parameters<typeof collectAt>[1]>, string]>([
  ["no site", { sites: [] }, "collecting needs at least one site and one address"],
  ["no address", { read: [] }, "collecting needs at least one site and one address"],
  ["a position behind a row's end", { sites: [{ row: 4, position: 3 }] }, "there is no position 3 in row 4 of 6"],
  ["a negative position", { sites: [{ row: 0, position: -1 }] }, "there is no position -1 in row 0 of 6"],
  ["a row that is not there", { sites: [{ row: 6, position: 0 }] }, "there is no position 0 in row 6 of 6"],
  ["a batch of none", { batch: 0 }, "batch must be a whole number above 0, got 0"],
  ["a point that has heads in front of positions", { read: ["pattern.0"] }, "pattern.0 has no position behind the batch"],
])("%s is refused", async (_, change, words) => {
  await expect(collectAt(model, { rows, sites, read, ...change })).rejects.toThrow(words);
});
