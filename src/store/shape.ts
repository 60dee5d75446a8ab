/** @file Shapes of JSON that a run's folder must have: each check gives the value with its type, or says where it is another. */
import { SextantError } from "../base/errors.js";
import { describeJson, isJsonObject, quote, type JsonObject } from "../formats/json.js";

/** The value as a `T`; `at` is what an error calls it. */
export type Check<T> = (value: unknown, at: string) => T;

/** A member that may be missing. */
interface Optional<T> {
  readonly optional: Check<T>;
}

/** One check a member: those of optional members are wrapped by `optional`. */
export type Members<T> = { readonly [K in keyof T]-?: undefined extends T[K] ? Optional<Exclude<T[K], undefined>> : Check<T[K]> };

/** A `format` error about what stands at a place. */
export function misshapen(at: string, wanted: string, value: unknown): SextantError {
  return new SextantError("format", `${at} must be ${wanted}, got ${describeJson(value)}`);
}

export const text: Check<string> = (value, at) => {
  if (typeof value !== "string") throw misshapen(at, "a text", value);
  return value;
};

export const number: Check<number> = (value, at) => {
  if (typeof value !== "number") throw misshapen(at, "a number", value);
  return value;
};

/** A whole number, 0 or more. */
export const count: Check<number> = (value, at) => {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw misshapen(at, "a whole number, 0 or more", value);
  return value;
};

export const anyObject: Check<JsonObject> = (value, at) => {
  if (!isJsonObject(value)) throw misshapen(at, "an object", value);
  return value;
};

/** One of the words. */
export function oneOf<const W extends string | number>(...words: readonly W[]): Check<W> {
  return (value, at) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw misshapen(at, words.map((word) => JSON.stringify(word)).join(" or "), value);
    return found;
  };
}

/** A text that the pattern fits; `wanted` is what an error says of it. */
export function matching(pattern: RegExp, wanted: string): Check<string> {
  return (value, at) => {
    if (typeof value !== "string" || !pattern.test(value)) throw misshapen(at, wanted, value);
    return value;
  };
}

export function orNull<T>(check: Check<T>): Check<T | null> {
  return (value, at) => (value === null ? null : check(value, at));
}

export function optional<T>(check: Check<T>): Optional<T> {
  return { optional: check };
}

export function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw misshapen(at, "a list", value);
    return value.map((item, index) => check(item, `${at}[${index}]`));
  };
}

/** An object with any keys. */
export function recordOf<T>(check: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value, at) => Object.fromEntries(Object.entries(anyObject(value, at)).map(([key, item]) => [key, check(item, `${at}.${key}`)]));
}

/** An object with these members and no others. */
export function objectOf<T extends object>(members: Members<T>): Check<T> {
  const rows = Object.entries(members) as [string, Check<unknown> | Optional<unknown>][];
  return (value, at) => {
    const object = anyObject(value, at);
    const stray = Object.keys(object).find((key) => !Object.hasOwn(members, key));
    if (stray !== undefined) throw new SextantError("format", `${at} has ${quote(stray)}, which is not known here`);
    const found = rows.flatMap(([key, row]) => {
      const item = Object.hasOwn(object, key) ? object[key] : undefined;
      if (typeof row === "function") return [[key, row(item, `${at}.${key}`)]];
      return item === undefined ? [] : [[key, row.optional(item, `${at}.${key}`)]];
    });
    return Object.fromEntries(found) as T;
  };
}
