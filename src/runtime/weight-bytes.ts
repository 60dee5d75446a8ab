/** @file How much memory weights take once ONNX Runtime computes with them: the one place that says so, of specs and of graphs. */
import { sizeOf } from "../base/tensor.js";
import type { Graph, Weight } from "../graph/graph.js";

const FLOAT_BYTES = 4;

/** What a session's weights take. */
export interface SessionBytes {
  readonly held: number;
  /** At most while it is made: one weight after another is packed, and the largest is there twice meanwhile. */
  readonly making: number;
}

/** Bytes of a weight as it is computed with: as it is where it is quantised, else in float32. A byte of MXFP4 blocks holds two floats, its scales vanish into them. */
export function computedBytes({ name, shape, holds = "floats" }: Weight): number {
  if (holds === "packed") return sizeOf(shape);
  if (holds === "floats") return FLOAT_BYTES * sizeOf(shape);
  return name.endsWith("_blocks") ? 2 * FLOAT_BYTES * sizeOf(shape) : 0;
}

/**
 * What the session of a graph takes. Tables whose rows are only looked up take nothing: they are used where the system maps the file, page
 * by page, and the system takes such pages back when it needs them.
 */
export function sessionBytes(graph: Graph): SessionBytes {
  const known = KNOWN.get(graph);
  if (known) return known;
  const widened = widenedBlocks(graph);
  const sizes = packedWeights(graph).map((weight) => widened.get(weight) ?? computedBytes(weight));
  const held = sizes.reduce((total, size) => total + size, 0);
  const bytes = { held, making: held + Math.max(0, ...sizes) };
  KNOWN.set(graph, bytes);
  return bytes;
}

/** Told at each run of a session, so counted once a graph. */
const KNOWN = new WeakMap<Graph, SessionBytes>();

/** Quantised weights that become floats inside a graph, for the sake of their gradients or of single heads, and what they then take: a byte of four bits is two floats. */
function widenedBlocks({ nodes, weights }: Graph): Map<Weight, number> {
  const found = nodes.flatMap(({ op, inputs, attributes }) => {
    const weight = op === "Cast" ? weights.get(inputs[0]!) : undefined;
    if (weight?.holds !== "packed") return [];
    const floats = attributes["to"] === INT32 ? 2 : 1;
    return [[weight, floats * FLOAT_BYTES * sizeOf(weight.shape)] as const];
  });
  return new Map(found);
}

/** ONNX's number for int32, the places in a table of pairs. */
const INT32 = 6;

/** The weights of a graph that its session holds. */
export function packedWeights({ nodes, weights }: Graph): Weight[] {
  const multiplied = new Set(nodes.flatMap(({ op, inputs }) => (op === "Gather" ? inputs.slice(1) : inputs)));
  return [...weights].flatMap(([id, weight]) => (multiplied.has(id) ? [weight] : []));
}
