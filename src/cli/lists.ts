/** @file The small notations of the command line: rows of tokens, lists of indices, lists of addresses. */
import { readJson } from "../formats/json-file.js";
import { usage } from "./parse.js";

/** Rows of token ids from `[[1,2],[3]]`, one row from `[1,2]`, or either from `@FILE`. */
export function parseTokens(text: string, option = "--tokens"): number[][] {
  const value = text.startsWith("@") ? readJson(text.slice(1)) : parseInline(text, option);
  const rows: unknown[] = Array.isArray(value) && Array.isArray(value[0]) ? value : [value];
  const bad = rows.findIndex((row) => !Array.isArray(row) || row.length === 0 || !row.every((id) => Number.isSafeInteger(id) && id >= 0));
  if (bad >= 0)
    throw usage(`${option} must be rows of token ids such as [[1,2],[3]], row ${bad} is ${JSON.stringify(rows[bad]) ?? "missing"}`);
  return rows as number[][];
}

function parseInline(text: string, option: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw usage(`${option} must be JSON such as [1,2,3], or @FILE, got ${JSON.stringify(text)}`);
  }
}

const LONGEST = 1_000_000;

/** Indices from `0,2,-1` and ranges `3..6` (both ends included); undefined where nothing was given. */
export function parseIndices(text: string | undefined, option: string): number[] | undefined {
  return text?.split(",").flatMap((part) => {
    const [, from = "", to = from] = /^\s*(-?\d+)(?:\.\.(\d+))?\s*$/.exec(part) ?? [];
    if (from === "") throw usage(`${option} must be indices such as 0,3,-1 or 2..5, got ${JSON.stringify(text)}`);
    if (Number(to) < Number(from) || Number(to) - Number(from) > LONGEST || (from.startsWith("-") && to !== from))
      throw usage(`${option}: ${part.trim()} is no range`);
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
  });
}

/** Positions from `0,-1,3..6` and names of them, in their order; undefined where nothing was given. */
export function parsePositions(text: string | undefined, option: string): (number | string)[] | undefined {
  return text?.split(",").flatMap((part): (number | string)[] => {
    const name = part.trim();
    if (name === "") throw usage(`${option} must be positions such as 0,3,-1, 2..5 or names of them, got ${JSON.stringify(text)}`);
    return /^-?\d+(?:\.\.\d+)?$/.test(name) ? (parseIndices(name, option) ?? []) : [name];
  });
}

/** Words between commas, each once and each one of `known`. */
export function parseWords<W extends string>(text: string, option: string, known: readonly W[]): W[] {
  const words = text.split(",").map((part) => part.trim());
  const stray = words.find((word, at) => !known.some((other) => other === word) || words.indexOf(word) !== at);
  if (stray !== undefined) throw usage(`${option} takes ${known.join(", ")} with commas between, each once; got ${JSON.stringify(text)}`);
  return words as W[];
}

/** Addresses between commas. */
export function parseAddresses(text: string): string[] {
  const addresses = text.split(",").map((part) => part.trim());
  if (addresses.some((address) => address === ""))
    throw usage(`--points must be addresses with commas between, got ${JSON.stringify(text)}`);
  return addresses;
}
