/** @file `config.json`, read by a family with its own defaults. An absent key takes the default, a stored null does not. */
import { join } from "node:path";
import { isJsonObject, type JsonObject } from "../../src/formats/json.js";
import { readJsonObject } from "../../src/formats/json-file.js";

/** A configuration and the questions that a family asks of it. Several names are aliases, the first that is there counts. */
export class Config {
  readonly values: JsonObject;

  constructor(values: JsonObject) {
    this.values = values;
  }

  has(name: string): boolean {
    return this.values[name] !== undefined;
  }

  /** A number; without a default it must be there. */
  number(names: string | readonly string[], otherwise?: number): number {
    const value = this.get(names) ?? otherwise;
    if (typeof value !== "number") throw new Error(`config.json: ${String(names)} must be a number, got ${JSON.stringify(value)}`);
    return value;
  }

  /** A number, or undefined where null is stored; `otherwise` where nothing is. */
  optional(name: string, otherwise?: number): number | undefined {
    const value = this.values[name];
    if (value === undefined) return otherwise;
    return value === null ? undefined : this.number(name);
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.values[name] ?? otherwise;
    if (typeof value !== "boolean") throw new Error(`config.json: ${name} must be true or false, got ${JSON.stringify(value)}`);
    return value;
  }

  text(name: string, otherwise: string): string {
    const value = this.values[name] ?? otherwise;
    if (typeof value !== "string") throw new Error(`config.json: ${name} must be a string, got ${JSON.stringify(value)}`);
    return value;
  }

  /** A list, or undefined where there is none or null. */
  list(name: string): readonly unknown[] | undefined {
    const value = this.values[name] ?? undefined;
    if (value !== undefined && !Array.isArray(value)) throw new Error(`config.json: ${name} must be a list`);
    return value;
  }

  /** An object, or undefined where there is none, null, or (as in Python's `or`) an empty one. */
  object(name: string): JsonObject | undefined {
    const value = this.values[name];
    return isJsonObject(value) && Object.keys(value).length > 0 ? value : undefined;
  }

  private get(names: string | readonly string[]): unknown {
    const all = typeof names === "string" ? [names] : names;
    return all.map((name) => this.values[name]).find((value) => value !== undefined && value !== null);
  }
}

/** The configuration of the checkpoint in `folder`. */
export function readConfig(folder: string): Config {
  return new Config(readJsonObject(join(folder, "config.json")));
}

/** How many heads there are and how wide: `H` query heads, `KV` key/value heads, `D` elements each. */
export interface HeadSizes {
  readonly H: number;
  readonly KV: number;
  readonly D: number;
}

/** The sizes of a family with `num_attention_heads`; `kv` and `width` are its defaults where they are not H and C / H. */
export function headSizes(c: Config, { kv, width }: { kv?: number; width?: number } = {}): HeadSizes {
  const H = c.number("num_attention_heads");
  const absentKv = c.has("num_key_value_heads") ? H : (kv ?? H);
  const absentWidth = c.has("head_dim") ? undefined : width;
  const D = c.number("head_dim", absentWidth ?? Math.floor(c.number("hidden_size") / H));
  return { H, KV: c.number("num_key_value_heads", absentKv), D };
}
