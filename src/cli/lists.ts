/** @file The small notations of the command line: rows of tokens, lists of indices, lists of addresses. */
import { readJson } from "../formats/json.js";
import { usage } from "./parse.js";

/** Rows of token ids from `[[1,2],[3]]`, one row from `[1,2]`, or either from `@FILE`. */
export function parseTokens(text: string): number[][] {
  const value = text.startsWith("@") ? readJson(text.slice(1)) : parseInline(text);
  const rows: unknown[] = Array.isArray(value) && Array.isArray(value[0]) ? value : [value];
  const bad = rows.findIndex((row) => !Array.isArray(row) || row.length === 0 || !row.every((id) => Number.isSafeInteger(id) && id >= 0));
  if (bad >= 0)
    throw usage(`--tokens must be rows of token ids such as [[1,2],[3]], row ${bad} is ${JSON.stringify(rows[bad]) ?? "missing"}`);
  return rows as number[][];
}

function parseInline(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw usage(`--tokens must be JSON such as [1,2,3], or @FILE, got ${JSON.stringify(text)}`);
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

/** Addresses between commas. */
export function parseAddresses(text: string): string[] {
  const addresses = text.split(",").map((part) => part.trim());
  if (addresses.some((address) => address === ""))
    throw usage(`--points must be addresses with commas between, got ${JSON.stringify(text)}`);
  return addresses;
}
