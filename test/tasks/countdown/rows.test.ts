/** @file Rows for training: the same whenever they are made, masked up to the search, and short. */
import { expect, test } from "vitest";
import { isHeldOut, taskKey } from "../../../src/tasks/countdown/task.js";
import { distinctTasks, rowAt, taskAt, trainingRows } from "../../../src/tasks/countdown/rows.js";
import { decodeIds, TOKENS } from "../../../src/tasks/countdown/vocabulary.js";
import { thrownBy } from "../../formats/folder.js";
import { RECIPE } from "./samples.js";

test("sample 0 of seed 7 is what it was when models were trained on it", () => {
  const { tokens, mask } = rowAt(7, 0, RECIPE);
  expect(decodeIds(tokens)).toMatchInlineSnapshot(`
    "numbers 11 2 5 target 17
    - 2 - 5 + 11 = 8 (not 17)
    - 11 * 2 - 5 = 17 (this works)
    answer 11 * 2 - 5
    "
  `);
  expect([tokens.length, mask.indexOf(1)]).toMatchInlineSnapshot(`
    [
      49,
      10,
    ]
  `);
});

test("a sample does not depend on which were made before it", () => {
  const backwards = Array.from({ length: 40 }, (_, i) => rowAt(7, 39 - i, RECIPE)).toReversed();
  expect(trainingRows(7, 40, RECIPE).rows).toEqual(backwards);
  expect(trainingRows(7, 15, { ...RECIPE, from: 25 }).rows).toEqual(backwards.slice(25));
  expect(rowAt(8, 0, RECIPE)).not.toEqual(backwards[0]);
});

test("the loss counts the search and its end, not what was asked", () => {
  for (const { tokens, mask } of trainingRows(7, 200, RECIPE).rows) {
    const first = mask.indexOf(1);
    expect(mask).toEqual(tokens.map((_, i) => (i < first ? 0 : 1)));
    expect(decodeIds(tokens.slice(0, first))).toMatch(/^numbers( \d+){3,4} target \d+\n$/);
    expect([tokens[0], tokens.at(-1), tokens.indexOf(TOKENS.eos)]).toEqual([TOKENS.bos, TOKENS.eos, tokens.length - 1]);
    expect(tokens).not.toContain(TOKENS.pad);
  }
});

test("a task's tokens are those that its row begins with", () => {
  const { task, tokens } = taskAt(7, 3, RECIPE);
  expect(rowAt(7, 3, RECIPE).tokens.slice(0, tokens.length)).toEqual(tokens);
  expect(decodeIds(tokens)).toBe(`numbers ${task.numbers.join(" ")} target ${task.target}\n`);
});

test("rows are at most 160 tokens and searches at most 150, and the lengths are told", () => {
  const { rows, lengths } = trainingRows(7, 5000, RECIPE);
  const all = rows.map(({ tokens }) => tokens.length);
  expect([lengths.least, lengths.most]).toEqual([Math.min(...all), Math.max(...all)]);
  expect(lengths.most).toBeLessThanOrEqual(160);
  expect(lengths.mostSearch).toBeLessThanOrEqual(150);
  expect(all.filter((length) => length <= lengths.median).length).toBeGreaterThanOrEqual(2500);
  expect(all.filter((length) => length > lengths.percentile99).length).toBeLessThanOrEqual(50);
  expect(lengths.mean).toBeCloseTo(all.reduce((total, length) => total + length, 0) / 5000, 9);
});

test("a row that is too long is refused by its number", () => {
  const { message } = thrownBy(() => trainingRows(7, 100, { ...RECIPE, mostTokens: 100 }));
  const [, sample, length] = /sample (\d+) of seed 7: it has (\d+) tokens, more than 100/.exec(message)!;
  expect(rowAt(7, Number(sample), RECIPE).tokens.length).toBe(Number(length));
  expect(thrownBy(() => trainingRows(7, 0)).kind).toBe("request");
});

test("distinct tasks are as many as asked for, each once, in the order of the seed, all held out", () => {
  const made = distinctTasks(1_000_010, 400, RECIPE, true);
  expect(new Set(made.map(({ task }) => taskKey(task))).size).toBe(400);
  expect(made.every(({ task }) => isHeldOut(task))).toBe(true);
  expect(made[0]).toEqual(taskAt(1_000_010, 0, RECIPE, true));
  // As they come, the same 400 draws hold repetitions.
  const asTheyCome = Array.from({ length: 400 }, (_, index) => taskKey(taskAt(1_000_010, index, RECIPE, true).task));
  expect(new Set(asTheyCome).size).toBeLessThan(350);
});

test("more distinct tasks than there are are refused", () => {
  const few = { counts: [2], operators: ["+"], largestNumber: 2 } as const;
  expect(thrownBy(() => distinctTasks(1, 50, few)).message).toMatchInlineSnapshot(
    `"cannot make 50 distinct CountDown tasks: 6000 draws gave 3. Instead: ask for fewer, or allow larger numbers"`,
  );
});
