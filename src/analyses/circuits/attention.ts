/**
 * @file Queries and keys by AtP* (Kramár et al. 2024, arXiv 2403.00745, section 3.1): the pattern with a patched query or key is computed exactly,
 * softmax and all, and only what comes behind it is taken to first order: Σ (pattern_patched − pattern_run) · ∂metric/∂pattern. It mends
 * attribution patching where attention is saturated, since there the gradient of softmax is all but 0 and its change is not.
 *
 * A query node is one head's query at one position, a key node one key head's key at one position, as they enter the scores: behind norms and
 * rotary. A key that several query heads share is patched for all of them, and their effects are summed.
 *
 * When it misleads: as first-order estimates do behind the pattern; and a query or key also stands for what several positions do together, which
 * the sum over positions does not see.
 */
import { must, SextantError } from "../../base/errors.js";
import { logSumExp } from "../../base/log-sum-exp.js";
import { tensor } from "../../base/tensor.js";
import type { AttentionSpec } from "../../models/spec.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { attributionFrom, type Attribution } from "./attribution.js";
import {
  checkDirection,
  checkEquallyLong,
  checkPairs,
  partsOf,
  sidesOf,
  type CircuitData,
  type Direction,
  type TokenRows,
} from "./pairs.js";

export interface AttentionRequest extends CircuitData {
  /** Layers. Default: all. */
  readonly layers?: readonly number[];
  readonly side: "q" | "k";
  /** Default: noise. */
  readonly direction?: Direction;
  /** Whether positions stay apart; else their effects are summed. Default: summed. */
  readonly byPosition?: boolean;
  /** Seed of the intervals; without it there are none. */
  readonly seed?: number;
}

/** The estimated effect of patching each head's queries, or each key head's keys: `rot_q.L` or `rot_k.L`, axes (pos,) head or kv_head. */
export async function attributeAttention(model: Model, request: AttentionRequest, options: RunOptions = {}): Promise<Attribution[]> {
  const { pairs, of, side, direction = "noise", byPosition = false } = request;
  checkPairs(pairs);
  checkDirection(direction);
  if (side !== "q" && side !== "k") throw new SextantError("request", `side must be "q" or "k", got ${JSON.stringify(side)}`);
  if (byPosition) checkEquallyLong(pairs, "byPosition");
  const layers = request.layers ?? model.spec.layers.map((_, layer) => layer);
  const found = layers.map((): Float32Array[] => []);
  // One pair at a time: with a limit below what anything takes.
  for (const { data } of partsOf({ pairs, of }, 1, 0)) {
    const { tokens, others } = sidesOf(data.pairs, direction);
    const effects = await rowEffects(model, { tokens, others, of: data.of, layers, side }, options);
    effects.forEach((own, i) => found[i]!.push(byPosition ? own : overPositions(own, tokens[0]!.length)));
  }
  const length = byPosition ? pairs[0]!.clean.length : undefined;
  return layers.map((layer, i) => attributionOf(found[i]!, { address: `rot_${side}.${layer}`, length, request }));
}

interface Rows {
  readonly tokens: TokenRows;
  readonly others: TokenRows;
  readonly of: CircuitData["of"];
  readonly layers: readonly number[];
  readonly side: "q" | "k";
}

/** The effects in one pair, by layer: pos, head or kv_head. */
async function rowEffects(model: Model, { tokens, others, of, layers, side }: Rows, options: RunOptions): Promise<Float32Array[]> {
  const at = layers.map((layer) => `pattern.${layer}`);
  const read = layers.flatMap((layer) => ["rot_q", "rot_k", "attn_scores", "pattern"].map((point) => `${point}.${layer}`));
  const run = await model.gradient({ tokens, of, at, read }, options);
  const { activations } = await model.forward(
    { tokens: others, read: layers.map((layer) => `rot_${side}.${layer}`), logits: false },
    options,
  );
  return layers.map((layer) => {
    const value = (point: string): Float32Array => must(run.activations[`${point}.${layer}`], point).data as Float32Array;
    const edges: Edges = {
      spec: must(model.spec.layers[layer], "a layer").attention,
      length: tokens[0]!.length,
      q: value("rot_q"),
      k: value("rot_k"),
      scores: value("attn_scores"),
      pattern: value("pattern"),
      slope: must(run.gradients[`pattern.${layer}`], "pattern").data,
    };
    const patched = must(activations[`rot_${side}.${layer}`], "the patch").data as Float32Array;
    return side === "q" ? queryEffects(edges, patched) : keyEffects(edges, patched);
  });
}

