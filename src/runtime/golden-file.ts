/**
 * @file A golden folder: what `transformers` gave for one checkpoint, as plain data. `golden.json` says which inputs were run,
 * `golden.safetensors` holds what came out. Two kinds of folder: of a small model (one input with every point, edits, a
 * continuation) and of a real one (several prompts, each with some points and a greedy continuation).
 */
import { join } from "node:path";
import { must, SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { describeJson, isJsonObject, type JsonObject } from "../formats/json.js";
import { readJsonObject } from "../formats/json-file.js";
import { readSafetensors } from "../formats/safetensors.js";
import { isPointName } from "../models/points.js";
import type { Edit } from "./edit.js";
import { parseEdits } from "./parse-edits.js";

/** One input and what the points and logits were. */
export interface GoldenRun {
  readonly name: string;
  readonly tokens: readonly (readonly number[])[];
  /** By address. */
  readonly points: Readonly<Record<string, Tensor>>;
  /** Axes `batch, pos, vocab`: of all positions, or of as many last ones as there are. */
  readonly logits?: Tensor;
  readonly edits: readonly Edit[];
  /** A longer row, beside which the run must give the same. */
  readonly beside?: readonly number[];
}

/** A greedy continuation that did not stop at an end token. */
export interface GoldenContinuation {
  readonly name: string;
  readonly prompts: readonly (readonly number[])[];
  readonly tokens: readonly (readonly number[])[];
  /** Axes `batch, step, vocab`. */
  readonly logits?: Tensor;
  /** The smallest distance between the best and the second-best logit on the way. */
  readonly smallestGap?: number;
}

/** All that a folder holds. */
export interface Golden {
  readonly runs: readonly GoldenRun[];
  readonly continuations: readonly GoldenContinuation[];
}

type Tensors = ReadonlyMap<string, Tensor>;

/** The golden in a folder. */
export function readGolden(folder: string): Golden {
  const path = join(folder, "golden.json");
  const json = readJsonObject(path);
  const tensors = readSafetensors(join(folder, "golden.safetensors"));
  if (Array.isArray(json["prompts"])) return ofPrompts(json["prompts"], tensors, path);
  return ofOneInput(json, tensors, path);
}

function ofOneInput(json: JsonObject, tensors: Tensors, path: string): Golden {
  const tokens = tokenRows(json["tokens"], `${path}: tokens`);
  const edits = isJsonObject(json["edits"]) ? json["edits"] : {};
  const plain: GoldenRun = { name: "", tokens, points: pointsOf(tensors, ""), edits: [], ...logitsAt(tensors, "logits") };
  const edited = Object.entries(edits).map(([name, list]): GoldenRun => {
    const parsed = editsOf(list, tensors, `${path}: ${name}`);
    return { name: `edited: ${name}`, tokens, points: {}, edits: parsed, logits: found(tensors, `edited.${name}.logits`, path) };
  });
  const [made, short] = [tensors.get("generated.tokens"), tensors.get("short.input_ids")];
  const continuation = made && { name: "greedy", prompts: tokens, tokens: rowsOf(made), ...logitsAt(tensors, "generated.logits") };
  return {
    runs: [plain, ...edited, ...(short ? shortRuns(short, tensors, must(tokens[0], "a row")) : [])],
    continuations: continuation ? [continuation] : [],
  };
}

function editsOf(list: unknown, tensors: Tensors, where: string): readonly Edit[] {
  try {
    return parseEdits(list, tensors);
  } catch (error) {
    throw new SextantError("format", `${where}: ${(error as Error).message}`, { cause: error });
  }
}

/** A short row alone, and beside a longer one. */
function shortRuns(ids: Tensor, tensors: Tensors, beside: readonly number[]): GoldenRun[] {
  const run = { tokens: rowsOf(ids), points: {}, edits: [], ...logitsAt(tensors, "short.logits") };
  return [
    { name: "short, alone", ...run },
    { name: "short, padded beside a longer row", ...run, beside },
  ];
}

function ofPrompts(prompts: readonly unknown[], tensors: Tensors, path: string): Golden {
  const parts = prompts.map((prompt, index) => {
    const where = `${path}: prompts[${index}]`;
    if (!isJsonObject(prompt)) throw new SextantError("format", `${where} must be an object, got ${describeJson(prompt)}`);
    const rows = tokenRows([prompt["tokens"]], `${where}.tokens`);
    const name = `prompt ${index}`;
    const gap = prompt["smallest_gap"];
    const run = { name, tokens: rows, points: pointsOf(tensors, `${index}.`), edits: [], ...logitsAt(tensors, `${index}.logits_last4`) };
    const greedy = prompt["greedy"] === undefined ? undefined : tokenRows([prompt["greedy"]], `${where}.greedy`);
    const continuation = greedy && { name: `greedy, ${name}`, prompts: rows, tokens: greedy };
    return { run, continuation: continuation && { ...continuation, ...(typeof gap === "number" && { smallestGap: gap }) } };
  });
  return { runs: parts.map(({ run }) => run), continuations: parts.flatMap(({ continuation }) => continuation ?? []) };
}

/** The tensors named by an address, without the prefix. */
function pointsOf(tensors: Tensors, prefix: string): Record<string, Tensor> {
  const named = [...tensors]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value] as const);
  return Object.fromEntries(named.filter(([name]) => /^[a-z]\w*(\.\d+)?$/.test(name) && isPoint(name)));
}

function isPoint(address: string): boolean {
  const name = address.split(".")[0] ?? "";
  return isPointName(name) && name !== "logits";
}

function logitsAt(tensors: Tensors, name: string): { logits?: Tensor } {
  const logits = tensors.get(name);
  return logits ? { logits } : {};
}

function found(tensors: Tensors, name: string, path: string): Tensor {
  const value = tensors.get(name);
  if (!value) throw new SextantError("format", `${path} speaks of ${name}, which golden.safetensors lacks`);
  return value;
}

function tokenRows(value: unknown, where: string): number[][] {
  const isRow = (row: unknown): row is number[] => Array.isArray(row) && row.length > 0 && row.every((token) => Number.isInteger(token));
  if (Array.isArray(value) && value.length > 0 && value.every(isRow)) return value;
  throw new SextantError("format", `${where} must be rows of token ids, got ${describeJson(value)}`);
}

/** Rows of a matrix of whole numbers. */
function rowsOf({ data, shape }: Tensor): number[][] {
  const [rows = 0, width = 0] = shape;
  return Array.from({ length: rows }, (_, row) => [...data.subarray(row * width, (row + 1) * width)]);
}
