/** @file What training asks of each way to learn a subspace: a change to make, a place for its slopes, and a step. */

/** A subspace as it is used in the end. */
export interface Settled {
  /** Dimensions exchanged. */
  readonly rank: number;
  /** What is added to a base vector, given the difference to the source's. */
  readonly change: (difference: Float64Array) => Float64Array;
  /** The price paid for it. */
  readonly penalty: number;
  /** Orthonormal rows, where it is made of directions. */
  readonly rows?: readonly Float64Array[];
  /** Components chosen, by name, and the mask before rounding. */
  readonly selected?: readonly number[];
  readonly mask?: readonly number[];
}

/** One under training. Sums of slopes are those of the loss by the changed vector. */
export interface Learner {
  readonly change: (difference: Float64Array) => Float64Array;
  /** Adds a vector's part to the gradient. */
  readonly add: (slope: Float64Array, difference: Float64Array) => void;
  /** Takes a step down the gradient that was added up, and forgets it. `progress`: share of the steps done, 0 to below 1. */
  readonly step: (progress: number) => void;
  /** The price of the mask as it is. */
  readonly penalty: () => number;
  readonly temperature?: () => number;
  /** The subspace as it would be used now: a copy that training does not change. */
  readonly settle: () => Settled;
}
