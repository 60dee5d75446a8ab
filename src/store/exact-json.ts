/**
 * @file JSON that reads back as the same value: `JSON.stringify` turns NaN into null and −0 into 0 without a word. Here what JSON cannot hold is an internal
 * error that says where it stands. Members that are undefined are left out, as in JSON.
 */
import { internal } from "../base/errors.js";
import { isJsonObject } from "../formats/json.js";

const DEEPEST = 200;

/** The value as JSON: one line, or indented, with lists of plain values on one line. `where` is what an error calls it. */
export function exactJson(value: unknown, where: string, layout: "line" | "indented" = "line"): string {
  const writer = new Writer(where, layout === "indented");
  return writer.text(value, 0);
}

class Writer {
  readonly #where: string;
  readonly #indented: boolean;
  /** Keys and indices down to the value that is being written. */
  readonly #path: (string | number)[] = [];

  constructor(where: string, indented: boolean) {
    this.#where = where;
    this.#indented = indented;
  }

  text(value: unknown, depth: number): string {
    if (depth > DEEPEST) throw this.#refuse("is nested more than 200 deep, or goes round in a circle");
    if (typeof value === "number") return this.#number(value);
    if (value === null || typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
    if (Array.isArray(value)) return this.#list(value, depth);
    if (isJsonObject(value) && isPlain(value)) return this.#object(value, depth);
    throw this.#refuse(`is ${nameOf(value)}`);
  }

  #number(value: number): string {
    if (!Number.isFinite(value)) throw this.#refuse(`is ${value}`);
    return Object.is(value, -0) ? "-0" : String(value);
  }

  #list(values: readonly unknown[], depth: number): string {
    const items = Array.from(values, (item, index) => this.#within(index, item, depth));
    const isFlat = values.every((item) => typeof item !== "object" || item === null);
    return this.#enclose("[]", items, isFlat ? undefined : depth);
  }

  #object(value: Readonly<Record<string, unknown>>, depth: number): string {
    const present = Object.entries(value).filter(([, item]) => item !== undefined);
    const colon = this.#indented ? ": " : ":";
    const members = present.map(([key, item]) => `${JSON.stringify(key)}${colon}${this.#within(key, item, depth)}`);
    return this.#enclose("{}", members, depth);
  }

  #within(key: string | number, value: unknown, depth: number): string {
    this.#path.push(key);
    const text = this.text(value, depth + 1);
    this.#path.pop();
    return text;
  }

  /** The items between brackets; indented, where there is a depth, on lines of their own. */
  #enclose([open, close]: string, items: readonly string[], depth: number | undefined): string {
    if (!this.#indented) return `${open}${items.join(",")}${close}`;
    if (depth === undefined || items.length === 0) return `${open}${items.join(", ")}${close}`;
    const [inner, outer] = ["  ".repeat(depth + 1), "  ".repeat(depth)];
    return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${outer}${close}`;
  }

  #refuse(what: string): Error {
    const place = this.#path.slice(0, 12).map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`));
    return internal(`${this.#where}${place.join("")} ${what}, which JSON cannot hold`);
  }
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
}

function nameOf(value: unknown): string {
  if (typeof value === "object" && value !== null) return `a ${value.constructor.name}`;
  return value === undefined ? "undefined" : `a ${typeof value}`;
}
