/** @file What a training step takes and gives: plain data, so that the loop knows nothing of graphs. */

/** Rows of token ids, and beside each which tokens count in the loss (1 or 0); without a mask all but the first of a row do. */
export interface Batch {
  readonly tokens: readonly (readonly number[])[];
  readonly mask?: readonly (readonly number[])[];
}

/** A parameter: its values, changed in place by the optimiser, and its shape in the checkpoint. */
export interface Parameter {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** Parameters by the name of their tensor. */
export type Parameters = ReadonlyMap<string, Parameter>;

export interface StepResult {
  /** Mean loss of the tokens that count, in nats. */
  readonly loss: number;
  /** How many tokens count. */
  readonly count: number;
  /** By parameter; valid until the next step. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** Mean reward of what the model wrote, where the step learns from rewards. */
  readonly reward?: number;
}

/** Losses and gradients of a model at its current parameters. */
export interface TrainStep {
  readonly parameters: Parameters;
  run(batch: Batch): Promise<StepResult>;
  evaluate(batch: Batch): Promise<Pick<StepResult, "loss" | "count">>;
  close(): Promise<void>;
}