/** One row's attention in a layer: q, k as they enter the scores; the rest head, query, key. */
interface Edges {
  readonly spec: AttentionSpec;
  readonly length: number;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly scores: Float32Array;
  readonly pattern: Float32Array;
  readonly slope: Float32Array;
}

/** The score of a query and a key: both start at an offset of their arrays. */
function scoreOf(
  { spec }: Edges,
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  at: { q: number; k: number; head: number; key: number },
): number {
  let product = 0;
  for (let unit = 0; unit < spec.dHead; unit++) product += q[at.q + unit]! * k[at.k + unit]!;
  const scaled = spec.scale * product;
  const capped = spec.softcap === undefined ? scaled : spec.softcap * Math.tanh(scaled / spec.softcap);
  return capped + (spec.alibi?.[at.head] ?? 0) * at.key;
}

/** The effect of each patched query: pos, head. */
function queryEffects(edges: Edges, patched: Float32Array): Float32Array {
  const { spec, length, k, scores, pattern, slope } = edges;
  const { heads, kvHeads, dHead } = spec;
  const out = new Float32Array(length * heads);
  for (let head = 0; head < heads; head++) {
    const shared = Math.floor(head / (heads / kvHeads));
    for (let query = 0; query < length; query++) {
      const row = (head * length + query) * length;
      const seen = Array.from({ length }, (_, key) => key).filter((key) => Number.isFinite(scores[row + key]));
      const made = seen.map((key) =>
        scoreOf(edges, patched, k, { q: (query * heads + head) * dHead, k: (key * kvHeads + shared) * dHead, head, key }),
      );
      const total = logSumExp(spec.sinks ? [...made, sinkOf(edges, row)] : made);
      out[query * heads + head] = seen.reduce(
        (sum, key, i) => sum + (Math.exp(made[i]! - total) - pattern[row + key]!) * slope[row + key]!,
        0,
      );
    }
  }
  return out;
}

/** The effect of each patched key: pos, kv_head. Of a query's scores one alone changes. */
function keyEffects(edges: Edges, patched: Float32Array): Float32Array {
  const { spec, length, q, scores, pattern, slope } = edges;
  const { heads, kvHeads, dHead } = spec;
  const out = new Float32Array(length * kvHeads);
  for (let head = 0; head < heads; head++) {
    const shared = Math.floor(head / (heads / kvHeads));
    for (let query = 0; query < length; query++) {
      const row = (head * length + query) * length;
      const total = totalOf(edges, row);
      let along = 0;
      for (let key = 0; key < length; key++) along += pattern[row + key]! * slope[row + key]!;
      for (let key = 0; key < length; key++) {
        if (!Number.isFinite(scores[row + key])) continue;
        const score = scoreOf(edges, q, patched, { q: (query * heads + head) * dHead, k: (key * kvHeads + shared) * dHead, head, key });
        const [own, grad] = [pattern[row + key]!, slope[row + key]!];
        const rest = Math.max(0, 1 - own);
        const weight = Math.exp(Math.min(score - total, 80));
        const [share, shrink] = [weight / (rest + weight), 1 / (rest + weight)];
        out[key * kvHeads + shared]! += (shrink - 1) * (along - own * grad) + (share - own) * grad;
      }
    }
  }
  return out;
}

/** The logarithm of what a query's softmax is divided by, a sink included. */
function totalOf({ spec, length, scores, pattern }: Edges, row: number): number {
  const total = logSumExp(scores.subarray(row, row + length));
  if (!spec.sinks) return total;
  return total - Math.log(pattern.subarray(row, row + length).reduce((sum, share) => sum + share, 0));
}

/** A sink's logit, from what it takes of the softmax. */
function sinkOf(edges: Edges, row: number): number {
  const taken = 1 - edges.pattern.subarray(row, row + edges.length).reduce((sum, share) => sum + share, 0);
  return totalOf(edges, row) + Math.log(Math.max(taken, 1e-30));
}

function overPositions(effects: Float32Array, length: number): Float32Array {
  const heads = effects.length / length;
  const out = new Float32Array(heads);
  effects.forEach((value, i) => (out[i % heads]! += value));
  return out;
}

function attributionOf(
  values: readonly Float32Array[],
  { address, length, request }: { address: string; length: number | undefined; request: AttentionRequest },
): Attribution {
  const [n, size] = [values.length, values[0]!.length];
  const heads = size / (length ?? 1);
  const shape = length === undefined ? [heads] : [length, heads];
  const axes = [...(length === undefined ? [] : ["pos"]), request.side === "q" ? "head" : "kv_head"];
  const perPair = new Float32Array(n * size);
  values.forEach((own, pair) => perPair.set(own, pair * size));
  return attributionFrom(address, tensor(perPair, [n, ...shape], ["pair", ...axes]), request.seed);
}
