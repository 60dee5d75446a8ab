/**
 * @file Weights by role, whatever the checkpoint calls and however it stores them: what scores of heads and units by weights alone are made of.
 * Axes are TransformerLens': W_V[head] is `d_model, d_head`, W_O[head] `d_head, d_model`, so that a row vector is multiplied from the left.
 */
import type { Tensor } from "../base/tensor.js";

/** The weights of a model by role, read when asked for; float32 copies, in the scale in which the checkpoint holds them, no norm folded in. */
export interface ModelWeights {
  /** Axes `d_model, d_head`; a key/value head stands for each query head of its group. */
  value(layer: number, head: number): Tensor<Float32Array>;
  /** Axes `d_head, d_model`. */
  output(layer: number, head: number): Tensor<Float32Array>;
  /** Axes `unit, d_model`: what a unit's gate listens to. Refused where the MLP is not gated. */
  gate(layer: number): Tensor<Float32Array>;
  /** Axes `unit, d_model`: what a unit listens to besides (in a plain MLP, at all). */
  up(layer: number): Tensor<Float32Array>;
  /** Axes `unit, d_model`: what a unit writes, its value vector. */
  down(layer: number): Tensor<Float32Array>;
  /** Axes `vocab, d_model`: what a token's logit listens to, behind the last norm. */
  unembedding(): Tensor<Float32Array>;
  /** Axes `vocab, d_model`. */
  embedding(): Tensor<Float32Array>;
  /** Closes the files. */
  close(): void;
}
