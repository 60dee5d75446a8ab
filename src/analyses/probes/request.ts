/**
 * @file What is asked of a probe and what comes back: plain data. A probe is a linear map from a model's activations to a score a
 * class, score = W x + b, fitted to labelled examples (Alain & Bengio 2016, arXiv 1610.01644).
 */
import type { Interval, IntervalOptions } from "../../base/bootstrap.js";
import type { Calibration } from "../../base/calibration.js";
import type { Tensor } from "../../base/tensor.js";
import type { GroupId, ProbeSplit, SplitShares } from "./split.js";

/** One strength, or several of which the validation examples choose, in each layer on its own. */
export type Strength = number | readonly number[];

/** The settings of training with AdamW; absent ones are those of the self-verification paper. */
export interface TrainingOptions {
  /** 1e-4 by default. */
  readonly learningRate?: number;
  /** 0.9 and 0.99 by default. */
  readonly betas?: readonly [number, number];
  /** 0.01 by default. */
  readonly weightDecay?: number;
  /** Examples a step, 128 by default. */
  readonly batchSize?: number;
  /** Steps between two looks at the validation examples, 50 by default. */
  readonly evaluateEvery?: number;
  /** Looks without a new best after which training ends, 10 by default. */
  readonly patience?: number;
  /** 20 000 by default. */
  readonly maxSteps?: number;
}

/** How a probe is fitted; `n` is the number of training examples, w and x are those after standardising. */
export type ProbeMethod =
  /** Two classes: mean cross-entropy + l2/2 ‖w‖², with w = W₁ − W₀ (scikit-learn's C = 1 / (n · l2)). l2: 0.01 by default. */
  | { readonly kind: "logistic"; readonly l2?: Strength }
  /** Mean cross-entropy + l2/2 ‖W‖². l2: 0.01 by default. */
  | { readonly kind: "softmax"; readonly l2?: Strength }
  /** Cross-entropy by AdamW in minibatches, all layers together, no bias, start N(0, 1/d), the best on the validation examples is kept. */
  | ({ readonly kind: "softmax_adamw" } & TrainingOptions)
  /** Mean ‖one-hot − W x − b‖² + l2 ‖W‖². l2: 0.01 by default. */
  | { readonly kind: "ridge"; readonly l2?: Strength }
  /** Wᵢ = mean of class i − mean of the class means; the nearest class mean is called. */
  | { readonly kind: "difference_of_means" }
  /** Gaussian classes with one covariance (1 − s) S + s tr(S)/d I; s in 0 … 1, by default Ledoit and Wolf's (2004). */
  | { readonly kind: "lda"; readonly shrinkage?: Strength | "ledoit_wolf" };

/** The methods with one answer, whatever the seed. */
export type DeterminedMethod = Exclude<ProbeMethod, { kind: "softmax_adamw" }>;

/** The kinds of probe. */
export type ProbeKind = ProbeMethod["kind"];

/** Labelled activations, and what to fit to them. */
export interface ProbeRequest {
  /** Axes `example, d_model`, or `example, layer, d_model` for a probe a layer. */
  readonly examples: Tensor<Float32Array>;
  /** The class of each example, 0 … classes − 1; every class occurs. */
  readonly labels: ArrayLike<number>;
  /** What belongs together, such as the prompt of each example: never on two sides. By default each example stands alone. */
  readonly groups?: readonly GroupId[];
  readonly method: ProbeMethod;
  /** The sides, or their shares: 0.6, 0.2 and 0.2 by default. */
  readonly split?: ProbeSplit | SplitShares;
  /** Of the split, of training, and of intervals. */
  readonly seed: number;
  /**
   * Whether elements are divided by their deviation over the training examples before the fit; the weights that come back are for activations
   * as they are. False by default for difference_of_means, so that its direction is
   * that difference, and for softmax_adamw, as in the paper; true for the others.
   */
  readonly standardise?: boolean;
  /** Whether to fit a temperature on the validation examples; false by default. Calibration then speaks of softmax(score / temperature). */
  readonly temperature?: boolean;
  /** How accuracy and AUROC on the test examples get their intervals, drawing groups whole; `none` leaves them out. */
  readonly interval?: Omit<IntervalOptions, "seed"> | "none";
}

/** A linear read-out: score = W x + b, and the class of the highest score is called. */
export interface Probe {
  readonly kind: ProbeKind;
  /** Axes `class, d_model`; for activations as they are. With two classes W₀ = −W₁, but for `softmax_adamw`. */
  readonly weights: Tensor<Float32Array>;
  /** Axis `class`. */
  readonly bias: Tensor<Float32Array>;
  /** Probabilities are softmax(score / temperature). Absent: 1. */
  readonly temperature?: number;
}

/** How well a probe does on one side. Shares are 0 … 1. */
export interface SideReport {
  readonly examples: number;
  readonly groups: number;
  readonly accuracy: number;
  /** The mean over the classes that occur of the share called rightly: 1 / classes is chance. */
  readonly balancedAccuracy: number;
  /** One class against the rest, the mean over classes; absent where a class does not occur. */
  readonly auroc?: number;
}

/** How well it does on examples that nothing was fitted to or chosen by. */
export interface TestReport extends SideReport {
  /** Bootstrap over groups; absent for a single group, and where none were asked for. */
  readonly accuracyInterval?: Interval;
  readonly balancedAccuracyInterval?: Interval;
  readonly aurocInterval?: Interval;
  /** One class against the rest, for each class. */
  readonly classAuroc: readonly (number | undefined)[];
  /** Absent for scores that are no log-probabilities (ridge, difference of means) and were given no temperature. */
  readonly calibration?: Calibration;
}

/** One strength that was tried, with its loss on the validation examples. */
export interface Candidate {
  readonly strength: number;
  readonly loss: number;
}

/** The probe of one layer. */
export interface LayerProbe {
  /** The index on the axis `layer` of the examples; 0 where there is none. */
  readonly layer: number;
  readonly probe: Probe;
  /** The l2 or shrinkage that was used. */
  readonly strength?: number;
  /** What was tried, in the order given; the least loss is taken, of equals the stronger. Empty where there was no choice. */
  readonly candidates: readonly Candidate[];
  readonly train: SideReport;
  /** Absent where there are no validation examples. */
  readonly validation?: SideReport;
  readonly test: TestReport;
}

/** The probes of all layers, in order, with the sides they were fitted and tested on. */
export interface ProbeResult {
  readonly layers: readonly LayerProbe[];
  readonly split: ProbeSplit;
  /** Of training with AdamW: the step whose weights were kept, and the mean validation loss over layers at each look. */
  readonly training?: { readonly step: number; readonly losses: readonly number[] };
}
