/**
 * @file Arithmetic as models write it in the format of Lee et al. (2025): whole numbers, + - * /, brackets, a sign in front. Read by hand, never
 * evaluated as code; in floating point, as the released reward does. Powers and `//`, which that reward happens to admit, are no arithmetic here.
 */

const LONGEST = 200;
const DEEPEST = 32;
const TOKEN = /\d{1,12}|[-+*/()]/y;

/** The numbers in an expression, in order, as the released reward finds them: every run of digits. */
export function numbersIn(text: string): number[] {
  return (text.match(/\d+/g) ?? []).map(Number);
}

/** The value of an expression; undefined where the text is none, is longer than 200 characters, or divides by 0. */
export function arithmeticValue(text: string): number | undefined {
  const tokens = text.length > LONGEST ? undefined : tokensOf(text);
  if (!tokens) return undefined;
  const reader: Reader = { tokens, at: 0 };
  const value = readSum(reader, 0);
  return reader.at === tokens.length && Number.isFinite(value) ? value : undefined;
}

interface Reader {
  readonly tokens: readonly string[];
  at: number;
}

function tokensOf(text: string): string[] | undefined {
  const tokens: string[] = [];
  for (const part of text.trim().split(/\s+/)) {
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < part.length) {
      const match = TOKEN.exec(part);
      if (!match) return undefined;
      tokens.push(match[0]);
    }
  }
  return tokens;
}

/** NaN stands for what is no expression. */
function readSum(reader: Reader, depth: number): number {
  let value = readProduct(reader, depth);
  for (let operator = next(reader, "+-"); operator; operator = next(reader, "+-")) {
    const other = readProduct(reader, depth);
    value = operator === "+" ? value + other : value - other;
  }
  return value;
}

function readProduct(reader: Reader, depth: number): number {
  let value = readFactor(reader, depth);
  for (let operator = next(reader, "*/"); operator; operator = next(reader, "*/")) {
    const other = readFactor(reader, depth);
    value = operator === "*" ? value * other : value / other;
  }
  return value;
}

function readFactor(reader: Reader, depth: number): number {
  if (depth > DEEPEST) return Number.NaN;
  if (next(reader, "-")) return -readFactor(reader, depth + 1);
  if (next(reader, "(")) {
    const value = readSum(reader, depth + 1);
    return next(reader, ")") ? value : Number.NaN;
  }
  const token = reader.tokens[reader.at] ?? "";
  if (!/^\d/.test(token)) return Number.NaN;
  reader.at++;
  return Number(token);
}

/** The next token, taken, if it is one of `wanted`. */
function next(reader: Reader, wanted: string): string | undefined {
  const token = reader.tokens[reader.at];
  if (token === undefined || !wanted.includes(token)) return undefined;
  reader.at++;
  return token;
}
