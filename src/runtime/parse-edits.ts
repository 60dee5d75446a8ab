/**
 * @file Edits from JSON, as files and requests hold them: checked field by field, and strings where a tensor is expected looked up
 * among the vectors. What does not fit the model (a layer it lacks, a head too many) is the model's to refuse, not this file's.
 */
import { z } from "zod";
import { SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { describeJson, isJsonObject } from "../formats/json.js";
import type { EditKind, ScheduledEdit, Values } from "./edit.js";

/** The tensors that edits may name; `vectors.NAME` is found under `NAME` too. */
export type Vectors = ReadonlyMap<string, Tensor>;

/** The edits of a JSON array; the first field that is unknown, missing or of another type is named with its path. */
export function parseEdits(json: unknown, vectors: Vectors = new Map()): ScheduledEdit[] {
  const fields = operationFields(vectors);
  const result = z.array(editSchema(fields), { error: "must be an array of edits" }).safeParse(json);
  if (result.success) return result.data;
  throw new SextantError("request", describeIssue(result.error.issues[0]!, json, fields), { cause: result.error });
}

const ONE_OR_MORE = { error: "must be 1 or more" };
const integer = z.int({ error: "must be a whole number" });
const natural = integer.min(0, { error: "must be 0 or more" });
const finite = z.number({ error: "must be a number" });
const text = z.string({ error: "must be a string" });
const indices = z
  .array(integer, { error: "must be an array of whole numbers" })
  .min(1, { error: "must name at least one; leave it out for all" });

const everyNth = z.strictObject(
  { every: natural.min(1, ONE_OR_MORE), from: z.exactOptional(integer), to: z.exactOptional(integer) },
  { error: "must be an array of whole numbers, or an object with `every`" },
);

const steps = z.strictObject(
  { from: z.exactOptional(natural), to: z.exactOptional(natural), every: z.exactOptional(natural.min(1, ONE_OR_MORE)) },
  { error: "must be an object with `from`, `to`, `every`" },
);

/** Where and when an edit applies: the fields that every operation may have. */
const SELECTOR = {
  at: text,
  rows: z.exactOptional(indices),
  positions: z.exactOptional(z.union([everyNth, indices])),
  heads: z.exactOptional(indices),
  units: z.exactOptional(indices),
  queries: z.exactOptional(indices),
  keys: z.exactOptional(indices),
  on: z.exactOptional(z.enum(["prompt", "generated", "both"], { error: 'must be "prompt", "generated" or "both"' })),
  steps: z.exactOptional(steps),
};

type Fields = ReturnType<typeof operationFields>;

/** The fields of each operation beside those of `SELECTOR`. */
function operationFields(vectors: Vectors) {
  const values = readBy((value) => (typeof value === "string" ? namedVector(value, vectors) : plainValues(value)));
  const number = readBy((value): number | string => (typeof value === "number" ? value : "must be a number"));
  return {
    set: { value: z.union([values, number]) },
    add: { vector: values, strength: z.exactOptional(finite) },
    scale: { by: finite },
    project_out: { basis: values },
    clamp: { direction: values, min: z.exactOptional(finite), max: z.exactOptional(finite) },
    interchange: { value: values, basis: values },
    rotate: { plane: values, angle: finite },
    knockout: {},
  } satisfies Record<EditKind, z.ZodRawShape>;
}

function editSchema(fields: Fields): z.ZodType<ScheduledEdit> {
  const edit = <K extends EditKind>(op: K) =>
    z.strictObject({ op: z.literal(op), ...SELECTOR, ...fields[op] }, { error: "must be an edit" });
  return z.discriminatedUnion(
    "op",
    [edit("set"), edit("add"), edit("scale"), edit("project_out"), edit("clamp"), edit("interchange"), edit("rotate"), edit("knockout")],
    { error: (issue) => (issue.code === "invalid_union" ? undefined : "must be an edit") },
  );
}

/** A schema of what `read` returns; a string from it is what the value should have been. */
function readBy<T>(read: (value: unknown) => Exclude<T, string> | string): z.ZodType<Exclude<T, string>> {
  return z.unknown().transform((value, context) => {
    const found = read(value);
    if (typeof found !== "string") return found;
    context.issues.push({ code: "custom", message: found, input: value });
    return z.NEVER;
  });
}

const VALUES = "must be the name of a vector, an array of numbers, or an array of such arrays of one length";

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

type Path = readonly PropertyKey[];

/** `edits[2].positions[0]: must be a whole number, got the number 1.5`. */
function describeIssue(outer: z.core.$ZodIssue, json: unknown, fields: Fields): string {
  const issue = innermost(outer);
  const got = follow(json, issue.path);
  if (issue.code === "unrecognized_keys") {
    const op = isJsonObject(got) ? got["op"] : undefined;
    const takes = isOperation(op, fields) ? `; "${op}" takes ${[...Object.keys(fields[op]), ...Object.keys(SELECTOR)].join(", ")}` : "";
    return `${named(issue.path)}: unknown field ${issue.keys.map((key) => `"${key}"`).join(", ")}${takes}`;
  }
  const message = issue.code === "invalid_union" ? `must be one of ${Object.keys(fields).join(", ")}` : issue.message;
  return `${named(issue.path)}: ${message}, ${got === undefined ? "it is missing" : `got ${describeJson(got)}`}`;
}

/** Of a union's branches, the issue that lies deepest, which is of the branch that was meant. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue;
  const inner = issue.errors.map((branch) => branch[0]!).toSorted((a, b) => b.path.length - a.path.length)[0]!;
  return innermost({ ...inner, path: [...issue.path, ...inner.path] });
}

function isOperation(op: unknown, fields: Fields): op is EditKind {
  return typeof op === "string" && Object.hasOwn(fields, op);
}

function named(path: Path): string {
  return `edits${path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("")}`;
}

function follow(json: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => {
    if (Array.isArray(value)) return (value as unknown[])[key as number];
    return isJsonObject(value) ? value[key as string] : undefined;
  }, json);
}
