/**
 * @file The interface that every execution place implements: in this process, in a worker thread, on another machine.
 * Requests and results are plain data and typed arrays, never closures, so that an experiment can be stored and re-run.
 */
import type { Tensor } from "../base/tensor.js";
import type { ModelSpec } from "../models/spec.js";
import type { Device } from "./device.js";
import type { Edit, ScheduledEdit } from "./edit.js";
import type { NodeRunner } from "./circuit/request.js";
import type { GradientRequest, GradientResult } from "./gradient/request.js";
import type { SweepForecast, SweepOptions, SweepRequest, SweepResult } from "./sweep/request.js";

/** Which logits to compute. Default: the last position of each row, every token. */
export interface LogitsRequest {
  /** `all`, `last`, or indices (negative from each row's end). */
  readonly positions?: "all" | "last" | readonly number[];
  /** Only these vocabulary columns, in this order. */
  readonly tokens?: readonly number[];
}

/** One forward pass: rows of tokens of any lengths, what to read, what to edit. */
export interface ForwardRequest {
  readonly tokens: readonly (readonly number[])[];
  /** Addresses; `resid_post.*` for every layer, `all` for every point. TransformerLens and nnterp names are understood. */
  readonly read?: readonly string[];
  readonly edits?: readonly Edit[];
  /** `false`: no logits, and no block after the last read is run. */
  readonly logits?: LogitsRequest | false;
  /** Start at block `layer` from its `resid_pre` (axes `batch, pos, d_model`) instead of from the embedding. */
  readonly resume?: { readonly layer: number; readonly resid: Tensor<Float32Array> };
  /** Allow more positions than the model was made for, where its position embedding can express them. */
  readonly beyondContext?: boolean;
}

/** Values by address (axes as in the table of points; zeros past a row's end), logits, and what the run cost. */
export interface ForwardResult {
  readonly activations: Readonly<Record<string, Tensor>>;
  /** Axes `batch, pos, vocab` (or the positions and tokens asked for, in their order). */
  readonly logits?: Tensor<Float32Array>;
  /** Tokens in each row. */
  readonly lengths: readonly number[];
  readonly cost: Cost;
}

/** What a run is expected to cost, and afterwards what it did. */
export interface Forecast {
  /** Multiply-adds × 2 of all matrix products. */
  readonly flops: number;
  /** Bytes of the activations and logits that will be returned. */
  readonly resultBytes: number;
  /** Bytes of weights (float32): of the blocks that run, and of both ends of the model. */
  readonly weightBytes: number;
  /** Bytes of the key/value cache at its largest (generation only). */
  readonly cacheBytes: number;
  /** Expected time, from the speed seen in earlier runs of this model; absent before the first. */
  readonly ms?: number;
}

export interface Cost {
  readonly ms: number;
  /** Where it was computed. */
  readonly device: Device;
  readonly forecast: Forecast;
}

/** How the next token is chosen. Default: the largest logit. */
export interface Sampling {
  /** 0: greedy. Default 0, or 1 when another field is given. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  /** Default 0. A seed gives a prompt the same tokens whatever rows stand beside it; equal prompts in one request draw apart. */
  readonly seed?: number;
}

export interface GenerateRequest {
  readonly tokens: readonly (readonly number[])[];
  readonly maxNew: number;
  readonly sampling?: Sampling;
  /** Token ids that end a row (they are kept). Default: the model's end tokens. */
  readonly stopTokens?: readonly number[];
  /** Texts that end a row, compared with the decoded continuation; needs a `decode` in the options. */
  readonly stopStrings?: readonly string[];
  readonly edits?: readonly ScheduledEdit[];
  /** Points to read at every position of prompt and continuation (the last new token is never run). `all` leaves out the logits. */
  readonly read?: readonly string[];
  /** Return the logits that each new token was chosen from. */
  readonly logits?: boolean;
  /** Recompute everything at each step instead of using the key/value cache: slow, for checking. */
  readonly recompute?: boolean;
  readonly beyondContext?: boolean;
}

export interface GenerateResult {
  /** The new tokens of each row. */
  readonly tokens: readonly (readonly number[])[];
  /** Why each row ended. */
  readonly finish: readonly ("length" | "stop_token" | "stop_string")[];
  /** Axes `batch, step, vocab`; zeros past a row's end. */
  readonly logits?: Tensor<Float32Array>;
  readonly activations: Readonly<Record<string, Tensor>>;
  /** Positions read in each row. */
  readonly lengths: readonly number[];
  readonly cost: Cost;
}

/** One new token of one row, as it is chosen. */
export interface GeneratedToken {
  readonly row: number;
  readonly step: number;
  readonly token: number;
}

/** A run stopped at an address: plain data, to be changed and continued by `runFrom`. */
export interface PausedRun {
  readonly address: string;
  readonly request: ForwardRequest;
  /** The value at the address; replace it to change the run. */
  readonly value: Tensor;
  /** What else the rest of the run needs, by internal name. */
  readonly rest: Readonly<Record<string, Tensor>>;
  /** What was read on the way. */
  readonly activations: Readonly<Record<string, Tensor>>;
}

/** Progress of a long run: `done` of `total` blocks or tokens. */
export interface Progress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface GenerateOptions extends RunOptions {
  readonly onToken?: (token: GeneratedToken) => void;
  /** Text of token ids, at once or as a promise; needed for `stopStrings`. */
  readonly decode?: (ids: readonly number[]) => string | Promise<string>;
}

/** A loaded model. */
export interface Model extends NodeRunner {
  readonly spec: ModelSpec;
  forward(request: ForwardRequest, options?: RunOptions): Promise<ForwardResult>;
  generate(request: GenerateRequest, options?: GenerateOptions): Promise<GenerateResult>;
  /** Runs to an address and stops there. */
  runUntil(address: string, request: ForwardRequest, options?: RunOptions): Promise<PausedRun>;
  /** Continues a stopped run with `value` in place of what stood at its address. */
  runFrom(paused: PausedRun, value: Tensor, options?: RunOptions): Promise<ForwardResult>;
  /** The gradient of a number that a run ends in, by values on the way and by parameters. */
  gradient(request: GradientRequest, options?: RunOptions): Promise<GradientResult>;
  forecast(request: ForwardRequest | GenerateRequest): Forecast;
  /** Measures many counterfactual runs of pairs of prompts. */
  sweep(request: SweepRequest, options?: SweepOptions): Promise<SweepResult>;
  forecastSweep(request: SweepRequest, options?: Pick<SweepOptions, "measures" | "memoryBudget">): SweepForecast;
  close(): Promise<void>;
}
