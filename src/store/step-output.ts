/** @file What a step of a study leaves in a run's folder, and what later steps read back from there. */
import type { Tensor } from "../base/tensor.js";
import type { JsonObject } from "../formats/json.js";
import type { Finding } from "./finding.js";
import type { Table } from "./table.js";

/** A picture of a step, with the numbers it shows, for readers that cannot see it. */
export interface Figure {
  /** A file name without its ending. */
  readonly name: string;
  readonly title: string;
  /** What there is to see, in a sentence or two. */
  readonly caption: string;
  readonly svg: string;
  /** The step's table that the figure shows, by name. */
  readonly table?: string;
}

/** What a step leaves. */
export interface StepOutput {
  readonly findings: readonly Finding[];
  /** Plain data for later steps. */
  readonly state?: JsonObject;
  readonly tables?: readonly Table[];
  /** For later steps and for readers, by name: one safetensors file. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
  /** By file name without its ending: one JSONL file each. */
  readonly generations?: Readonly<Record<string, readonly JsonObject[]>>;
  readonly figures?: readonly Figure[];
  /** What a reader must know: caveats, differences from the paper, what was left out. */
  readonly notes?: readonly string[];
  /** The step does not apply here, and why. Then there are no findings. */
  readonly skipped?: string;
}

/** What an earlier step left, as read from the folder. */
export interface Earlier<S = JsonObject> {
  readonly state: S;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly generations: Readonly<Record<string, readonly JsonObject[]>>;
  readonly skipped?: string;
}
