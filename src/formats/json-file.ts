/** @file JSON files, read with a bound and with errors that name the file, and written whole or not at all. */
import { SextantError } from "../base/errors.js";
import { writeAtomic } from "./atomic.js";
import { readFileBounded } from "./files.js";
import { decodeText, parseJson, parseJsonObject, type JsonObject } from "./json.js";

const MEBIBYTE = 1 << 20;

/** The value that the JSON file holds; a missing file, one over `maxBytes` (64 MiB) and one that is not JSON are named. */
export function readJson(path: string, { maxBytes = 64 * MEBIBYTE } = {}): unknown {
  return parseJson(readText(path, { maxBytes }), path);
}

/** As `readJson`, for a file that must hold an object. */
export function readJsonObject(path: string, options: { maxBytes?: number } = {}): JsonObject {
  return parseJsonObject(readText(path, options), path);
}

/** The text of a UTF-8 file, without a byte order mark. */
export function readText(path: string, { maxBytes = 64 * MEBIBYTE } = {}): string {
  return decodeText(readFileBounded(path, maxBytes), path);
}

/** Writes `value` as indented JSON, whole or not at all. */
export function writeJson(path: string, value: unknown): void {
  const text = JSON.stringify(value, null, 2) as string | undefined;
  if (text === undefined) throw new SextantError("usage", `writeJson ${path}: the value has no JSON form`);
  writeAtomic(path, [text, "\n"]);
}
