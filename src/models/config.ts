/**
 * @file Reads a `config.json` with bounds and types, by the names that older and newer files use. Every key that is read is
 * remembered; what remains is either known to have no effect on the numbers, refused, or reported as not understood.
 */
import { refuse, SextantError } from "../base/errors.js";

export type Json = { readonly [key: string]: unknown };

/** Largest count or size that a configuration may name; anything more is a broken or hostile file. */
const LARGEST = 2 ** 31 - 1;

export class Config {
  readonly where: string;
  readonly #json: Json;
  readonly #seen = new Set<string>();

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
    return this.#demand(keys, fallback, (value) => Number.isInteger(value) && value >= 1 && value <= LARGEST, "a whole number above 0");
  }

  /** A finite number. */
  number(keys: string | readonly string[], fallback?: number): number {
    return this.#demand(keys, fallback, Number.isFinite, "a number");
  }

  /** A finite number above 0. */
  positive(keys: string | readonly string[], fallback?: number): number {
    return this.#demand(keys, fallback, (value) => Number.isFinite(value) && value > 0, "a number above 0");
  }

  /** A finite number, or undefined where the key is absent or null. */
  optionalNumber(keys: string | readonly string[]): number | undefined {
    return this.has(...[keys].flat()) ? this.number(keys) : undefined;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#find([key]);
    if (value === undefined) return fallback;
    if (typeof value !== "boolean") throw this.wrong(key, "true or false", value);
    return value;
  }

  text(key: string, fallback?: string): string {
    const value = this.#find([key]) ?? fallback;
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
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.wrong(key, "an object", value);
    return Object.keys(value).length === 0 ? undefined : new Config(value as Json, `${this.where}: ${key}`);
  }

  /** Marks keys as read without using them: they have no effect on the numbers. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#seen.add(key);
  }

  /** Refuses a setting that is there with a value that would change the numbers. */
  refuseIf(key: string, matters: (value: unknown) => boolean, why: string): void {
    const value = this.#find([key]);
    if (value !== undefined && matters(value)) {
      throw refuse({ what: `cannot honour ${key}: ${JSON.stringify(value)} of ${this.where}`, why });
    }
  }

  /** Keys that nobody asked for. */
  unread(): string[] {
    return Object.keys(this.#json).filter((key) => !this.#seen.has(key));
  }

  wrong(key: string, demand: string, value: unknown): SextantError {
    const shown = value === undefined ? "nothing" : JSON.stringify(value)?.slice(0, 80);
    return new SextantError("format", `${this.where}: ${key} must be ${demand}, got ${shown}`);
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
    const value = this.#find(names) ?? fallback;
    if (typeof value !== "number" || !accepts(value)) throw this.wrong(names[0]!, what, value);
    return value;
  }
}
