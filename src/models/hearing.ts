/**
 * @file What each head's query, key and value hears apart: a graph from one stream a head and side, not yet normalised, to the heads' own q, k
 * and v; and layers seen so that heads and MLP can be run as nodes of a circuit. Query heads that share a key head each get a key and a
 * value of their own, so that a circuit can tell one of them what its neighbours do not hear; told the same, they are the model's.
 */
import { must, refuse } from "../base/errors.js";
import { GraphBuilder } from "../graph/builder.js";
import type { Graph, Value } from "../graph/graph.js";
import * as op from "../graph/ops.js";
import { adapterMatrix, norm, rowsByOutput, vector } from "./parts/weights.js";
import type { AttentionSpec, LayerSpec, LinearSpec, ModelSpec } from "./spec.js";

/** A head's inputs, in the order of a packed projection. */
export const SIDES = ["q", "k", "v"] as const;

/** One of a head's inputs. */
export type HeadSide = (typeof SIDES)[number];

/** The name of the graph's input that a side's streams are fed to: batch, head, pos, d_model. */
export function heardName(side: HeadSide): string {
  return `heard_${side}`;
}

/** Streams of each head and side → `q`, `k` and `v`: batch, pos, head, d_head, all with as many heads as there are queries. */
export function buildHearing(spec: ModelSpec, layer: number): Graph {
  const g = new GraphBuilder();
  const { attention, ln1 } = must(spec.layers[layer], `layer ${layer}`);
  for (const side of SIDES) {
    const heard = g.input(heardName(side), ["batch", "head", "pos", "d_model"]);
    const normed = ln1 ? norm(g, heard, { ...ln1, size: spec.dModel }) : heard;
    const { weight, bias } = projectionByHead(g, attention, side);
    const flat = op.matmul(g, normed, weight, ["batch", "head", "pos", "d_head"]);
    const made = bias ? op.add(g, flat, bias) : flat;
    g.name(side, op.transpose(g, made, [0, 2, 1, 3], ["batch", "pos", "head", "d_head"]));
  }
  return g.finish();
}

/** A side's projection as head, d_model, d_head, and its bias as head, one, d_head. */
function projectionByHead(g: GraphBuilder, spec: AttentionSpec, side: HeadSide): { weight: Value; bias: Value | undefined } {
  const linear = spec.qkv.kind === "separate" ? spec.qkv[side] : spec.qkv.linear;
  const bias = linear.bias && op.reshape(g, vector(g, linear.bias, "out"), [1, linear.out], ["one", "out"]);
  return { weight: byHead(g, matrixOf(g, linear), { spec, side }), bias: bias && byHead(g, bias, { spec, side }) };
}

/** W as in, out, an adapter's part included. */
function matrixOf(g: GraphBuilder, linear: LinearSpec): Value {
  const base = storedMatrix(g, linear);
  return linear.adapter ? op.add(g, base, adapterMatrix(g, linear.adapter, ["in", "out"])) : base;
}

function storedMatrix(g: GraphBuilder, linear: LinearSpec): Value {
  const { weight, layout, in: input, out, quantised } = linear;
  if (quantised || layout === "out_in") return op.transpose(g, rowsByOutput(g, linear, ["out", "in"]), [1, 0], ["in", "out"]);
  if (layout === "in_out") return g.weight({ ...weight }, ["in", "out"]);
  const moved = op.transpose(g, g.weight({ ...weight }, ["head", "in", "d_head"]), [1, 0, 2], ["in", "head", "d_head"]);
  return op.reshape(g, moved, [input, out], ["in", "out"]);
}

/** The columns of one side, by query head: rows, out → head, rows, d_head. */
function byHead(g: GraphBuilder, matrix: Value, { spec, side }: { spec: AttentionSpec; side: HeadSide }): Value {
  const { heads, kvHeads, dHead } = spec;
  const count = side === "q" ? heads : kvHeads;
  const own = ownColumns(g, matrix, { spec, side });
  const apart = op.reshape(g, own, [0, count, dHead], ["rows", "head", "d_head"]);
  const first = op.transpose(g, apart, [1, 0, 2], ["head", "rows", "d_head"]);
  if (count === heads) return first;
  const shared = Array.from({ length: heads }, (_, head) => Math.floor(head / (heads / count)));
  return op.gather(g, first, g.constant(shared, ["head"], { dtype: "int64" }), { axis: 0, axes: ["head", "rows", "d_head"] as const });
}

function ownColumns(g: GraphBuilder, matrix: Value, { spec, side }: { spec: AttentionSpec; side: HeadSide }): Value {
  const { heads, kvHeads, dHead, qkv } = spec;
  const place = SIDES.indexOf(side);
  if (qkv.kind === "separate") return matrix;
  if (qkv.order === "blocks") {
    const start = [0, heads, heads + kvHeads][place]! * dHead;
    const width = (side === "q" ? heads : kvHeads) * dHead;
    return op.slice(g, matrix, { axis: 1, start, end: start + width });
  }
  const apart = op.reshape(g, matrix, [0, heads, 3, dHead], ["rows", "head", "part", "d_head"]);
  const part = op.slice(g, apart, { axis: 2, start: place, end: place + 1 });
  return op.reshape(g, part, [0, heads * dHead], ["rows", "out"]);
}

/** The model with every query head of a layer having its own key and value: only what comes behind the projections holds for it. */
export function ungrouped(spec: ModelSpec, layer: number): ModelSpec {
  return withLayer(spec, layer, ({ attention, ...rest }) => ({ ...rest, attention: { ...attention, kvHeads: attention.heads } }));
}

/** The model with a layer's MLP behind a stream of its own (`resid_mid`), whatever stands beside it. */
export function mlpApart(spec: ModelSpec, layer: number): ModelSpec {
  return withLayer(spec, layer, (block) => {
    if (block.wiring === "sequential") return block;
    const norm2 = block.ln2 ?? block.ln1;
    return { ...block, wiring: "sequential", ...(norm2 && { ln2: norm2 }) };
  });
}

function withLayer(spec: ModelSpec, layer: number, change: (block: LayerSpec) => LayerSpec): ModelSpec {
  return { ...spec, layers: spec.layers.map((block, index) => (index === layer ? change(block) : block)) };
}

/** Throws where the stream is not the sum of what embedding, heads and MLPs add, or a head's input is not its own. */
export function refuseEntangled(spec: ModelSpec): void {
  spec.layers.forEach((block, layer) => {
    const why = entanglement(block);
    if (why === undefined) return;
    const instead = "patchPaths, or circuits of whole sublayers by hand";
    throw refuse({ what: `cannot take this ${spec.family} model apart into nodes and edges`, why: `layer ${layer}: ${why}`, instead });
  });
}

function entanglement(block: LayerSpec): string | undefined {
  if (block.attnPostNorm) return "a norm behind attention mixes what its heads add";
  if (block.streamNorms) return "norms stand in the stream itself, so it is no sum of what was added";
  if (block.residualFromNorm) return "the stream goes on from a norm's output, so it is no sum of what was added";
  return block.attention.qkNorm?.over === "projection" ? "a norm over all heads' queries mixes them" : undefined;
}
