/**
 * @file Flat arithmetic: whole numbers joined by + - * /, products before sums, as in `67 + 60 + 12 - 90`. Read by hand, never evaluated as
 * code; what comes from a model may be anything.
 */

/** The four operators. */
export type Operator = "+" | "-" | "*" | "/";

export const OPERATORS: readonly Operator[] = ["+", "-", "*", "/"];

/** Numbers, and the operators between them. */
export interface Expression {
  readonly numbers: readonly number[];
  readonly operators: readonly Operator[];
}

/** The most numbers an expression may have. */
const MOST_NUMBERS = 16;

/**
 * The value; undefined where a division leaves a rest or divides by 0, or a product cannot be held exactly (beyond 2⁵³). Such expressions are no
 * attempts.
 */
export function valueOf({ numbers, operators }: Expression): number | undefined {
  let total = 0;
  let product = numbers[0] ?? 0;
  let sign = 1;
  for (const [i, operator] of operators.entries()) {
    const number = numbers[i + 1] ?? 0;
    if (operator === "*" || operator === "/") {
      const next = operator === "*" ? product * number : quotient(product, number);
      if (!Number.isSafeInteger(next)) return undefined;
      product = next;
    } else {
      total += sign * product;
      sign = operator === "+" ? 1 : -1;
      product = number;
    }
  }
  return total + sign * product;
}

/** NaN where the division is by 0. */
function quotient(dividend: number, divisor: number): number {
  return divisor === 0 ? Number.NaN : dividend / divisor;
}

/** The text, with a space on either side of each operator. */
export function textOf({ numbers, operators }: Expression): string {
  return numbers.map((number, i) => (i === 0 ? String(number) : `${operators[i - 1]} ${number}`)).join(" ");
}

/** The expression of a text; undefined where it is not one. */
export function parseExpression(text: string): Expression | undefined {
  const parts = text.trim().split(/ +/);
  if (parts.length % 2 === 0 || parts.length > 2 * MOST_NUMBERS) return undefined;
  const numbers = parts.filter((_, i) => i % 2 === 0);
  const operators = parts.filter((_, i) => i % 2 === 1);
  if (!numbers.every((part) => /^\d{1,6}$/.test(part)) || !operators.every(isOperator)) return undefined;
  return { numbers: numbers.map(Number), operators };
}

function isOperator(text: string): text is Operator {
  return (OPERATORS as readonly string[]).includes(text);
}

/** Whether two lists hold the same numbers, each as often. */
export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  const [left, right] = [a, b].map((list) => list.toSorted((x, y) => x - y));
  return left!.every((number, i) => number === right![i]);
}
