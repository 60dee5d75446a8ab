/**
 * @file A sweep of counterfactuals as data: prompt pairs, what to change in which run, what to measure. Everything but a user's own
 * measure can be printed, stored and sent elsewhere. `src/analyses/sweeps` makes the usual grids of counterfactuals.
 */
import type { Tensor } from "../../base/tensor.js";
import type { Operation, Positions, Selector, Values } from "../edit.js";
import type { Cost, RunOptions } from "../model.js";

/** Token ids that count as one answer. */
export type Answer = number | readonly number[];

/** One or several positions, negative ones counted from the prompt's end. */
export type Span = number | readonly number[];

/** Two prompts that differ in what is studied. */
export interface SweepPair {
  readonly clean: readonly number[];
  /** Absent where nothing is taken from another run: ablations and knock-outs. */
  readonly corrupted?: readonly number[];
  /** What the clean prompt makes the model say. */
  readonly answer?: Answer;
  /** What the corrupted prompt makes it say. */
  readonly wrong?: Answer;
  /** Names of positions, the same in both prompts or one for each; `end` is the measured one. */
  readonly positions?: Readonly<Record<string, Span | { readonly clean: Span; readonly corrupted: Span }>>;
}

/** Positions by index, by name, or every n-th. */
export type NamedPositions = readonly (number | string)[] | Exclude<Positions, readonly number[]>;

/** Where an edit of a sweep applies; what is absent means all. */
export interface SweepSelector extends Pick<Selector, "heads" | "units"> {
  readonly positions?: NamedPositions;
  readonly queries?: readonly (number | string)[];
  readonly keys?: readonly (number | string)[];
}

/** Takes the value from another run: x becomes source, or with a basis B of orthonormalised rows x + Bᵀ B (source − x). */
export interface Patch {
  readonly op: "patch";
  /** `source` (default): the other prompt of the pair. `base`: the same prompt unedited, which undoes what earlier edits led to. */
  readonly run?: "source" | "base";
  /** Positions in that run, one for each of `positions`; default: the same ones. */
  readonly from?: readonly (number | string)[];
  readonly basis?: Values;
}

/** One edit of a counterfactual. A tensor with a leading `batch` axis has one value for each pair. */
export type SweepEdit = { readonly at: string } & SweepSelector & (Operation | Patch);

/** One counterfactual: what is changed together in one run. */
export interface Counterfactual {
  readonly edits: readonly SweepEdit[];
  /** Addresses held at the unedited run's values, at all positions: `attn_out.3` keeps that attention from noticing the edits. */
  readonly freeze?: readonly string[];
}

/** What is measured without being told how. Formulas in `metrics.ts`. */
export type MetricName = "logit_diff" | "log_prob" | "prob" | "rank" | "kl" | "accuracy";

export interface SweepRequest {
  readonly pairs: readonly SweepPair[];
  readonly counterfactuals: readonly Counterfactual[];
  /** Names of metrics, and of measures in the options. */
  readonly metrics: readonly string[];
  /** `denoise` edits the corrupted run and takes values from the clean one; `noise` the other way. Default: denoise, where there are two. */
  readonly direction?: "denoise" | "noise";
  /** The position whose logits are measured. Default: the last one. */
  readonly at?: number | string;
  /** Addresses to read in each counterfactual run, after its edits. */
  readonly read?: readonly string[];
  readonly beyondContext?: boolean;
}

/** Where a user's measure is taken. */
export interface MeasuredAt {
  readonly pair: number;
  /** Absent in the two runs without edits. */
  readonly counterfactual?: number;
}

/** A finished part of a sweep: values of some cells, row-major over `metric, cell`. Plain data, to be kept and handed in again. */
export interface SweepPart {
  readonly index: number;
  readonly values: readonly number[];
  /** The unedited runs of the part's pairs, row-major over `metric, pair`; `null` where there is none. */
  readonly clean: readonly number[];
  readonly corrupted: readonly (number | null)[];
}

export interface SweepOptions extends RunOptions {
  /** Measures of one's own, by name: from the logits (vocab) at the measured position to a number, at once or as a promise. */
  readonly measures?: Readonly<Record<string, (logits: Float32Array, at: MeasuredAt) => number | Promise<number>>>;
  /** Parts that an earlier, interrupted sweep of the same request finished. */
  readonly done?: readonly SweepPart[];
  /** Told of each part as soon as it is finished. */
  readonly onPart?: (part: SweepPart) => void;
  /** Most bytes to work in. Default: 1 GiB, for matrix products at full speed. */
  readonly memoryBudget?: number;
}

/** One metric of a sweep, raw. */
export interface SweptMetric {
  /** One value a pair. */
  readonly clean: Float64Array;
  readonly corrupted?: Float64Array;
  /** Row-major over `counterfactual, pair`. */
  readonly values: Float64Array;
}

/** What a sweep is expected to cost. */
export interface SweepForecast {
  /** Counterfactual runs, over all pairs. */
  readonly cells: number;
  /** Those of them that cannot change anything, and are not run. */
  readonly unchanged: number;
  /** Parts that the sweep is done in. */
  readonly parts: number;
  /** Multiply-adds × 2. */
  readonly flops: number;
  /** What full runs of every cell would take. */
  readonly naiveFlops: number;
  /** Most bytes worked in at once, weights not counted. */
  readonly workingBytes: number;
  /** Expected time, from the speed seen in earlier runs of this model; absent before the first. */
  readonly ms?: number;
}

export interface SweepResult {
  readonly metrics: Readonly<Record<string, SweptMetric>>;
  /** What was read, by address: axes `counterfactual, pair`, then those of the point without its batch. */
  readonly activations: Readonly<Record<string, Tensor>>;
  readonly cost: Pick<Cost, "ms" | "device"> & { readonly flops: number; readonly forecast: SweepForecast };
}
