/** @file Nodes of a layer run, or gone back through, on inputs of their own: what circuits are made of. Requests and results are plain data. */
import type { Tensor } from "../../base/tensor.js";
import type { RunOptions } from "../model.js";

/** The stream that each head's query, key and value is told: batch, head (query heads), pos, d_model. */
export interface HeadInputs {
  readonly q: Tensor<Float32Array>;
  readonly k: Tensor<Float32Array>;
  readonly v: Tensor<Float32Array>;
}

interface At {
  /** Rows of tokens; only their lengths and positions count. */
  readonly tokens: readonly (readonly number[])[];
  readonly layer: number;
}

/** All heads of a layer, or its MLP (its stream: batch, pos, d_model). */
export type NodeRequest = At & ({ readonly heads: HeadInputs } | { readonly mlp: Tensor<Float32Array> });

/**
 * Heads or MLP of a layer, all told the same stream (batch, pos, d_model), and the gradient of a metric by what they make: by `z` (batch, pos,
 * head, d_head) or by `mlp_out`.
 */
export type NodePull = At &
  ({ readonly heads: Tensor<Float32Array> } | { readonly mlp: Tensor<Float32Array> }) & {
    readonly by: Tensor<Float32Array>;
  };

/** The gradient by the stream, through each receiver alone and its norm: of heads as their inputs, of an MLP as its stream. */
export type NodeGradients = HeadInputs | { readonly mlp: Tensor<Float32Array> };

/** What a model must do so that its circuits can be found and run. */
export interface NodeRunner {
  /** What the nodes add to the stream: batch, head, pos, d_model without the bias of W_O; or batch, pos, d_model for an MLP. */
  runNode(request: NodeRequest, options?: RunOptions): Promise<Tensor<Float32Array>>;
  /** How a metric changes with what each receiver of the layer is told. */
  pullNode(request: NodePull, options?: RunOptions): Promise<NodeGradients>;
}
