/**
 * @file Reads a `config.json` with bounds and types, by the names that older and newer files use. Every key that is read is
 * remembered; what remains is either known to have no effect on the numbers, refused, or reported as not understood. A key that
 * is null counts as absent only where `transformers` says so, which is where a method's name says `optional`.
 */
import { refuse, SextantError } from "../base/errors.js";
import { describeJson, isJsonObject } from "../formats/json.js";

export type Json = { readonly [key: string]: unknown };

/** Largest count or size that a configuration may name; anything more is a broken or hostile file. */
const LARGEST = 2 ** 31 - 1;

export class Config {
  readonly where: string;
  readonly #json: Json;
  readonly #seen = new Set<string>();
  readonly #inside = new Map<string, Config>();

  constructor(json: Json, where = "config.json") {
    this.#json = json;
    this.where = where;
  }

  /** Whether a key is there and not null. */
  has(...keys: readonly string[]): boolean {
    return this.#find(keys) !== undefined;
  }

  /** Whether a key is there, null included. */
  states(key: string): boolean {
    this.#seen.add(key);
    return Object.hasOwn(this.#json, key);
  }

  /** A whole number in `1 … 2³¹`, under the first of the keys that is there. */
  count(keys: string | readonly string[], fallback?: number): number {
    const value = this.#demand(keys, fallback, (count) => Number.isInteger(count) && count >= 1, "a whole number above 0");
    if (value > LARGEST) throw this.wrong([keys].flat()[0]!, `at most ${LARGEST}`, value);
    return value;
  }

  /** As `count`, or undefined where the key is absent or null. */
  optionalCount(keys: string | readonly string[]): number | undefined {
    return this.has(...[keys].flat()) ? this.count(keys) : undefined;
  }

  /** A number that float32 can hold. */
  number(keys: string | readonly string[], fallback?: number): number {
    return this.#demand(keys, fallback, isFloat32, "a number");
  }

  /** A number above 0 that float32 can hold. */
  positive(keys: string | readonly string[], fallback?: number): number {
    return this.#demand(keys, fallback, (value) => isFloat32(value) && value > 0, "a number above 0");
  }

  /** As `number`, or undefined where the key is absent or null. */
  optionalNumber(keys: string | readonly string[]): number | undefined {
    return this.has(...[keys].flat()) ? this.number(keys) : undefined;
  }

  /** As `positive`, or undefined where the key is absent or null. */
  optionalPositive(keys: string | readonly string[]): number | undefined {
    return this.has(...[keys].flat()) ? this.positive(keys) : undefined;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#stated([key], fallback);
    if (typeof value !== "boolean") throw this.wrong(key, "true or false", value);
    return value;
  }

  text(key: string, fallback?: string): string {
    const value = this.#stated([key], fallback);
    if (typeof value !== "string") throw this.wrong(key, "a text", value);
    return value;
  }

  /** A list, or undefined where the key is absent or null. */
  list(key: string): readonly unknown[] | undefined {
    const value = this.#find([key]);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.wrong(key, "a list", value);
    return value;
  }

  /** A list of numbers of a given length, or undefined. */
  numbers(key: string, length?: number): readonly number[] | undefined {
    const list = this.list(key);
    if (!list) return undefined;
    if (!list.every((item) => typeof item === "number" && Number.isFinite(item))) throw this.wrong(key, "a list of numbers", list);
    if (length !== undefined && list.length !== length) throw this.wrong(key, `a list of ${length} numbers`, list);
    return list as number[];
  }

  /** An object as a configuration of its own, or undefined where the key is absent, null or empty. */
  object(key: string): Config | undefined {
    const value = this.#find([key]);
    if (value === undefined) return undefined;
    if (!isJsonObject(value)) throw this.wrong(key, "an object", value);
    return Object.keys(value).length === 0 ? undefined : new Config(value, `${this.where}: ${key}`);
  }

  /** The whole configuration of a part of the model. Of the keys `outside`, it has what this one says, where that says anything. */
  inside(key: string, outside: readonly string[]): Config {
    const value = this.#find([key]);
    if (!isJsonObject(value)) throw this.wrong(key, "an object", value);
    const stated = outside.filter((name) => this.has(name));
    const config = new Config({ ...value, ...Object.fromEntries(stated.map((name) => [name, this.#json[name]])) }, `${this.where}: ${key}`);
    this.#inside.set(key, config);
    return config;
  }

  /** Marks keys as read without using them: they have no effect on the numbers. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#seen.add(key);
  }

  /** Refuses a setting that is there with a value that would change the numbers. */
  refuseIf(key: string, matters: (value: unknown) => boolean, why: string): void {
    const value = this.#find([key]);
    if (value !== undefined && matters(value)) throw this.refused(key, value, why);
  }

  /** The error that refuses a setting. */
  refused(key: string, value: unknown, why: string): SextantError {
    return refuse({ what: `cannot honour ${key} ${shown(value)} of ${this.where}`, why });
  }

  /** Keys that nobody asked for; those of a configuration inside as `text_config.key`. */
  unread(): string[] {
    const own = Object.keys(this.#json).filter((key) => !this.#seen.has(key));
    return [...own, ...[...this.#inside].flatMap(([key, config]) => config.unread().map((name) => `${key}.${name}`))];
  }

  wrong(key: string, demand: string, value: unknown): SextantError {
    const got = value === undefined ? "it is missing" : `got ${shown(value)}`;
    return new SextantError("format", `${this.where}: ${key} must be ${demand}, ${got}`);
  }

  /** The value of the first key that is there and not null; null where all that are there are; the fallback where none is. */
  #stated(keys: readonly string[], fallback: unknown): unknown {
    return this.#find(keys) ?? (keys.some((key) => Object.hasOwn(this.#json, key)) ? null : fallback);
  }

  #find(keys: readonly string[]): unknown {
    for (const key of keys) this.#seen.add(key);
    for (const key of keys) {
      const value = Object.hasOwn(this.#json, key) ? this.#json[key] : undefined;
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  }

  #demand(keys: string | readonly string[], fallback: number | undefined, accepts: (value: number) => boolean, what: string): number {
    const names = [keys].flat();
    const value = this.#stated(names, fallback);
    if (typeof value === "number" && accepts(value)) return value;
    throw this.wrong(names.find((name) => Object.hasOwn(this.#json, name)) ?? names[0]!, what, value);
  }
}

function isFloat32(value: number): boolean {
  return Number.isFinite(Math.fround(value));
}

/** A value as the file has it, cut short: a number, `"a text"`, `[1, 2, …]`, `{…}`. */
function shown(value: unknown): string {
  if (isJsonObject(value)) return "{…}";
  return typeof value === "object" || typeof value === "string"
    ? describeJson(value).replace(/^the string /, "")
    : `${value as number | boolean}`;
}
