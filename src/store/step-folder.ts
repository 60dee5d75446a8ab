/** @file A step's folder: written whole or not at all, read back as later steps, readers and reports need it. */
import { join } from "node:path";
import { internal, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { writeAtomic } from "../formats/atomic.js";
import { writeFolderAtomic } from "../formats/atomic-folder.js";
import { isJsonObject, parseJson, quote, type JsonObject } from "../formats/json.js";
import { readText } from "../formats/json-file.js";
import { parquetBytes, readParquet } from "../formats/parquet.js";
import { readSafetensors } from "../formats/safetensors.js";
import { writeSafetensors } from "../formats/safetensors-writer.js";
import { exactJson } from "./exact-json.js";
import { fileRecord } from "./file-record.js";
import type { RunFile } from "./manifest.js";
import { FILE_NAME, readStepFile, STEP_NAME, type StepJson } from "./records.js";
import type { Earlier, Figure, StepOutput } from "./step-output.js";
import type { Table } from "./table.js";

/** What a step took. */
export interface StepCost {
  readonly ms: number;
  /** Peak resident memory of the process up to the step's end, in bytes. */
  readonly peakMemory: number;
}

/** A step as it is read back: what was left, without state and tensors. */
export interface StoredStep extends Pick<StepJson, "name" | "title" | "ms" | "peakMemory" | "findings" | "notes" | "skipped"> {
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
  /** Names; `readGenerations` gives their rows. */
  readonly generations: readonly string[];
}

const STEP_FILE = "step.json";
const TENSOR_FILE = "tensors.safetensors";
const MOST_TEXT = 2 ** 28;

/** Which step a folder is of. */
type StepHead = Pick<StepJson, "order" | "name" | "title">;

/** Puts the step's folder into `steps`; what it cannot hold is an internal error, and nothing is written. */
export function writeStepFolder(steps: string, head: StepHead, output: StepOutput, cost: StepCost): StepJson {
  checkOutput(head.name, output);
  writeFolderAtomic(join(steps, head.name), (folder) => {
    const names = writeFiles(folder, head.name, output);
    const written = stepJson(head, output, { ...cost, files: names.map((name) => fileRecord(join(folder, name), name)) });
    writeAtomic(join(folder, STEP_FILE), [sized(exactJson(written, head.name, "indented"), `${head.name}/${STEP_FILE}`), "\n"]);
  });
  // As a run that goes on would have it, so that both write the same bytes later.
  return readStepJson(steps, head.name);
}

/** The `step.json` of a step's folder, whose name must be the step's. */
export function readStepJson(steps: string, name: string): StepJson {
  const path = join(steps, name, STEP_FILE);
  const step = readStepFile(path);
  if (step.name !== name) throw new SextantError("format", `${path} is of the step ${quote(step.name)}`);
  return step;
}

/** Every file of the step, by its path in the run's folder. */
export function stepFiles(steps: string, { name, files }: StepJson): RunFile[] {
  const own = fileRecord(join(steps, name, STEP_FILE), STEP_FILE);
  return [own, ...files].map((file) => ({ ...file, path: `steps/${name}/${file.path}` }));
}

/** State, tensors with their axes, and generations of a step. */
export function readEarlier<S = JsonObject>(steps: string, name: string): Earlier<S> {
  const step = readStepJson(steps, name);
  const rows = step.generations.map((generation) => [generation, readGenerations(steps, name, generation)]);
  return {
    state: step.state as S,
    tensors: readTensors(join(steps, name), step.tensors),
    generations: Object.fromEntries(rows) as Earlier["generations"],
    ...(step.skipped !== undefined && { skipped: step.skipped }),
  };
}

/** The rows of a JSONL file of a step. */
export function readGenerations(steps: string, step: string, name: string): readonly JsonObject[] {
  const path = join(steps, step, `${name}.jsonl`);
  const lines = readText(path, { maxBytes: MOST_TEXT }).split("\n");
  if (lines.pop() !== "") throw new SextantError("format", `${path} does not end with a newline`);
  return lines.map((line, index) => {
    const row = parseJson(line, `${path}:${index + 1}`);
    if (!isJsonObject(row)) throw new SextantError("format", `${path}:${index + 1} must be an object`);
    return row;
  });
}

/** What a reader sees of a step. */
export function readStoredStep(steps: string, name: string): StoredStep {
  const folder = join(steps, name);
  const { title, ms, peakMemory, findings, notes, skipped, tables, figures, generations } = readStepJson(steps, name);
  return {
    name,
    title,
    ms,
    peakMemory,
    findings,
    notes,
    ...(skipped !== undefined && { skipped }),
    tables: tables.map((table) => ({ name: table, ...readParquet(join(folder, `${table}.parquet`)) })),
    figures: figures.map((figure) => ({ ...figure, svg: readText(join(folder, `${figure.name}.svg`), { maxBytes: MOST_TEXT }) })),
    generations,
  };
}

function checkOutput(name: string, output: StepOutput): void {
  const { findings, tables = [], figures = [], generations = {}, skipped } = output;
  if (!STEP_NAME.test(name)) throw internal(`${quote(name)} is no name of a step: small letters, digits and -`);
  if (skipped !== undefined && findings.length > 0) throw internal(`step ${name} is skipped and has findings`);
  for (const kind of [tables.map((table) => table.name), figures.map((figure) => figure.name), Object.keys(generations)]) {
    const bad = kind.find((one) => !FILE_NAME.test(one));
    if (bad !== undefined) throw internal(`step ${name}: ${quote(bad)} is no name of a file: letters, digits, - and _`);
    // Some systems do not tell small letters from large ones.
    const twice = kind.find((one, at) => kind.findIndex((other) => other.toLowerCase() === one.toLowerCase()) < at);
    if (twice !== undefined) throw internal(`step ${name}: two of its files are called ${twice}`);
  }
  const stray = figures.find(({ table }) => table !== undefined && !tables.some((own) => own.name === table));
  if (stray) throw internal(`step ${name}: figure ${stray.name} shows table ${stray.table}, which the step lacks`);
}

/** Writes all but `step.json`; the names of the files. */
function writeFiles(folder: string, step: string, { tables = [], figures = [], generations = {}, tensors = {} }: StepOutput): string[] {
  const names: string[] = [];
  const put = (name: string, content: Iterable<string | Uint8Array>): void => {
    writeAtomic(join(folder, name), content);
    names.push(name);
  };
  for (const table of tables) put(`${table.name}.parquet`, [parquetBytes(table)]);
  for (const { name, svg } of figures) put(`${name}.svg`, [sized(svg, `${step}/${name}.svg`)]);
  for (const [name, rows] of Object.entries(generations)) {
    const lines = rows.map((row, index) => `${exactJson(row, `${step}/${name}[${index}]`)}\n`);
    put(`${name}.jsonl`, [sized(lines.join(""), `${step}/${name}.jsonl`)]);
  }
  if (Object.keys(tensors).length === 0) return names;
  writeSafetensors(join(folder, TENSOR_FILE), tensors);
  return [...names, TENSOR_FILE];
}

function stepJson(head: StepHead, output: StepOutput, { ms, peakMemory, files }: StepCost & Pick<StepJson, "files">): StepJson {
  const { findings, state = {}, tables = [], figures = [], generations = {}, tensors = {}, notes = [], skipped } = output;
  return {
    format: "sextant-step",
    version: 1,
    ...head,
    ms,
    peakMemory,
    findings,
    state,
    notes,
    ...(skipped !== undefined && { skipped }),
    tables: tables.map(({ name }) => name),
    figures: figures.map(({ name, title, caption, table }) => ({ name, title, caption, ...(table !== undefined && { table }) })),
    generations: Object.keys(generations),
    tensors: Object.fromEntries(Object.entries(tensors).map(([name, { axes }]) => [name, axes])),
    files,
  };
}

function readTensors(folder: string, axes: StepJson["tensors"]): Readonly<Record<string, Tensor>> {
  if (Object.keys(axes).length === 0) return {};
  const path = join(folder, TENSOR_FILE);
  const found = readSafetensors(path);
  return Object.fromEntries(
    Object.entries(axes).map(([name, names]) => {
      const { data, shape } = found.get(name) ?? missing(path, name);
      return [name, tensor(data, shape, names)];
    }),
  );
}

function missing(path: string, name: string): never {
  throw new SextantError("format", `${path} lacks the tensor ${quote(name)} of ${STEP_FILE}`);
}

/** The text, if it can be read back. */
function sized(content: string, name: string): string {
  if (content.length * 3 <= MOST_TEXT || Buffer.byteLength(content) <= MOST_TEXT) return content;
  throw internal(`${name} would have more than ${MOST_TEXT} bytes`);
}
