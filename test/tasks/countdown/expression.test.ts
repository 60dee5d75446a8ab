/** @file Flat arithmetic against exact fractions, and what is no expression. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OPERATORS, parseExpression, sameNumbers, textOf, valueOf, type Expression } from "../../../src/tasks/countdown/expression.js";
import { exactValue } from "./exact.js";

/** Up to six numbers below 400, so that no product of them leaves the whole numbers that float64 has. */
const expressions: fc.Arbitrary<Expression> = fc
  .tuple(
    fc.nat({ max: 30 }),
    fc.array(fc.tuple(fc.constantFrom(...OPERATORS), fc.oneof(fc.nat({ max: 6 }), fc.nat({ max: 400 }))), { maxLength: 5 }),
  )
  .map(([first, rest]) => ({ numbers: [first, ...rest.map(([, number]) => number)], operators: rest.map(([operator]) => operator) }));

describe("the value of an expression", () => {
  test.each([
    ["67 + 60 + 12 - 90", 49],
    ["2 + 3 * 4", 14],
    ["2 * 3 + 4 * 5 - 6 / 3", 24],
    ["20 - 5 - 5", 10],
    ["24 / 4 / 2", 3],
    ["8 / 4 * 3", 6],
    ["7", 7],
    ["3 - 9", -6],
    ["0 / 5", 0],
    ["1 / 2 * 2", undefined],
    ["5 / 0", undefined],
    ["0 / 0 + 1", undefined],
    ["7 / 2", undefined],
  ])("%s is %s", (text, value) => {
    expect(valueOf(parseExpression(text)!)).toBe(value);
  });

  test("is that of exact fractions", () => {
    let whole = 0;
    fc.assert(
      fc.property(expressions, (expression) => {
        const exact = exactValue(textOf(expression));
        const value = valueOf(expression);
        if (exact !== undefined) whole++;
        expect(value === undefined ? undefined : BigInt(value)).toBe(exact);
        expect(Object.is(value, -0)).toBe(false);
      }),
      { seed: 11, numRuns: 3000 },
    );
    expect(whole).toBeGreaterThan(1000);
  });
});

describe("the text of an expression", () => {
  test("is read back as it was", () => {
    fc.assert(
      fc.property(expressions, (expression) => {
        expect(parseExpression(textOf(expression))).toEqual(expression);
      }),
      { seed: 12, numRuns: 300 },
    );
  });

  // oxfmt-ignore
  test.each([
    "", " ", "+", "1 +", "+ 1", "1 2", "1 + + 2", "1+2", "1 + 2 -", "-1 + 2", "1 + -2", "1.5 + 2", "1e3", "0x10", "1 ** 2", "1 % 2", "(1 + 2)", "1 + 2 = 3",
    "1234567 + 1", "one", "1\t+\t2", "1 +\n2", "١ + ٢", "process.exit(1)", Array.from({ length: 17 }, () => "1").join(" + "),
  ])("%j is none", (text) => {
    expect(parseExpression(text)).toBeUndefined();
  });

  test("may have sixteen numbers, and more spaces than one", () => {
    expect(valueOf(parseExpression(Array.from({ length: 16 }, () => "1").join(" + "))!)).toBe(16);
    expect(parseExpression("  3  *   4 ")).toEqual({ numbers: [3, 4], operators: ["*"] });
  });

  test("of anything is an expression or none, and never an error", () => {
    const like = fc.array(fc.constantFrom("1", "23", " ", "+", "-", "*", "/", "x", "\n")).map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(fc.string(), like), (text) => {
        const found = parseExpression(text);
        if (found) expect(found.operators).toHaveLength(found.numbers.length - 1);
      }),
      { seed: 13 },
    );
  });
});

test("the same numbers are the same in any order, each as often", () => {
  expect(sameNumbers([3, 10, 3], [10, 3, 3])).toBe(true);
  expect(sameNumbers([3, 10, 3], [10, 10, 3])).toBe(false);
  expect(sameNumbers([3, 10], [10, 3, 3])).toBe(false);
  expect(sameNumbers([2, 10], [10, 2])).toBe(true);
});
