/**
 * @file An edit as a caller hands it over, who need not have asked a compiler: its fields, and what kind of value each holds.
 * Whether it fits the model is for `prepare-edits.ts`.
 */
import { SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { describeJson, isJsonObject } from "../formats/json.js";
import type { EditKind, Operation, ScheduledEdit, Selector } from "./edit.js";

type Kind = keyof typeof KINDS;
type Optional = `${Kind}?`;
type FieldsOf<K extends EditKind> = Exclude<keyof Extract<Operation, { readonly op: K }>, "op">;

/** What a field may hold, and whether a value is that. */
const KINDS = {
  "a number": (value: unknown): boolean => typeof value === "number",
  "a tensor or a list of numbers": isValues,
  "a number, a tensor or a list of numbers": (value: unknown): boolean => typeof value === "number" || isValues(value),
  "a list of numbers": isNumbers,
  "a list of numbers or an object with `every`": (value: unknown): boolean => isNumbers(value) || isEvery(value, ["every"]),
  '"prompt", "generated" or "both"': (value: unknown): boolean => value === "prompt" || value === "generated" || value === "both",
  "an object with `from`, `to`, `every`": (value: unknown): boolean => isEvery(value, []),
} as const;

/** The fields of each operation; `?` marks those that may be left out. */
const OPERATIONS: { readonly [K in EditKind]: { readonly [F in FieldsOf<K>]-?: Kind | Optional } } = {
  set: { value: "a number, a tensor or a list of numbers" },
  add: { vector: "a tensor or a list of numbers", strength: "a number?" },
  scale: { by: "a number" },
  project_out: { basis: "a tensor or a list of numbers" },
  clamp: { direction: "a tensor or a list of numbers", min: "a number?", max: "a number?" },
  interchange: { value: "a tensor or a list of numbers", basis: "a tensor or a list of numbers" },
  rotate: { plane: "a tensor or a list of numbers", angle: "a number" },
  knockout: {},
};

/** The fields that every operation may have. */
const EVERYWHERE: { readonly [F in keyof Required<Selector & Pick<ScheduledEdit, "on" | "steps">>]: Optional } = {
  rows: "a list of numbers?",
  positions: "a list of numbers or an object with `every`?",
  heads: "a list of numbers?",
  units: "a list of numbers?",
  queries: "a list of numbers?",
  keys: "a list of numbers?",
  on: '"prompt", "generated" or "both"?',
  steps: "an object with `from`, `to`, `every`?",
};

/** Throws unless the value is an edit: a known operation at an address, with the fields it has and no others. `where` is its name in errors. */
export function checkEdit(edit: unknown, where: string): asserts edit is ScheduledEdit {
  const fail = (what: string): SextantError => new SextantError("request", `${where}${addressOf(edit)}: ${what}`);
  if (!isJsonObject(edit)) throw fail(`must be an object with \`at\` and \`op\`, got ${describeJson(edit)}`);
  const { at, op, ...fields } = edit;
  if (typeof at !== "string") throw fail(`at must be an address, ${got(at)}`);
  if (typeof op !== "string" || !Object.hasOwn(OPERATIONS, op))
    throw fail(`op must be one of ${Object.keys(OPERATIONS).join(", ")}, ${got(op)}`);
  const takes: Readonly<Record<string, Kind | Optional>> = { ...OPERATIONS[op as EditKind], ...EVERYWHERE };
  const stray = Object.keys(fields).find((name) => !Object.hasOwn(takes, name));
  if (stray !== undefined) throw fail(`${op} has no field ${JSON.stringify(stray)}; it takes ${Object.keys(takes).join(", ")}`);
  for (const [name, kind] of Object.entries(takes)) {
    const isOptional = kind.endsWith("?");
    const what = (isOptional ? kind.slice(0, -1) : kind) as Kind;
    const value = fields[name];
    if (value === undefined ? !isOptional : !KINDS[what](value)) throw fail(`${name} must be ${what}, ${got(value)}`);
  }
}

function addressOf(edit: unknown): string {
  return isJsonObject(edit) && typeof edit["at"] === "string" ? ` at ${edit["at"]}` : "";
}

function got(value: unknown): string {
  return value === undefined ? "it is missing" : `got ${describeJson(value)}`;
}

function isNumbers(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((item) => typeof item === "number");
  return value instanceof Float32Array || value instanceof Float64Array || value instanceof Int32Array;
}

/** Numbers, or a tensor whose shape holds its data. */
function isValues(value: unknown): boolean {
  if (isNumbers(value)) return true;
  if (!isJsonObject(value) || !isNumbers(value["data"]) || !isNumbers(value["shape"])) return false;
  return sizeOf(value["shape"] as number[]) === (value["data"] as number[]).length;
}

/** `every`, `from` and `to` as whole numbers, and nothing else. */
function isEvery(value: unknown, needed: readonly string[]): boolean {
  if (!isJsonObject(value) || !needed.every((name) => Object.hasOwn(value, name))) return false;
  return Object.entries(value).every(([name, item]) => (item === undefined && !needed.includes(name)) || isEveryField(name, item));
}

function isEveryField(name: string, value: unknown): boolean {
  if (name === "every") return Number.isInteger(value) && (value as number) >= 1;
  return (name === "from" || name === "to") && Number.isInteger(value);
}
