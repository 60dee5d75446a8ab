/** @file What can be asked when a subspace is learned: pairs of prompts, a site, a method; and what comes back. All of it is plain data. */
import type { Interval } from "../../base/bootstrap.js";
import type { Tensor } from "../../base/tensor.js";
import type { ShareInterval } from "../../base/wilson.js";
import type { Term } from "../../runtime/gradient/request.js";

/** A prompt that is run, one whose values are put in, and what should follow. */
export interface InterchangePair {
  readonly base: readonly number[];
  readonly source: readonly number[];
  /** Where values are put in, in the base (negative from its end). Default: the last position. */
  readonly positions?: readonly number[];
  /** Where they come from in the source, one for each of `positions`. Default: `positions`, counted in the source. */
  readonly sourcePositions?: readonly number[];
  /** The token that should have the largest logit behind the base once values are exchanged: the pair then counts as right. */
  readonly answer?: number;
  /**
   * What should be high after the exchange, of logits, logprobs or probs: `logits[-1,5]-logits[-1,9]`. Default `logprobs[-1,answer]`. A pair
   * without `answer` counts as right where this is above 0, so that it should be a difference.
   */
  readonly of?: string | readonly Term[];
}

/** One address, and at points with heads some of them (default all): a vector is that of all these heads, one behind another. */
export interface SubspaceSite {
  readonly at: string;
  readonly heads?: readonly number[];
}

/**
 * What a mask chooses among: single elements; heads; the right singular vectors of the training pairs' values at the site; or orthonormal
 * rows given, axes `component, unit`.
 */
export type ComponentChoice =
  | "units"
  | "heads"
  | { readonly kind: "singular_vectors"; readonly most?: number; readonly centre?: boolean }
  | { readonly basis: Tensor<Float32Array> };

/** Settings of training; the defaults of each method stand at `METHOD_DEFAULTS`. */
export interface SubspaceTraining {
  readonly learningRate?: number;
  readonly batchSize?: number;
  readonly epochs?: number;
  /** Epochs without a new best on the validation pairs after which training ends; without validation pairs the last epoch's is kept. */
  readonly patience?: number;
}

/** How a subspace is learned. */
export type SubspaceMethod =
  /** k orthonormal rows, turned freely (Geiger et al. 2023). `learningRate`: radians that rows turn in a step, falling to 0 over the epochs. */
  | ({ readonly kind: "das"; readonly dimension: number } & SubspaceTraining)
  /**
   * A mask m in 0 … 1 on components, all 1 at the start, clamped after each step, rounded at the end. `l1`: price of Σ m. `squared`: a
   * component is exchanged by m², as in the authors' program; true by default.
   */
  | ({ readonly kind: "dcm"; readonly components?: ComponentChoice; readonly l1?: number; readonly squared?: boolean } & SubspaceTraining)
  /** m = sigmoid(θ / T), T falling geometrically from `from` to `to`; θ > 0 is chosen at the end. `l1`: price of Σ m. */
  | ({
      readonly kind: "dbm";
      readonly components?: ComponentChoice;
      readonly l1?: number;
      readonly temperature?: { readonly from: number; readonly to: number };
    } & SubspaceTraining);

export interface SubspaceRequest {
  readonly site: SubspaceSite;
  readonly method: SubspaceMethod;
  readonly train: readonly InterchangePair[];
  /** Decides which epoch is kept, and when training ends. */
  readonly validation?: readonly InterchangePair[];
  /** Pairs that nothing was learned from or chosen by. */
  readonly test: readonly InterchangePair[];
  /** Of starts, orders, placebos and intervals. */
  readonly seed: number;
  /** How many random subspaces, directions and choices each placebo takes. Default 5. */
  readonly placeboSeeds?: number;
}

/** How well exchanging does on the test pairs. */
export interface InterchangeScore {
  /** The share of pairs that come out right (interchange-intervention accuracy), with Wilson's interval. */
  readonly iia: ShareInterval;
  /** Mean of what should be high, with its bootstrap interval over pairs; absent for one pair. */
  readonly metric: number;
  readonly metricInterval?: Interval;
}

/** What should find nothing. */
export type PlaceboKind =
  /** A random subspace of as many dimensions. */
  | "random_subspace"
  /** As many components, drawn at random. */
  | "random_components"
  /** The subspace, mask or rotation that training began with. */
  | "untrained"
  /** The same training on pairs whose answers and metrics were shuffled. */
  | "shuffled_labels"
  /** A step as long as the learned subspace makes, in a random direction. */
  | "equal_norm";

export interface Placebo extends InterchangeScore {
  readonly kind: PlaceboKind;
  readonly seed: number;
  /** Dimensions that are exchanged; absent for a step. */
  readonly rank?: number;
}

/** One epoch. Step 0 is the start. */
export interface SubspaceEpoch {
  readonly epoch: number;
  readonly step: number;
  /** Mean over the epoch's training pairs of what should be high, and price paid; absent at the start. */
  readonly metric?: number;
  readonly penalty?: number;
  readonly temperature?: number;
  /** Dimensions that are exchanged once the mask is rounded. */
  readonly rank: number;
  /** On the validation pairs, the mask rounded; `objective` is −metric + price, the least is kept. */
  readonly validation?: { readonly metric: number; readonly iia: number; readonly objective: number };
}

/** A learned subspace of the site's vectors. */
export interface LearnedSubspace {
  readonly rank: number;
  /** Orthonormal rows, axes `component, unit`; for an `interchange` edit. Absent for units and heads, and at rank 0. */
  readonly basis?: Tensor<Float32Array>;
  /** The components chosen: of heads the numbers in the model, of units those of the site's vector, of vectors their order. */
  readonly selected?: readonly number[];
  /** The mask before rounding. */
  readonly mask?: readonly number[];
}

export interface SubspaceResult {
  readonly kind: SubspaceMethod["kind"];
  readonly site: SubspaceSite;
  /** Elements of a vector at the site. */
  readonly width: number;
  readonly found: LearnedSubspace;
  /** Largest first, of the singular vectors that were chosen among. */
  readonly singularValues?: readonly number[];
  /** The epoch whose subspace was kept. */
  readonly epoch: number;
  readonly history: readonly SubspaceEpoch[];
  readonly test: InterchangeScore;
  /** The whole vector exchanged, and nothing. */
  readonly ceiling: InterchangeScore;
  readonly floor: InterchangeScore;
  readonly placebos: readonly Placebo[];
}
