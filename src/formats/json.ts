/** @file JSON texts and the values in them, with errors that name their source; a text may come from a file, another's header or the net. */
import { SextantError } from "../base/errors.js";

/** A JSON object whose members are not known yet. */
export type JsonObject = { readonly [key: string]: unknown };

/** UTF-8 bytes as text, without a byte order mark; `source` is what an error calls them. */
export function decodeText(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SextantError("format", `${source} is not UTF-8 text`, { cause: error });
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

/** As `parseJson`, for a text that must hold an object. */
export function parseJsonObject(text: string, source: string): JsonObject {
  const value = parseJson(text, source);
  if (!isJsonObject(value)) throw new SextantError("format", `${source} must hold a JSON object, got ${describeJson(value)}`);
  return value;
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
