/** @file Searches in order: each line follows from the one before, and rows behind a worked example. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import { parseExpression, textOf, valueOf, type Expression } from "../../../src/tasks/countdown/expression.js";
import { reward } from "../../../src/tasks/countdown/parse.js";
import { practiceRowAt } from "../../../src/tasks/countdown/rows.js";
import { makeSample, successor } from "../../../src/tasks/countdown/trace.js";
import { decodeIds } from "../../../src/tasks/countdown/vocabulary.js";
import { thrownBy } from "../../formats/folder.js";
import { RECIPE } from "./samples.js";

describe("the successor of an attempt", () => {
  test("counts + and - up, then moves the first number to the end", () => {
    const seen = ["1 + 2 + 3"];
    while (seen.length < 13) seen.push(textOf(successor(parseExpression(seen.at(-1)!)!)));
    // oxfmt-ignore
    expect(seen).toEqual([
      "1 + 2 + 3", "1 + 2 - 3", "1 - 2 + 3", "1 - 2 - 3",
      "2 + 3 + 1", "2 + 3 - 1", "2 - 3 + 1", "2 - 3 - 1",
      "3 + 1 + 2", "3 + 1 - 2", "3 - 1 + 2", "3 - 1 - 2",
      "1 + 2 + 3",
    ]);
  });

  test("leaves products and quotients where they are", () => {
    expect(textOf(successor(parseExpression("2 * 3 + 4")!))).toBe("2 * 3 - 4");
    expect(textOf(successor(parseExpression("2 * 3 - 4")!))).toBe("3 * 4 + 2");
    expect(textOf(successor(parseExpression("8 / 2 * 3")!))).toBe("2 / 3 * 8");
  });

  test("comes to every signed sum of three numbers within its twelve places", () => {
    const start: Expression = { numbers: [2, 5, 11], operators: ["+", "+"] };
    const values = new Set<number>();
    for (let at = start, i = 0; i < 12; i++, at = successor(at)) values.add(valueOf(at)!);
    // All signs but those with no number added, which no expression can have.
    expect(values).toEqual(new Set([18, -4, 8, -14, 14, -8, 4]));
  });
});

describe("a search in order", () => {
  const options = { ...RECIPE, mostWrong: 8, hit: 0.2, orderly: 1 };
  const searches = Array.from({ length: 200 }, (_, i) => makeSample(seededRandom(4, i), options));

  test("goes from each line to its successor, unless that cannot be written or was there", () => {
    let followed = 0;
    let lines = 0;
    for (const { response } of searches) {
      const attempts = [...response.matchAll(/^- (.+) = -?\d+ \(not/gm)].map(([, text]) => text!);
      for (const [i, text] of attempts.slice(1).entries()) {
        lines++;
        if (textOf(successor(parseExpression(attempts[i]!)!)) === text) followed++;
      }
    }
    expect(lines).toBeGreaterThan(200);
    expect(followed / lines).toBeGreaterThan(0.75);
  });

  test("ends in a right answer, also where it came to one by itself", () => {
    for (const { task, response } of searches) expect(reward(task, response)).toBe(1);
    const found = searches.filter(({ task, response }) => !response.includes(`answer ${textOf(task.solution)}\n`));
    expect(found.length).toBeGreaterThan(10);
  });

  test("is refused for a share that is none", () => {
    for (const orderly of [-0.1, 1.1, Number.NaN])
      expect(thrownBy(() => makeSample(seededRandom(1), { ...RECIPE, mostWrong: 50, orderly })).message).toMatch(/orderly must be a share/);
  });
});

describe("a row behind a worked example", () => {
  const rows = Array.from({ length: 200 }, (_, i) => practiceRowAt(7, i, { ...RECIPE, drills: 0, examples: 1 }));

  test("has a whole search of another task in front, and only the second search counts", () => {
    for (const { tokens, mask } of rows) {
      const text = decodeIds(tokens);
      expect(text.match(/^numbers/gm)).toHaveLength(2);
      expect(text.match(/^answer/gm)).toHaveLength(2);
      const counted = decodeIds(tokens.filter((_, i) => mask[i] === 1));
      expect(text.endsWith(counted)).toBe(true);
      expect(counted).toMatch(/^- [^]*\nanswer .+\n$/);
      expect(counted).not.toContain("numbers");
    }
  });

  test("comes as often as was asked, and bad shares are refused", () => {
    const mixed = Array.from({ length: 400 }, (_, i) => practiceRowAt(7, i, { ...RECIPE, drills: 0, examples: 0.25 }));
    const shown = mixed.filter(({ tokens }) => decodeIds(tokens).match(/^numbers/gm)!.length === 2).length;
    // 100 expected; binomial, standard deviation 8.7.
    expect(Math.abs(shown - 100)).toBeLessThan(36);
    expect(thrownBy(() => practiceRowAt(7, 0, { ...RECIPE, drills: 0, examples: 2 })).message).toMatch(/examples must be a share/);
  });
});
