/**
 * @file What can be asked of a backward pass: a number that a run ends in, as data, and the places where its gradient is wanted.
 */
import type { Tensor } from "../../base/tensor.js";
import type { Edit } from "../edit.js";
import type { Cost } from "../model.js";

/**
 * One term of a metric: `weight` · the element at `index` of a value. `of` is `logits`, `logprobs` (log softmax of the logits), `probs`, or an
 * address; `index` follows the axes of the value after `batch`: position (negative from the row's end), then token, unit, or head and unit.
 */
export interface Term {
  readonly weight: number;
  readonly of: string;
  readonly index: readonly number[];
}

/** A gradient that is handed in: of some number that the caller computes, at an address (axes of the point, `batch` first). */
export interface Seed {
  readonly at: string;
  readonly gradient: Tensor<Float32Array>;
}

/**
 * The number whose gradient is wanted. An expression such as `logits[-1,5]-logits[-1,9]` holds for every row, a list gives each row its own.
 * `cross_entropy`: mean of −log p(next token) over all rows' positions but each row's last (or over those where `mask` is 1: `mask[row][i]`
 * says whether token i counts as a prediction). `seeds`: the metric is the caller's own; several may be given at once.
 */
export type Metric =
  | string
  | readonly string[]
  | { readonly terms: readonly (readonly Term[])[] }
  | { readonly loss: "cross_entropy"; readonly mask?: readonly (readonly number[])[] }
  | { readonly seeds: readonly Seed[] };

export interface GradientRequest {
  readonly tokens: readonly (readonly number[])[];
  readonly of: Metric;
  /** Addresses, as in `ForwardRequest.read`. The gradient is that by the value after the edits at its address. */
  readonly at?: readonly string[];
  /** Values to read on the way, as in `ForwardRequest.read`. */
  readonly read?: readonly string[];
  readonly edits?: readonly Edit[];
  /** Names of checkpoint tensors whose gradient is wanted; `true` for all that the model uses. */
  readonly parameters?: readonly string[] | true;
  readonly beyondContext?: boolean;
}

export interface GradientResult {
  /** The metric of each row. For `cross_entropy`, which is one number: each row's share. For `seeds`: empty. */
  readonly values: readonly number[];
  /** By address; axes as in the table of points, zeros past a row's end. Rows do not touch, so each row holds its own metric's gradient. */
  readonly gradients: Readonly<Record<string, Tensor<Float32Array>>>;
  readonly activations: Readonly<Record<string, Tensor>>;
  /** By tensor name, in the shape of the checkpoint; summed over rows. */
  readonly parameters: Readonly<Record<string, Tensor<Float32Array>>>;
  readonly cost: Pick<Cost, "ms" | "device">;
}
