/** @file What would be said next: against plain passes over each row alone. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { judgements } from "../../../src/analyses/verification/judgements.js";
import { headsOff } from "../../../src/analyses/verification/switching-off.js";
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";
import { loadFixture, rowsOf } from "../../runtime/support.js";
import { argmax, lastLogits } from "./plain.js";

/** Other rows beside, other sums: float32, of logits of 3 and less. Seen: 1e-6. */
const DIGITS = 4;

const rows = rowsOf(9, 5, 12, 7, 3);
const words = { valid: 14, invalid: 43 };

let model: Model;
beforeAll(async () => {
  model = await loadFixture("phi-qk-layernorm-gqa");
});
afterAll(() => model.close());

test.each<[string, readonly Edit[], number | undefined]>([
  ["nothing changed, all together", [], undefined],
  ["nothing changed, one by one", [], 1],
  [
    "heads off, all together",
    headsOff([
      { layer: 0, head: 1 },
      { layer: 1, head: 2 },
    ]),
    undefined,
  ],
  [
    "heads off, two at a time",
    headsOff([
      { layer: 0, head: 1 },
      { layer: 1, head: 2 },
    ]),
    2,
  ],
])("the lead and the most probable token are those of each row alone: %s", async (_, edits, batch) => {
  const found = await judgements(model, { rows, ...words, edits, ...(batch !== undefined && { batch }) });
  expect(found).toHaveLength(rows.length);
  for (const [i, row] of rows.entries()) {
    const logits = await lastLogits(model, row, edits);
    expect(found[i]!.lead).toBeCloseTo(logits[words.valid]! - logits[words.invalid]!, DIGITS);
    expect(found[i]!.top).toBe(argmax(logits));
  }
});

test("heads off change leads", async () => {
  const [plain, off] = [
    await judgements(model, { rows, ...words }),
    await judgements(model, { rows, ...words, edits: headsOff([{ layer: 0, head: 1 }]) }),
  ];
  for (const [i, { lead }] of plain.entries()) expect(Math.abs(lead - off[i]!.lead)).toBeGreaterThan(1e-3);
});

test("no rows have no judgements, a batch of none is refused, and a signal interrupts", async () => {
  expect(await judgements(model, { rows: [], ...words })).toEqual([]);
  await expect(judgements(model, { rows, ...words, batch: 0 })).rejects.toThrow("batch must be a whole number above 0, got 0");
  const controller = new AbortController();
  const options = { signal: controller.signal, onProgress: () => controller.abort() };
  await expect(judgements(model, { rows, ...words, batch: 2 }, options)).rejects.toMatchObject({ kind: "interrupted" });
});
