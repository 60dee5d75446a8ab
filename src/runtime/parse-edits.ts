/**
 * @file Edits from JSON, as files and requests hold them: checked field by field, and strings where a tensor is expected looked up
 * among the vectors. What does not fit the model (a layer it lacks, a head too many) is the model's to refuse, not this file's.
 */
import { SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { describeJson, isJsonObject, quote } from "../formats/json.js";
import type { EditKind, ScheduledEdit, Values } from "./edit.js";

/** The tensors that edits may name; `vectors.NAME` is found under `NAME` too. */
export type Vectors = ReadonlyMap<string, Tensor>;

/** The edits of a JSON array; the first field that is unknown, missing or of another type is named with its path. */
export function parseEdits(json: unknown, vectors: Vectors = new Map()): ScheduledEdit[] {
  const operations = operationFields(vectors);
  const edit: Reader<ScheduledEdit> = (value, path) => readEdit(value, path, operations);
  return listOf(edit, "must be an array of edits")(json, "edits");
}

/** A value from outside as what it must be, or an error that says where it stands (`edits[2].positions[0]`) and what is wrong. */
type Reader<T> = (value: unknown, path: string) => T;

/** The fields of an object: a reader each. */
type Fields = Readonly<Record<string, Reader<unknown>>>;

/** Which fields of an object there are, and which it may do without. */
interface Shape {
  readonly needed?: Fields;
  readonly optional?: Fields;
}

function wrong(path: string, message: string, value: unknown): SextantError {
  return new SextantError("request", `${path}: ${message}, ${value === undefined ? "it is missing" : `got ${describeJson(value)}`}`);
}

function that<T>(holds: (value: unknown) => value is T, message: string): Reader<T> {
  return (value, path) => {
    if (holds(value)) return value;
    throw wrong(path, message, value);
  };
}

function listOf<T>(item: Reader<T>, message: string): Reader<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw wrong(path, message, value);
    return value.map((one: unknown, i) => item(one, `${path}[${i}]`));
  };
}

/** The fields that are there; one that is unknown is refused, `hint` said behind it. */
function readFields(value: object, path: string, { needed = {}, optional = {}, hint = "" }: Shape & { readonly hint?: string }): object {
  const given = new Map<string, unknown>(Object.entries(value));
  const known = { ...needed, ...optional };
  const present = Object.entries(known).filter(([name]) => given.has(name) || Object.hasOwn(needed, name));
  const read = Object.fromEntries(present.map(([name, reader]) => [name, reader(given.get(name), `${path}.${name}`)]));
  const unknown = [...given.keys()].filter((name) => !Object.hasOwn(known, name));
  if (unknown.length === 0) return read;
  throw new SextantError("request", `${path}: unknown field ${unknown.map((name) => quote(name)).join(", ")}${hint}`);
}

function objectOf(shape: Shape, message: string): Reader<object> {
  return (value, path) => {
    if (!isJsonObject(value)) throw wrong(path, message, value);
    return readFields(value, path, shape);
  };
}

const integer = that((value): value is number => Number.isSafeInteger(value), "must be a whole number");
const finite = that((value): value is number => Number.isFinite(value), "must be a number");
const text = that((value): value is string => typeof value === "string", "must be a string");
const on = that(
  (value): value is string => value === "prompt" || value === "generated" || value === "both",
  'must be "prompt", "generated" or "both"',
);

function atLeast(least: 0 | 1): Reader<number> {
  return (value, path) => {
    const number = integer(value, path);
    if (number >= least) return number;
    throw wrong(path, `must be ${least} or more`, value);
  };
}

function indices(value: unknown, path: string): number[] {
  const read = listOf(integer, "must be an array of whole numbers")(value, path);
  if (read.length > 0) return read;
  throw wrong(path, "must name at least one; leave it out for all", value);
}

const everyNth = objectOf(
  { needed: { every: atLeast(1) }, optional: { from: integer, to: integer } },
  "must be an array of whole numbers, or an object with `every`",
);

const steps = objectOf(
  { optional: { from: atLeast(0), to: atLeast(0), every: atLeast(1) } },
  "must be an object with `from`, `to`, `every`",
);

/** Where and when an edit applies: the fields that every operation may have. */
const SELECTOR: Required<Shape> = {
  needed: { at: text },
  optional: {
    rows: indices,
    positions: (value, path) => (Array.isArray(value) ? indices(value, path) : everyNth(value, path)),
    heads: indices,
    units: indices,
    queries: indices,
    keys: indices,
    on,
    steps,
  },
};

/** The fields of each operation beside those of `SELECTOR`. */
function operationFields(vectors: Vectors): Readonly<Record<EditKind, Shape>> {
  const values: Reader<Values> = (value, path) => readValues(value, path, vectors);
  return {
    set: { needed: { value: (value, path) => (Number.isFinite(value) ? value : values(value, path)) } },
    add: { needed: { vector: values }, optional: { strength: finite } },
    scale: { needed: { by: finite } },
    project_out: { needed: { basis: values } },
    clamp: { needed: { direction: values }, optional: { min: finite, max: finite } },
    interchange: { needed: { value: values, basis: values } },
    rotate: { needed: { plane: values, angle: finite } },
    knockout: {},
  };
}

function readEdit(value: unknown, path: string, operations: Readonly<Record<EditKind, Shape>>): ScheduledEdit {
  if (!isJsonObject(value)) throw wrong(path, "must be an edit", value);
  const { op, ...fields } = value;
  const isKnown = (name: unknown): name is EditKind => typeof name === "string" && Object.hasOwn(operations, name);
  if (!isKnown(op)) throw wrong(`${path}.op`, `must be one of ${Object.keys(operations).join(", ")}`, op);
  const { needed = {}, optional = {} } = operations[op];
  const own = { ...needed, ...optional };
  const takes = [...Object.keys(own), ...Object.keys(SELECTOR.needed), ...Object.keys(SELECTOR.optional)];
  const read = readFields(fields, path, {
    needed: { ...SELECTOR.needed, ...needed },
    optional: { ...SELECTOR.optional, ...optional },
    hint: `; "${op}" takes ${takes.join(", ")}`,
  });
  return { op, ...read } as ScheduledEdit;
}

const VALUES = "must be the name of a vector, an array of numbers, or an array of such arrays of one length";

/** The tensor of a name, or the numbers as a vector or a matrix. */
function readValues(value: unknown, path: string, vectors: Vectors): Values {
  const found = typeof value === "string" ? namedVector(value, vectors) : plainValues(value);
  if (typeof found === "string") throw wrong(path, found, value);
  return found;
}

/** The tensor of that name, or what is wrong with the name. */
function namedVector(name: string, vectors: Vectors): Values | string {
  const found = vectors.get(name) ?? vectors.get(`vectors.${name}`);
  if (!found) return `must name a vector (${vectors.size > 0 ? `there are ${[...vectors.keys()].join(", ")}` : "none were given"})`;
  if (found.data instanceof Int32Array) return "must name a vector of floats, this one holds whole numbers";
  return found as Tensor<Float32Array>;
}

/** The numbers as a vector or a matrix, or what is wrong with them. */
function plainValues(value: unknown): Values | string {
  if (isNumbers(value)) return value;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isNumbers)) return VALUES;
  const columns = value[0]!.length;
  if (value.some((row) => row.length !== columns)) return VALUES;
  return tensor(Float32Array.from(value.flat()), [value.length, columns]);
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => Number.isFinite(item));
}
