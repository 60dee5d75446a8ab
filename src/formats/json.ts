/** @file JSON files, read with a bound and with errors that name the file, and written whole or not at all. */
import { SextantError } from "../base/errors.js";
import { writeAtomic } from "./atomic.js";
import { readFileBounded } from "./files.js";

/** A JSON object whose members are not known yet. */
export type JsonObject = { readonly [key: string]: unknown };

const MEBIBYTE = 1 << 20;

/** The value that the JSON file holds; a missing file, one over `maxBytes` (64 MiB) and one that is not JSON are named. */
export function readJson(path: string, { maxBytes = 64 * MEBIBYTE } = {}): unknown {
  return parseJson(readText(path, { maxBytes }), path);
}

/** As `readJson`, for a file that must hold an object. */
export function readJsonObject(path: string, options: { maxBytes?: number } = {}): JsonObject {
  const value = readJson(path, options);
  if (!isJsonObject(value)) throw new SextantError("format", `${path} must hold a JSON object, got ${describeJson(value)}`);
  return value;
}

/** The text of a UTF-8 file, without a byte order mark. */
export function readText(path: string, { maxBytes = 64 * MEBIBYTE } = {}): string {
  const bytes = readFileBounded(path, maxBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SextantError("format", `${path} is not UTF-8 text`, { cause: error });
  }
}

/** The value of a JSON text; `source` is what an error calls it. */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new SextantError("format", `${source} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** Writes `value` as indented JSON, whole or not at all. */
export function writeJson(path: string, value: unknown): void {
  const text = JSON.stringify(value, null, 2) as string | undefined;
  if (text === undefined) throw new SextantError("usage", `writeJson ${path}: the value has no JSON form`);
  writeAtomic(path, [text, "\n"]);
}

/** Whether `value` is an object, and neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value in a few words, for an error: `null`, `[2, "x", …]`, `the string "abc"`. */
export function describeJson(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `[${value.slice(0, 8).map(describeItem).join(", ")}${value.length > 8 ? ", …" : ""}]`;
  if (typeof value === "object") return "an object";
  return `the ${typeof value} ${describeItem(value)}`;
}

/** The text in double quotes, escaped and cut to 120 characters, so that a hostile name cannot spoil a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

function describeItem(value: unknown): string {
  if (typeof value === "string") return quote(value);
  return typeof value === "object" && value !== null ? "…" : String(value);
}

/**
 * The first key that one object of the (valid) JSON text has twice, or undefined. `JSON.parse` keeps the last of them without
 * a word, and another reader may keep the first.
 */
export function duplicateKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  const next = /["{}[\]]/g;
  for (let match = next.exec(text); match; match = next.exec(text)) {
    if (match[0] === "{") open.push(new Set());
    else if (match[0] === "[") open.push(undefined);
    else if (match[0] !== '"') open.pop();
    else {
      next.lastIndex = stringEnd(text, match.index);
      if (!isKey(text, next.lastIndex)) continue;
      const name = JSON.parse(text.slice(match.index, next.lastIndex)) as string;
      if (open.at(-1)?.has(name)) return name;
      open.at(-1)?.add(name);
    }
  }
  return undefined;
}

function stringEnd(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function isKey(text: string, after: number): boolean {
  let i = after;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i] === ":";
}
