/**
 * @file Pairs of prompts as people write them: in options, or in a file of JSON lines (`--pairs`). Here they are checked as far as that goes
 * without a tokenizer; whatever is wrong is named with the file and the line.
 */
import { SextantError } from "../base/errors.js";
import { describeJson, isJsonObject, parseJson, type JsonObject } from "../formats/json.js";
import { readText } from "../formats/json-file.js";

/** A prompt as text or as ids. */
export type WrittenPrompt = string | readonly number[];

/** An index, several, or the text of a token that occurs once. */
export type WrittenSpan = number | readonly number[] | string;

/** One pair as it was written. */
export interface WrittenPair {
  /** What stands in front of an error: the file and the line. Absent where options say the pair. */
  readonly where?: string;
  readonly clean: WrittenPrompt;
  readonly corrupted?: WrittenPrompt;
  /** Ids, or tokens as text. */
  readonly answer?: readonly (number | string)[];
  readonly wrong?: readonly (number | string)[];
  readonly positions?: Readonly<Record<string, WrittenSpan | { readonly clean: WrittenSpan; readonly corrupted: WrittenSpan }>>;
}

const MOST_BYTES = 64 << 20;
const FIELDS = ["clean", "corrupted", "answer", "wrong", "positions"];

/** The pairs of a file, one JSON object a line; empty lines are passed over. */
export function readPairs(path: string): WrittenPair[] {
  const lines = readText(path, { maxBytes: MOST_BYTES }).split("\n");
  const pairs = lines.flatMap((line, index) => (line.trim() === "" ? [] : [pairOf(line, `${path}:${index + 1}`)]));
  if (pairs.length === 0) throw new SextantError("format", `${path} has no pairs: it needs one JSON object a line`);
  return pairs;
}

function pairOf(line: string, where: string): WrittenPair {
  const value = parseJson(line, where);
  if (!isJsonObject(value)) throw fail(where, `must be a JSON object, got ${describeJson(value)}`);
  const stray = Object.keys(value).find((name) => !FIELDS.includes(name));
  if (stray !== undefined) throw fail(where, `has no field ${JSON.stringify(stray)}; it takes ${FIELDS.join(", ")}`);
  const { clean, corrupted, answer, wrong, positions } = value;
  if (clean === undefined) throw fail(where, 'needs "clean", a text or token ids');
  return {
    where,
    clean: promptOf(clean, `${where}: clean`),
    ...(corrupted !== undefined && { corrupted: promptOf(corrupted, `${where}: corrupted`) }),
    ...(answer !== undefined && { answer: tokensOf(answer, `${where}: answer`) }),
    ...(wrong !== undefined && { wrong: tokensOf(wrong, `${where}: wrong`) }),
    ...(positions !== undefined && { positions: positionsOf(positions, `${where}: positions`) }),
  };
}

function fail(where: string, what: string): SextantError {
  return new SextantError("format", `${where}: ${what}`);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function promptOf(value: unknown, where: string): WrittenPrompt {
  if (typeof value === "string" && value !== "") return value;
  if (Array.isArray(value) && value.length > 0 && value.every(isId)) return value;
  throw fail(where, `must be a text or a list of token ids, got ${describeJson(value)}`);
}

function tokensOf(value: unknown, where: string): (number | string)[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const isToken = (item: unknown): item is number | string => isId(item) || (typeof item === "string" && item !== "");
  if (list.length > 0 && list.every(isToken)) return list;
  throw fail(where, `must be a token as text or id, or a list of them, got ${describeJson(value)}`);
}

function positionsOf(value: unknown, where: string): NonNullable<WrittenPair["positions"]> {
  if (!isJsonObject(value)) throw fail(where, `must be an object of positions by name, got ${describeJson(value)}`);
  return Object.fromEntries(
    Object.entries(value).map(([name, given]) => {
      const at = `${where}: ${JSON.stringify(name)}`;
      if (/^-?[\d.]*$/.test(name) || name.includes(",")) throw fail(at, "a name is no number and has no comma");
      return [name, isJsonObject(given) ? bothSides(given, at) : spanOf(given, at)];
    }),
  );
}

function bothSides(given: JsonObject, where: string): { clean: WrittenSpan; corrupted: WrittenSpan } {
  const { clean, corrupted, ...others } = given;
  const stray = Object.keys(others)[0];
  if (stray !== undefined) throw fail(where, `has no side ${JSON.stringify(stray)}; there are clean and corrupted`);
  return { clean: spanOf(clean, `${where}: clean`), corrupted: spanOf(corrupted, `${where}: corrupted`) };
}

function spanOf(value: unknown, where: string): WrittenSpan {
  if (Number.isSafeInteger(value) || (typeof value === "string" && value !== "")) return value as number | string;
  if (Array.isArray(value) && value.length > 0 && value.every((item) => Number.isSafeInteger(item))) return value as number[];
  throw fail(where, `must be an index, a list of them, or the text of a token, got ${describeJson(value)}`);
}
