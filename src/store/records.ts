/** @file The JSON files of a run's folder: what each holds, and the checks with which it is read back. Fields that are not known are refused. */
import { readJson } from "../formats/json-file.js";
import type { Control, Finding, FindingInterval, Published, Tolerance } from "./finding.js";
import type { EngineRecord, MachineRecord, ModelRecord, RunFile, RunManifest, StepRecord } from "./manifest.js";
import * as shape from "./shape.js";
import type { Figure } from "./step-output.js";

/** What a run is of: known when it begins. */
export type RunHead = Pick<
  RunManifest,
  "study" | "studyVersion" | "question" | "parameters" | "models" | "tokenizers" | "engine" | "seed" | "machine" | "started"
>;

/** `started.json`: the head of the run, and how often it was taken up after a stop. */
export interface StartedRecord extends RunHead {
  readonly format: "sextant-started";
  readonly version: 1;
  readonly resumed: number;
}

/** `step.json`: what a step left, but for what lies in files beside it. */
export interface StepJson {
  readonly format: "sextant-step";
  readonly version: 1;
  /** Its place among the steps, from 0. */
  readonly order: number;
  readonly name: string;
  readonly title: string;
  readonly ms: number;
  readonly peakMemory: number;
  readonly findings: readonly Finding[];
  readonly state: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
  readonly skipped?: string;
  /** Names, each with its `.parquet`. */
  readonly tables: readonly string[];
  readonly figures: readonly Omit<Figure, "svg">[];
  /** Names, each with its `.jsonl`. */
  readonly generations: readonly string[];
  /** Axes of each tensor of `tensors.safetensors`, by name. */
  readonly tensors: Readonly<Record<string, readonly string[]>>;
  /** The files beside this one, by their names. */
  readonly files: readonly RunFile[];
}

/** A finding with the step that found it. */
export interface StoredFinding extends Finding {
  readonly step: string;
}

/** `findings.json`: all findings, in the order of the steps. */
export interface FindingsJson {
  readonly format: "sextant-findings";
  readonly version: 1;
  readonly findings: readonly StoredFinding[];
}

const MOST_BYTES = 2 ** 28;

/** What step names, and names of tables, figures and generations look like; each becomes a name on the disk. */
export const STEP_NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;
export const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** A path below a folder, its parts separated by slashes. */
const BELOW = /^(?!\/)(?!(?:.*\/)?\.{1,2}(?:\/|$))[^\\\0:]+$/;

const { text, number, count, anyObject, oneOf, matching, orNull, optional, listOf, recordOf, objectOf } = shape;

const file = objectOf<RunFile>({
  path: matching(BELOW, "a path below the folder"),
  bytes: count,
  sha256: matching(/^[0-9a-f]{64}$/, "64 digits"),
});
const model = objectOf<ModelRecord>({
  path: text,
  id: text,
  revision: orNull(text),
  family: text,
  parameters: count,
  files: listOf(file),
});
const step = objectOf<StepRecord>({
  name: matching(STEP_NAME, "a step's name"),
  title: text,
  ms: number,
  peakMemory: number,
  files: listOf(file),
  notes: listOf(text),
  skipped: optional(text),
});
const head: shape.Members<RunHead> = {
  study: text,
  studyVersion: number,
  question: text,
  parameters: anyObject,
  models: recordOf(model),
  tokenizers: recordOf(text),
  engine: objectOf<EngineRecord>({ sextant: text, runtime: text, node: text, dtype: text, device: optional(text) }),
  seed: number,
  machine: objectOf<MachineRecord>({ platform: text, arch: text, cpu: text, cores: number, memory: number }),
  started: text,
};
const manifest = objectOf<RunManifest>({
  format: oneOf("sextant-run"),
  version: oneOf(1),
  ...head,
  finished: text,
  resumed: count,
  steps: listOf(step),
  files: listOf(file),
});
const started = objectOf<StartedRecord>({ format: oneOf("sextant-started"), version: oneOf(1), ...head, resumed: count });

const interval = objectOf<FindingInterval>({
  low: number,
  high: number,
  level: number,
  method: oneOf("wilson", "bootstrap", "clopper_pearson", "range"),
});
const finding: shape.Members<Finding> = {
  id: text,
  title: text,
  value: orNull(number),
  unit: text,
  interval: optional(interval),
  n: optional(number),
  controls: optional(listOf(objectOf<Control>({ name: text, value: number, interval: optional(interval) }))),
  published: optional(objectOf<Published>({ value: number, source: text, differs: text })),
  tolerance: objectOf<Tolerance>({ absolute: number, relative: number }),
  note: optional(text),
};
const findings = objectOf<FindingsJson>({
  format: oneOf("sextant-findings"),
  version: oneOf(1),
  findings: listOf(objectOf<StoredFinding>({ ...finding, step: text })),
});
const name = matching(FILE_NAME, "a name of letters, digits, - and _");
const stepJson = objectOf<StepJson>({
  format: oneOf("sextant-step"),
  version: oneOf(1),
  order: count,
  name: matching(STEP_NAME, "a step's name"),
  title: text,
  ms: number,
  peakMemory: number,
  findings: listOf(objectOf<Finding>(finding)),
  state: anyObject,
  notes: listOf(text),
  skipped: optional(text),
  tables: listOf(name),
  figures: listOf(objectOf<Omit<Figure, "svg">>({ name, title: text, caption: text, table: optional(text) })),
  generations: listOf(name),
  tensors: recordOf(listOf(text)),
  files: listOf(file),
});

/** The `run.json` at the path. */
export function readManifestFile(path: string): RunManifest {
  return read(path, manifest);
}

/** The `started.json` at the path. */
export function readStartedFile(path: string): StartedRecord {
  return read(path, started);
}

/** The `findings.json` at the path. */
export function readFindingsFile(path: string): FindingsJson {
  return read(path, findings);
}

/** The `step.json` at the path. */
export function readStepFile(path: string): StepJson {
  return read(path, stepJson);
}

function read<T>(path: string, check: shape.Check<T>): T {
  return check(readJson(path, { maxBytes: MOST_BYTES }), path);
}
