/** @file Tasks: each can be solved, and which are held out is the same for everybody. */
import { describe, expect, test } from "vitest";
import { shuffled } from "../../../src/base/draws.js";
import { seededRandom } from "../../../src/base/random.js";
import { sameNumbers, textOf } from "../../../src/tasks/countdown/expression.js";
import { rowAt, taskAt } from "../../../src/tasks/countdown/rows.js";
import { isHeldOut, makeTask, randomExpression, taskOptions, type Task, type TaskOptions } from "../../../src/tasks/countdown/task.js";
import { decodeIds } from "../../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../../formats/folder.js";
import { exactValue } from "./exact.js";

const { refusal } = temporaryFolder();

function tasks(count: number, options: TaskOptions = {}, held?: boolean): Task[] {
  return Array.from({ length: count }, (_, i) => makeTask(seededRandom(5, i), options, held));
}

describe("tasks", () => {
  test("have a solution with each number once, within their bounds", () => {
    const options = { counts: [2, 5], largestNumber: 9, largestTarget: 20 };
    for (const { numbers, target, solution } of tasks(400, options)) {
      expect(sameNumbers(numbers, solution.numbers)).toBe(true);
      expect(exactValue(textOf(solution))).toBe(BigInt(target));
      expect([2, 5]).toContain(numbers.length);
      expect(Math.min(...numbers, target)).toBeGreaterThanOrEqual(1);
      expect(Math.max(...numbers)).toBeLessThanOrEqual(9);
      expect(target).toBeLessThanOrEqual(20);
    }
  });

  test("use the operators that are allowed, all of them", () => {
    expect(new Set(tasks(200, { operators: ["+", "/"] }).flatMap(({ solution }) => solution.operators))).toEqual(new Set(["+", "/"]));
    expect(new Set(tasks(200).flatMap(({ solution }) => solution.operators))).toEqual(new Set(["+", "-", "*", "/"]));
  });

  test("are made with + and - so many times as often as * and /", () => {
    const share = (options: TaskOptions): number => {
      const drawn = Array.from({ length: 1000 }, (_, i) => randomExpression(seededRandom(8, i), [1, 2, 3, 4], options).operators).flat();
      return drawn.filter((one) => one === "+" || one === "-").length / drawn.length;
    };
    // 3000 operators, binomial: the largest standard deviation is √(0.25 / 3000) = 0.009, five of them 0.046.
    expect(Math.abs(share({ sums: 1 }) - 2 / 4)).toBeLessThan(0.046);
    expect(Math.abs(share({ sums: 3 }) - 6 / 8)).toBeLessThan(0.046);
    expect(Math.abs(share({ sums: 9, operators: ["*", "-"] }) - 9 / 10)).toBeLessThan(0.046);
    expect(share({})).toBe(share({ sums: 2 }));
    expect(share({ sums: 3, operators: ["*", "/"] })).toBe(0);
  });

  test("do not show the solution's order", () => {
    const made = tasks(300, { counts: [4] });
    const inOrder = made.filter(({ numbers, solution }) => String(numbers) === String(solution.numbers));
    // One in 24 where the numbers differ; 12.5 expected, standard deviation 3.5.
    expect(inOrder.length).toBeLessThan(35);
  });

  test("are the same for the same seed, others for another", () => {
    expect(taskAt(3, 8)).toEqual(taskAt(3, 8));
    expect(taskAt(3, 8)).not.toEqual(taskAt(3, 9));
    expect(taskAt(3, 8)).not.toEqual(taskAt(4, 8));
    expect(taskAt(3, 8, {}, true)).toEqual(taskAt(3, 8, {}, true));
  });

  test("of settings that make no sense are refused", () => {
    expect(refusal(() => taskOptions({ counts: [] }))).toBe("usage: countdown: counts must be whole numbers from 2 to 6, got ");
    expect(refusal(() => taskOptions({ counts: [3, 7] }))).toContain("got 3, 7");
    expect(refusal(() => taskOptions({ operators: [] }))).toContain("operators must be some of + - * /");
    expect(refusal(() => taskOptions({ operators: ["^" as "+"] }))).toContain("operators must be some of");
    expect(refusal(() => taskOptions({ largestNumber: NaN }))).toContain("largestNumber must be 2 to 999, got NaN");
    expect(refusal(() => taskOptions({ largestTarget: 10_000 }))).toContain("largestTarget must be 1 to 9999, got 10000");
    expect(refusal(() => taskOptions({ sums: 0 }))).toBe("usage: countdown: sums must be 1 to 100, got 0");
    expect(refusal(() => taskOptions({ sums: 1.5 }))).toContain("sums must be 1 to 100, got 1.5, which is no whole number");
  });
});

describe("the held-out part", () => {
  const keyOf = ({ numbers, target }: Pick<Task, "numbers" | "target">): string => `${numbers.toSorted((a, b) => a - b)}=${target}`;
  const options = { counts: [3], largestNumber: 6, largestTarget: 20 };

  test("shares no task with training, though both come from the same few", () => {
    const held = new Set(tasks(600, options, true).map(keyOf));
    const trained = new Set(tasks(2000, options, false).map(keyOf));
    expect(held.size).toBeGreaterThan(20);
    expect(trained.size).toBeGreaterThan(300);
    expect([...held].filter((key) => trained.has(key))).toEqual([]);
  });

  test("shares none with the rows that are imitated, read from their tokens", () => {
    for (let index = 0; index < 400; index++) {
      const [, numbers = "", target = ""] = /^numbers (.*) target (\d+)\n/.exec(decodeIds(rowAt(1, index, options).tokens))!;
      expect(isHeldOut({ numbers: numbers.split(" ").map(Number), target: Number(target) })).toBe(false);
      expect(isHeldOut(taskAt(1, index, options, true).task)).toBe(true);
      expect(isHeldOut(taskAt(1, index, options).task)).toBe(false);
    }
  });

  test("is one in sixteen, whatever the order of the numbers", () => {
    const made = tasks(4000);
    const held = made.filter(isHeldOut);
    // 250 expected; binomial, standard deviation 15.
    expect(Math.abs(held.length - 250)).toBeLessThan(75);
    for (const [i, { numbers, target }] of made.slice(0, 300).entries())
      expect(isHeldOut({ numbers: shuffled(numbers, seededRandom(9, i)), target })).toBe(isHeldOut({ numbers, target }));
  });

  test("is the one that trained models were kept from", () => {
    // Written down when the hash was; another split would make every number measured with it wrong.
    const held = Array.from({ length: 99 }, (_, i) => i + 1).filter((target) => isHeldOut({ numbers: [7, 3, 12], target }));
    expect(held).toMatchInlineSnapshot(`
      [
        4,
        18,
        42,
        44,
        60,
        68,
      ]
    `);
  });
});
