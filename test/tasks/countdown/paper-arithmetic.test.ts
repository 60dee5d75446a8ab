/** @file Arithmetic with brackets against JavaScript's own, and what is none. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { arithmeticValue, numbersIn } from "../../../src/tasks/countdown/paper-arithmetic.js";

const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.integer({ min: 1, max: 99 }).map(String),
    fc
      .tuple(tie("expression"), fc.constantFrom("+", "-", "*", "/"), tie("expression"), fc.boolean())
      .map(([left, operator, right, isBracketed]) => (isBracketed ? `(${left}${operator} ${right})` : `${left}${operator} ${right}`)),
    tie("expression").map((inner) => `-(${inner})`),
  ),
}));

test("the value is what JavaScript makes of the same text", () => {
  const short = expression.filter((text) => text.length <= 200);
  fc.assert(
    fc.property(short, (text) => {
      // What stands here was made above, of numbers, operators and brackets.
      // oxlint-disable-next-line typescript/no-implied-eval
      const value = new Function(`return ${text}`)() as number;
      expect(arithmeticValue(text)).toBe(Number.isFinite(value) ? value : undefined);
    }),
    { numRuns: 1000 },
  );
});

test.each([
  "",
  "()",
  "1 +",
  "1 2",
  "(1",
  "1)",
  "2 ** 3",
  "7 // 2",
  "+1",
  "1.5",
  "x",
  "1 / 0",
  "0 / 0",
  "(".repeat(100) + "1" + ")".repeat(100),
  `1${" + 1".repeat(60)}`,
])("%j is none", (text) => {
  expect(arithmeticValue(text)).toBeUndefined();
});

test("numbers are runs of digits", () => {
  expect(numbersIn("(67 + 60) * 12 - 7/60")).toEqual([67, 60, 12, 7, 60]);
  expect(numbersIn("none")).toEqual([]);
});
