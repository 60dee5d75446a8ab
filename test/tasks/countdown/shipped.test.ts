/** @file The CountDown model that comes with Sextant does what its card says, as far as a few tasks can tell. */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { loadTokenizer } from "../../../src/formats/tokenizer.js";
import { loadModel } from "../../../src/runtime/load.js";
import { distinctTasks } from "../../../src/tasks/countdown/rows.js";
import { reportTraces, type TraceReport } from "../../../src/tasks/countdown/report.js";
import { decodeIds } from "../../../src/tasks/countdown/vocabulary.js";
import { MOST_NEW } from "../../../src/training/countdown/recipe.js";

const FOLDER = fileURLToPath(new URL("../../../models/countdown", import.meta.url));
const model = await loadModel(FOLDER, { threads: 1 });
afterAll(() => model.close());

interface Record {
  readonly recipe: { readonly seed: number; readonly task: object };
  readonly scores: { readonly rewarded: TraceReport };
}

const record = JSON.parse(readFileSync(`${FOLDER}/training.json`, "utf8")) as Record;

it("is small, and its tokenizer reads what it writes", () => {
  expect(statSync(`${FOLDER}/model.safetensors`).size).toBeLessThan(16 << 20);
  const text = "- 3 * 4 + 6 = 18 (not 20)\n";
  const { ids } = loadTokenizer(FOLDER).encode(text);
  expect(decodeIds(ids)).toBe(text);
});

it("verifies what it wrote on tasks that it has not met", async () => {
  const asked = distinctTasks(4242, 24, record.recipe.task, true);
  const { tokens } = await model.generate({ tokens: asked.map((one) => one.tokens), maxNew: MOST_NEW });
  const { inFormat, byClaimed } = reportTraces(
    asked.map(({ task }) => task),
    tokens.map((row) => decodeIds(row)),
  );
  // The card has it of 512 tasks, more of them with four numbers; of 24, one standard deviation is 0.09.
  expect(inFormat!.share).toBeGreaterThan(record.scores.rewarded.inFormat!.share - 0.27);
  expect(byClaimed.balanced!.share).toBeGreaterThan(0.95);
  expect(byClaimed.misses!.n).toBeGreaterThan(5);
});

it("has a card that repeats the record", () => {
  const card = readFileSync(`${FOLDER}/README.md`, "utf8");
  const { solved, inFormat, byTrue } = record.scores.rewarded;
  for (const one of [solved, inFormat, byTrue.misses]) expect(card).toContain(`${(100 * one!.share).toFixed(1)} %`);
  expect(card).toContain("sextant train countdown --out FOLDER");
  expect(card).toContain(`Seed ${record.recipe.seed}`);
});
