/**
 * @file A whole model as one graph: embedding, blocks, last norm and unembedding, for training, where all weights change at every step and
 * all is computed at once. Rows of the stream are picked before the unembedding, so that only what counts is unembedded.
 */
import { must } from "../base/errors.js";
import { GraphBuilder } from "../graph/builder.js";
import type { Graph, Value } from "../graph/graph.js";
import * as op from "../graph/ops.js";
import { buildBlock, buildEmbedding, buildFinalNorm, buildUnembedding, FUSED, STREAM } from "./block.js";
import type { ModelSpec } from "./spec.js";

/** Names of the inputs that a whole model has besides those of its blocks. */
export const WHOLE_INPUTS = {
  /** Batch, pos and d_model, int64: three elements. */
  shape: "stream_shape",
  /** Which rows of the stream are unembedded: `[row, one]`, int64. */
  picked: "picked",
} as const;

/** The name of a layer's mask among the inputs: layers whose windows differ need masks of their own. */
export function maskInput({ layers }: ModelSpec, layer: number): string {
  return `mask_${must(layers[layer], `layer ${layer}`).attention.window ?? "all"}`;
}

/** The builder with a whole model in it, and the logits of the picked rows: row, vocab. */
export function buildWhole(spec: ModelSpec): { readonly g: GraphBuilder; readonly logits: Value } {
  const g = new GraphBuilder();
  const embedded = g.splice(buildEmbedding(spec), "embedding/", {});
  const shape = g.input(WHOLE_INPUTS.shape, ["axis"], "int64");
  let stream = must(embedded.get(STREAM.embedded), "the embedded stream");
  for (const layer of spec.layers.keys()) {
    const resid = op.reshape(g, stream, shape, ["batch", "pos", "d_model"]);
    const mask = g.input(maskInput(spec, layer), ["batch", "one", "query", "key"]);
    const block = g.splice(buildBlock(spec, layer, { ...FUSED, past: "none" }), `block_${layer}/`, { [STREAM.in]: resid, mask });
    stream = must(block.get("resid_post"), `the stream behind block ${layer}`);
  }
  const picked = g.input(WHOLE_INPUTS.picked, ["row", "one"], "int64");
  const rows = op.gatherNd(g, stream, picked, ["token", "d_model"]);
  const norm = buildFinalNorm(spec);
  const normed = norm ? must(g.splice(norm, "final/", { [STREAM.in]: rows }).get("final_normalized"), "the last norm") : rows;
  const end = g.splice(buildUnembedding(spec), "unembedding/", { [STREAM.in]: normed });
  return { g, logits: must(end.get("logits"), "logits") };
}

/** Lookups of rows in weights that an input says, by the id of their result: which weight, and which input. */
export function lookupsOf(graph: Graph): ReadonlyMap<string, { readonly weight: string; readonly indices: string }> {
  const fed = new Set(graph.inputs.map(({ id }) => id));
  const found = graph.nodes.filter(
    ({ op: name, inputs: [table = "", rows = ""] }) => name === "Gather" && graph.weights.has(table) && fed.has(rows),
  );
  return new Map(found.map(({ inputs: [weight = "", indices = ""], outputs: [id = ""] }) => [id, { weight, indices }] as const));
}
