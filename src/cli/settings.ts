/** @file Options of the form `NAME=VALUE`: settings by path, folders by role. */
import type { JsonObject } from "../formats/json.js";
import { usage } from "./parse.js";

/** `a.b=JSON`, each → one object with the values in their places. */
export function readSettings(given: readonly string[]): JsonObject {
  const out: Record<string, unknown> = {};
  for (const text of given) {
    const [path, value] = split("set", text);
    place(out, path.split("."), { value: parse(text, value), text });
  }
  return out;
}

/** `ROLE=FOLDER`, each → folders by role. */
export function readPairs(option: string, given: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (const text of given) {
    const [role, folder] = split(option, text);
    if (Object.hasOwn(out, role)) throw usage(`--${option} names ${role} twice`);
    out[role] = folder;
  }
  return out;
}

function split(option: string, text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw usage(`--${option} must be NAME=VALUE, got ${JSON.stringify(text)}`);
}

/** JSON, or a word that is none: a text need not be in quotes. */
function parse(text: string, value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    if (/^[A-Za-z./~][^"{}[\]]*$/.test(value)) return value;
    throw usage(`--set ${text}: the value is no JSON`);
  }
}

function place(
  out: Record<string, unknown>,
  [first = "", ...rest]: readonly string[],
  { value, text }: { value: unknown; text: string },
): void {
  if (first === "" || first === "__proto__") throw usage(`--set ${text}: names are words with dots between`);
  if (rest.length === 0) {
    if (Object.hasOwn(out, first)) throw usage(`--set ${text}: it is set twice`);
    out[first] = value;
    return;
  }
  const below = Object.hasOwn(out, first) ? out[first] : {};
  if (typeof below !== "object" || below === null || Array.isArray(below)) throw usage(`--set ${text}: ${first} is set to a value already`);
  out[first] = below;
  place(below as Record<string, unknown>, rest, { value, text });
}
