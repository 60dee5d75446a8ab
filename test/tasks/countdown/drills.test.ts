/** @file Rows of practice: attempts without a search, each calculated and judged right, of which only values and verdicts count. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import { sameNumbers } from "../../../src/tasks/countdown/expression.js";
import { practiceRowAt, rowAt, type Row } from "../../../src/tasks/countdown/rows.js";
import { isHeldOut, makeTask } from "../../../src/tasks/countdown/task.js";
import { writeDrill } from "../../../src/tasks/countdown/trace.js";
import { decodeIds, TOKENS } from "../../../src/tasks/countdown/vocabulary.js";
import { thrownBy } from "../../formats/folder.js";
import { exactValue } from "./exact.js";
import { RECIPE } from "./samples.js";

const COUNT = 400;
const rows = (drills: number, options = RECIPE): Row[] =>
  Array.from({ length: COUNT }, (_, i) => practiceRowAt(7, i, { ...options, drills }));
const drills = rows(1);
const isDrill = ({ tokens }: Row): boolean => !tokens.includes(TOKENS.eos);

/** The task that a row asks, and the lines behind it. */
function read({ tokens }: Row): { numbers: number[]; target: number; lines: string[] } {
  const [, numbers = "", target = "", rest = ""] = /^numbers ([\d ]+) target (\d+)\n([^]*)$/.exec(decodeIds(tokens))!;
  return { numbers: numbers.split(" ").map(Number), target: Number(target), lines: rest.split("\n").slice(0, -1) };
}

describe("a row of practice", () => {
  test("calculates each attempt right, with the task's numbers, and says of it what is so", () => {
    let works = 0;
    for (const row of drills) {
      const { numbers, target, lines } = read(row);
      for (const line of lines) {
        const [, expression = "", value = "", verdict = ""] = /^- (.+) = (-?\d{1,3}) \((.+)\)$/.exec(line)!;
        expect(
          sameNumbers(
            expression
              .split(" ")
              .filter((_, i) => i % 2 === 0)
              .map(Number),
            numbers,
          ),
        ).toBe(true);
        expect(exactValue(expression)).toBe(BigInt(value));
        expect(verdict).toBe(Number(value) === target ? "this works" : `not ${target}`);
        if (verdict === "this works") works++;
      }
    }
    // Both verdicts are practised, and that an attempt works says nothing about where it stands.
    expect(works).toBeGreaterThan(COUNT / 4);
    const places = drills.flatMap((row) => read(row).lines.flatMap((line, place) => (line.endsWith("(this works)") ? [place] : [])));
    expect(new Set(places)).toEqual(new Set([0, 1, 2, 3, 4, 5]));
  });

  test("counts each value and verdict with its end of line, and nothing else", () => {
    for (const row of drills) {
      const { lines } = read(row);
      const counted = decodeIds(row.tokens.filter((_, i) => row.mask[i] === 1));
      expect(counted).toBe(lines.map((line) => `${line.slice(line.indexOf(" = ") + 2)}\n`).join(""));
      expect(counted).toMatch(/^( -?\d+ \((this works|not \d+)\)\n)+$/);
      expect(row.mask).toHaveLength(row.tokens.length);
      expect(new Set(row.mask)).toEqual(new Set([0, 1]));
    }
  });

  test("has as many attempts as the longest search, no answer, no end token, and no held-out task", () => {
    for (const row of drills) {
      const { numbers, target, lines } = read(row);
      expect(lines).toHaveLength(RECIPE.mostWrong! + 1);
      expect(decodeIds(row.tokens)).not.toContain("answer");
      expect([row.tokens[0], row.tokens.includes(TOKENS.eos), row.tokens.includes(TOKENS.pad)]).toEqual([TOKENS.bos, false, false]);
      expect(isHeldOut({ numbers, target })).toBe(false);
    }
  });

  test("has the solution where no attempt can be written", () => {
    const solution = { numbers: [40, 30], operators: ["*" as const] };
    const task = { numbers: [30, 40], target: 1200, solution };
    expect(writeDrill(seededRandom(1), task, { operators: ["*"], largestTarget: 9999 })).toBe("- 40 * 30 = 1200 (this works)\n");
    const made = makeTask(seededRandom(2), RECIPE);
    expect(writeDrill(seededRandom(1), made, { ...RECIPE, mostWrong: 0 }).split("\n")).toHaveLength(2);
  });
});

describe("the share of practice", () => {
  test("is about what was asked for, and the other rows are searches", () => {
    const found = rows(0.4);
    // 160 of 400 expected; binomial, standard deviation √(400 × 0.4 × 0.6) = 9.8.
    expect(Math.abs(found.filter(isDrill).length - 160)).toBeLessThan(49);
    for (const row of found.filter((one) => !isDrill(one))) expect(decodeIds(row.tokens)).toMatch(/\nanswer [^\n]+\n$/);
    expect(rows(0).some(isDrill)).toBe(false);
    expect(drills.every(isDrill)).toBe(true);
  });

  test("leaves sample i what it is, whenever it is made", () => {
    const backwards = Array.from({ length: COUNT }, (_, i) => practiceRowAt(7, COUNT - 1 - i, { ...RECIPE, drills: 0.4 })).toReversed();
    expect(rows(0.4)).toEqual(backwards);
    expect(practiceRowAt(8, 0, { ...RECIPE, drills: 0.4 })).not.toEqual(backwards[0]);
    expect(practiceRowAt(7, 0, { ...RECIPE, drills: 0 }).mask.at(-1)).toBe(rowAt(7, 0, RECIPE).mask.at(-1));
  });

  test.each([-0.1, 1.1, Number.NaN, Infinity])("of %d is refused", (share) => {
    const { kind, message } = thrownBy(() => practiceRowAt(7, 0, { ...RECIPE, drills: share }));
    expect([kind, message]).toEqual(["usage", `countdown: drills must be a share from 0 to 1, got ${share}`]);
  });
});
