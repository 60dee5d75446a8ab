/** @file The card of a CountDown model says how its rows were made, whatever the recipe, and what its recipe promises of their length is so. */
import { expect, test } from "vitest";
import { reportTraces } from "../../../src/tasks/countdown/report.js";
import { practiceRowAt } from "../../../src/tasks/countdown/rows.js";
import { CONTEXT } from "../../../src/tasks/countdown/vocabulary.js";
import { cardOf } from "../../../src/training/countdown/card.js";
import { COUNTDOWN, MOST_NEW, type CountdownRecipe } from "../../../src/training/countdown/recipe.js";

const report = reportTraces([], []);

/** The first part of the training as a card tells it, its lines joined. */
function firstPart(recipe: CountdownRecipe): string {
  const facts = { command: "sextant train countdown --out FOLDER", made: "here", parameters: 1_246_560, example: "numbers 1 2 target 3\n" };
  const card = cardOf({ recipe, ...facts, imitated: report, rewarded: report });
  return /\n1\. ([^]*?)\n2\. /.exec(card)![1]!.replaceAll(/\s+/g, " ");
}

test("the card of the recipe tells of its draws, its chance to stop and its practice", () => {
  expect(firstPart(COUNTDOWN)).toMatchInlineSnapshot(
    `"5000 steps on 32 rows each (AdamW, peak 0.002, cosine). Rows are written searches: 3 or 4 numbers (3 in 3 of 4 draws, + and - drawn 3 times as often as * and /) of 1 to 12, targets of 1 to 99, up to 12 wrong attempts before the right one, which comes next with chance 0.2 until there are so many; 60 % of the wrong ones follow from the one before: + and - count up, then the first number goes to the end; a search that has 12 ends without a solution, \`answer none\`. About 35 % are practice instead: attempts without a search, of which only values and verdicts count in the loss. About 15 % of the searches stand behind a worked example of another task. All are made from the seed; none of a held-out task (one in sixteen, by a hash of numbers and target) is among them."`,
  );
});

test("what a recipe leaves out, its card does not tell", () => {
  const plain: CountdownRecipe = {
    ...COUNTDOWN,
    task: { counts: [3, 4], operators: ["+", "-"], largestNumber: 9, largestTarget: 20, mostWrong: 2 },
    imitation: { ...COUNTDOWN.imitation, drills: 0, examples: 0 },
  };
  expect(firstPart(plain)).toMatchInlineSnapshot(
    `"5000 steps on 32 rows each (AdamW, peak 0.002, cosine). Rows are written searches: 3 or 4 numbers of 1 to 9, targets of 1 to 20, up to 2 wrong attempts before the right one, all counts as likely. All are made from the seed; none of a held-out task (one in sixteen, by a hash of numbers and target) is among them."`,
  );
  expect(firstPart({ ...plain, task: { counts: [2], operators: ["-", "*"] } })).toMatchInlineSnapshot(
    `"5000 steps on 32 rows each (AdamW, peak 0.002, cosine). Rows are written searches: 2 numbers (- drawn 2 times as often as *) of 1 to 30, targets of 1 to 99, up to 4 wrong attempts before the right one, all counts as likely. All are made from the seed; none of a held-out task (one in sixteen, by a hash of numbers and target) is among them."`,
  );
});

test("the recipe's rows fit the context, and its searches what a generation may write", () => {
  const { seed, task, imitation } = COUNTDOWN;
  const rows = Array.from({ length: 2000 }, (_, i) => practiceRowAt(seed, i, { ...task, ...imitation }));
  expect(Math.max(...rows.map(({ tokens }) => tokens.length))).toBeLessThanOrEqual(CONTEXT);
  expect(Math.max(...rows.map(({ mask }) => mask.length - mask.indexOf(1)))).toBeLessThanOrEqual(MOST_NEW);
});
