/**
 * @file Attention of variants of one row, without its projections: queries of each variant, the keys and values that are its own, and
 * those of the unchanged row, which all variants share and which are therefore fed, and multiplied, once. Same points as in a block
 * (`parts/attention.ts`), but edges stand as kv_head, variant, group, query, key, so that no score is moved in memory.
 */
import { GraphBuilder } from "../graph/builder.js";
import type { Axes, Graph, Value } from "../graph/graph.js";
import * as op from "../graph/ops.js";
import { vector } from "./parts/weights.js";
import type { AttentionSpec } from "./spec.js";

/** Names of the graph's inputs. Keys are the shared ones, then the variant's own; `mask`: query, key; `key_positions`: key. */
export const PREFIX_INPUTS = {
  q: "variant_q",
  ownK: "own_k",
  ownV: "own_v",
  sharedK: "shared_k",
  sharedV: "shared_v",
  mask: "mask",
  keyPositions: "key_positions",
} as const;

/** Which keys there are. A kind of key that is absent has no input, since not every kernel takes tensors without elements. */
export type KeyKinds = "own" | "shared" | "both";

const EDGES = ["kv_head", "variant", "group", "query", "key"] as const;
const ROWS = ["kv_head", "variant", "group", "query", "d_head"] as const;

/** Queries (variant, pos, head, d_head, rotary and norms applied), keys and values → `attn_scores`, `pattern` and `z`. */
export function buildPrefixAttention(spec: AttentionSpec, kinds: KeyKinds): Graph {
  const { kvHeads, dHead, heads, scale } = spec;
  const g = new GraphBuilder();
  const input = g.input(PREFIX_INPUTS.q, ["variant", "query", "head", "d_head"]);
  const apart = op.reshape(g, input, [0, 0, kvHeads, heads / kvHeads, dHead], ["variant", "query", "kv_head", "group", "d_head"]);
  const q = op.transpose(g, apart, [2, 0, 3, 1, 4], ROWS);
  const sides = kinds === "both" ? [shared(g), own(g)] : [kinds === "own" ? own(g) : shared(g)];
  const rows = op.shapeOf(g, q, 0, 4);
  const parts = sides.map((side) => {
    const product = op.matmulTransposed(g, side.folded(q, dHead), side.k, { scale, axes: [...side.axes, "key"] });
    return op.reshape(g, product, joined(g, [rows, minusOne(g)]), EDGES);
  });
  const raw = parts.length === 1 ? parts[0]! : op.concat(g, parts, 4, EDGES);
  const scores = g.name("attn_scores", biased(g, raw, spec));
  const pattern = g.name("pattern", patternOf(g, scores, spec));
  const shares = sides.length === 1 ? [pattern] : op.splitBy(g, pattern, lengthsOf(g, sides), { axis: 4, axes: sides.map(() => EDGES) });
  const terms = sides.map((side, i) => {
    const mixed = op.matmul(g, side.folded(shares[i]!, undefined), side.v, [...side.axes, "d_head"]);
    return op.reshape(g, mixed, joined(g, [rows, minusOne(g)]), ROWS);
  });
  const total = terms.length === 1 ? terms[0]! : op.add(g, terms[0]!, terms[1]!);
  const ordered = op.transpose(g, total, [1, 3, 0, 2, 4], ["variant", "query", "kv_head", "group", "d_head"]);
  g.name("z", op.reshape(g, ordered, [0, 0, heads, dHead], ["variant", "query", "head", "d_head"]));
  return g.finish();
}

/** Keys and values of one kind, and how rows are folded to be multiplied with them: `[kv_head, …axes, width]`. */
interface Side {
  readonly k: Value;
  readonly v: Value;
  readonly axes: Axes;
  /** How many keys there are, int64. */
  readonly count: Value;
  /** `x` with its rows folded; `width` of the last axis, undefined for the number of keys. */
  readonly folded: (x: Value, width: number | undefined) => Value;
}

/** Each variant's own: a product for each variant. */
function own(g: GraphBuilder): Side {
  const feed = (id: string): Value => g.input(id, ["variant", "key", "kv_head", "d_head"]);
  const turn = (x: Value): Value => op.transpose(g, x, [2, 0, 1, 3], ["kv_head", "variant", "key", "d_head"]);
  const [k, v] = [feed(PREFIX_INPUTS.ownK), feed(PREFIX_INPUTS.ownV)];
  const axes = ["kv_head", "variant", "group·query"];
  const count = op.shapeOf(g, k, 1, 2);
  const folded = (x: Value, width: number | undefined): Value =>
    op.reshape(g, x, joined(g, [op.shapeOf(g, x, 0, 2), minusOne(g), width === undefined ? count : size(g, width)]), [...axes, "width"]);
  return { k: turn(k), v: turn(v), axes, count, folded };
}

/** The shared ones: one product for all variants. */
function shared(g: GraphBuilder): Side {
  const feed = (id: string): Value => g.input(id, ["key", "kv_head", "d_head"]);
  const turn = (x: Value): Value => op.transpose(g, x, [1, 0, 2], ["kv_head", "key", "d_head"]);
  const [k, v] = [feed(PREFIX_INPUTS.sharedK), feed(PREFIX_INPUTS.sharedV)];
  const axes = ["kv_head", "variant·group·query"];
  const count = op.shapeOf(g, k, 0, 1);
  const folded = (x: Value, width: number | undefined): Value =>
    op.reshape(g, x, joined(g, [op.shapeOf(g, x, 0, 1), minusOne(g), width === undefined ? count : size(g, width)]), [...axes, "width"]);
  return { k: turn(k), v: turn(v), axes, count, folded };
}

function joined(g: GraphBuilder, sizes: readonly Value[]): Value {
  return op.concat(g, sizes, 0, ["axis"]);
}

function size(g: GraphBuilder, length: number): Value {
  return g.constant([length], ["axis"], { dtype: "int64" });
}

function minusOne(g: GraphBuilder): Value {
  return size(g, -1);
}

function lengthsOf(g: GraphBuilder, sides: readonly Side[]): Value {
  return joined(
    g,
    sides.map(({ count }) => count),
  );
}

/** Scores with soft cap, position bias and mask. */
function biased(g: GraphBuilder, raw: Value, spec: AttentionSpec): Value {
  const { heads, kvHeads, softcap, alibi } = spec;
  let scores: Value = softcap === undefined ? raw : op.softcap(g, raw, softcap);
  if (alibi) {
    const slopes = g.constant(alibi, ["kv_head", "one", "group", "one", "one"], { shape: [kvHeads, 1, heads / kvHeads, 1, 1] });
    scores = op.add(g, scores, op.multiply(g, slopes, g.input(PREFIX_INPUTS.keyPositions, ["key"])));
  }
  return op.add(g, scores, g.input(PREFIX_INPUTS.mask, ["query", "key"]));
}

/** Softmax over keys; with sinks, over the keys and one more logit a head, which is dropped afterwards. */
function patternOf(g: GraphBuilder, scores: Value, { sinks, heads, kvHeads }: AttentionSpec): Value {
  if (!sinks) return op.softmax(g, scores);
  const logits = op.reshape(g, vector(g, sinks, "head"), [kvHeads, 1, heads / kvHeads, 1, 1], ["kv_head", "one", "group", "one", "one"]);
  const column = op.expand(g, logits, joined(g, [op.shapeOf(g, scores, 0, 4), size(g, 1)]), EDGES);
  const extended = op.softmax(g, op.concat(g, [scores, column], 4, EDGES));
  return op.slice(g, extended, { axis: 4, start: 0, end: -1 });
}
