/** @file Amounts of memory as people write them. */
import { usage } from "./parse.js";

const UNITS = new Map([
  ["B", 1],
  ["kB", 1e3],
  ["KB", 1e3],
  ["MB", 1e6],
  ["GB", 1e9],
  ["TB", 1e12],
  ["KiB", 2 ** 10],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["TiB", 2 ** 40],
]);

/** Bytes of a size such as `2GiB`, `500 MB` or `1.5GB`; `option` is named where it is not one. */
export function parseSize(option: string, text: string): number {
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(amount) * (UNITS.get(unit) ?? 0));
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw usage(`--${option} must be a size above 0 with its unit, such as 2GiB or 500MB, got ${JSON.stringify(text)}`);
}
