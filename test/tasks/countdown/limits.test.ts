/** @file Where CountDown says no: settings without tasks, numbers that are not whole, products too large to be held exactly; and how near searches are made. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import { OPERATORS, parseExpression, valueOf, type Expression } from "../../../src/tasks/countdown/expression.js";
import { isHeldOut, makeTask, randomExpression, taskKey, type Task, type TaskOptions } from "../../../src/tasks/countdown/task.js";
import { makeSample } from "../../../src/tasks/countdown/trace.js";
import { thrownBy } from "../../formats/folder.js";
import { exactValue } from "./exact.js";
import { RECIPE, samples } from "./samples.js";

test("settings that give no task are refused, not searched for ever", () => {
  const one = { counts: [2], operators: ["/"], largestNumber: 2, largestTarget: 1 } as const;
  expect(makeTask(seededRandom(1), one).target).toBe(1);
  // 1 / 1 and 2 / 2 are all its tasks, and neither is held out.
  expect([1, 2].map((number) => isHeldOut({ numbers: [number, number], target: 1 }))).toEqual([false, false]);
  expect(thrownBy(() => makeTask(seededRandom(1), one, true)).message).toBe(
    "cannot make a CountDown held-out task: 50000 draws gave none. Instead: allow more operators, numbers or targets",
  );
});

test.each<TaskOptions>([{ counts: [2.5] }, { largestNumber: 2.5 }, { largestTarget: 20.5 }, { largestNumber: Infinity }])(
  "%j is refused",
  (options) => {
    expect(thrownBy(() => makeTask(seededRandom(1), options)).kind).toBe("usage");
  },
);

test.each([-1, 1.5, Number.NaN, 51])("%d wrong attempts are refused", (mostWrong) => {
  const { message } = thrownBy(() => makeSample(seededRandom(1), { ...RECIPE, mostWrong }));
  expect(message).toBe(`countdown: mostWrong must be a whole number from 0 to 50, got ${mostWrong}`);
});

test("a product beyond 2⁵³ has no value rather than a rounded one", () => {
  const text = "999 * 999 * 999 * 999 * 999 * 999";
  expect(exactValue(text)).toBe(994014980014994001n);
  expect(valueOf(parseExpression(text)!)).toBeUndefined();
});

test("a task is the same in any order of its numbers, not with another target", () => {
  expect(taskKey({ numbers: [10, 9, 2], target: 7 })).toBe(taskKey({ numbers: [2, 10, 9], target: 7 }));
  const others = [
    taskKey({ numbers: [10, 9, 2], target: 7 }),
    taskKey({ numbers: [10, 9, 2], target: 8 }),
    taskKey({ numbers: [1, 9, 2], target: 7 }),
  ];
  expect(new Set(others).size).toBe(3);
});

test("wrong attempts are the solution but for one operator or two numbers at least twice as often as chance makes them", () => {
  const made = samples(1000);
  const wrong = made.flatMap(({ task, response }) => wrongAttempts(response).map((attempt) => [attempt, task] as const));
  const byChance = made.map(({ task }, i) => [randomExpression(seededRandom(9, i), task.numbers, { operators: OPERATORS }), task] as const);
  const share = (list: readonly (readonly [Expression, Task])[]): number =>
    list.filter(([attempt, { solution }]) => isNear(attempt, solution)).length / list.length;
  expect(share(wrong)).toBeGreaterThan(2 * share(byChance));
});

function wrongAttempts(response: string): Expression[] {
  return response.split("\n").flatMap((line) => parseExpression(/^- (.*) = .*not/.exec(line)?.[1] ?? "") ?? []);
}

/** Whether one operator differs, or two numbers are exchanged. */
function isNear(a: Expression, b: Expression): boolean {
  const differ = (x: readonly unknown[], y: readonly unknown[]): number => x.filter((item, i) => item !== y[i]).length;
  const [numbers, operators] = [differ(a.numbers, b.numbers), differ(a.operators, b.operators)];
  return (numbers === 0 && operators <= 1) || (numbers === 2 && operators === 0);
}
