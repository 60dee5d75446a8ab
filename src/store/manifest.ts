/** @file `run.json`: everything that a run depends on, and what it left where. `docs/runs.md` describes the folder. */
import type { JsonObject } from "../formats/json.js";

/** A file of the run, by its path in the folder. */
export interface RunFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Which model: enough to tell whether another folder holds the same one. */
export interface ModelRecord {
  /** The folder's path as it was given. */
  readonly path: string;
  /** The name by which it is known: the hub's id where it comes from there, else the folder's name. */
  readonly id: string;
  /** The hub's commit; null where the folder does not say. */
  readonly revision: string | null;
  readonly family: string;
  readonly parameters: number;
  /** `config.json` and every file of weights. */
  readonly files: readonly RunFile[];
}

/** One step that was finished. */
export interface StepRecord {
  readonly name: string;
  readonly title: string;
  readonly ms: number;
  /** Peak resident memory of the process up to the step's end, in bytes. */
  readonly peakMemory: number;
  readonly files: readonly RunFile[];
  readonly notes: readonly string[];
  /** Whether the step was left out, and why. */
  readonly skipped?: string;
}

/** What computed. */
export interface EngineRecord {
  readonly sextant: string;
  readonly runtime: string;
  readonly node: string;
  readonly dtype: string;
  /** Where: `cpu`, `webgpu` or `cuda`. Runs of versions before 0.5 do not say; they were made on the CPU. */
  readonly device?: string;
}

/** The machine; for reading, not compared. */
export interface MachineRecord {
  readonly platform: string;
  readonly arch: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory: number;
}

/** The manifest. */
export interface RunManifest {
  readonly format: "sextant-run";
  readonly version: 1;
  readonly study: string;
  readonly studyVersion: number;
  readonly question: string;
  readonly parameters: JsonObject;
  /** By role: `model`, and others that a study compares with, such as `other`. */
  readonly models: Readonly<Record<string, ModelRecord>>;
  /** By the role of the model: SHA-256 of `tokenizer.json`. */
  readonly tokenizers: Readonly<Record<string, string>>;
  readonly engine: EngineRecord;
  readonly seed: number;
  readonly machine: MachineRecord;
  /** ISO 8601. */
  readonly started: string;
  readonly finished: string;
  /** How often the run was taken up after a stop. */
  readonly resumed: number;
  readonly steps: readonly StepRecord[];
  /** `findings.json` and `report.html`. */
  readonly files: readonly RunFile[];
}
