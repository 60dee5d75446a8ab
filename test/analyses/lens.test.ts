/** @file The logit lens: at the last layer it is the model, with edits too; and it shows where the planted answer is written. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { logitLens } from "../../src/analyses/lens.js";
import { standingOf, topTokens } from "../../src/analyses/probabilities.js";
import type { Edit } from "../../src/runtime/edit.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";

const PROMPT = [0, 1, 33, 11, 17, 49, 58, 29, 1, 34, 9, 49];
const HILL = 58;
let model: Model;

beforeAll(async () => {
  model = await loadModel(fileURLToPath(new URL("../../models/induction", import.meta.url)));
});
afterAll(() => model.close());

// oxfmt-ignore
const EDITS: readonly (readonly [string, readonly Edit[]])[] = [
  ["no edits", []],
  ["an edit in a block", [{ at: "z.0", op: "set", value: 0, heads: [1], rows: [0] }]],
  ["an edit at the last norm", [{ at: "final_normalized", op: "scale", by: 0.5 }, { at: "resid_post.0", op: "scale", by: 1.5 }]],
];

test.each(EDITS)("at the last layer is the model's own output, with %s", async (_, edits) => {
  const tokens = [PROMPT, [0, 50, 57]];
  const rows = await logitLens(model, { tokens, layers: [-1], top: 3, target: HILL, edits });
  const { logits } = await model.forward({ tokens, edits, logits: { positions: "all" } });
  const { vocabOut } = model.spec;
  for (const [row, { layers }] of rows.entries()) {
    for (const { position, top, target } of layers[0]!.cells) {
      const at = (row * PROMPT.length + position) * vocabOut;
      const own = logits!.data.subarray(at, at + vocabOut);
      expect({ top, target }).toEqual({ top: topTokens(own, 3), target: standingOf(own, HILL) });
    }
  }
});

test("shows that the answer is written by the last layer", async () => {
  const [row] = await logitLens(model, { tokens: [PROMPT], positions: [-1], target: HILL });
  const [early, late] = row!.layers.map(({ cells }) => cells[0]!.target!.probability);
  expect(early).toBeLessThan(0.1);
  expect(late).toBeGreaterThan(0.99);
});

test("gives each row its own positions", async () => {
  const rows = await logitLens(model, { tokens: [PROMPT, [0, 50]], positions: [-1, 0] });
  expect(rows.map(({ positions }) => positions)).toEqual([[11, 0], [1, 0]]); // prettier-ignore
});

test("refuses layers, positions and tokens that are not there", async () => {
  await expect(logitLens(model, { tokens: [PROMPT], layers: [2] })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SextantError: logitLens: layer must be one of 2 (-2 to 1), got 2]`,
  );
  await expect(logitLens(model, { tokens: [PROMPT, [0]], positions: [1] })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SextantError: logitLens: row 1: position must be one of 1 (-1 to 0), got 1]`,
  );
  await expect(logitLens(model, { tokens: [PROMPT], target: 65 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SextantError: logitLens: target must be a token of the vocabulary (0 to 64), got 65]`,
  );
});
