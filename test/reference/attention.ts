/** @file Attention, step by step: heads, scores, mask, softmax, values, output. Query head h reads key head ⌊h / (H / KV)⌋. */
import { add, columns, floats, linear, reshape, type Floats } from "./arrays.js";
import type { HeadSizes } from "./config.js";
import type { Scope } from "./run.js";

/** Queries `[T, H, D]`, keys and values `[T, KV, D]`. */
export interface Heads {
  readonly q: Floats;
  readonly k: Floats;
  readonly v: Floats;
}

/** What becomes of the scores: `scale` · q·k (+ slope · key position), capped, masked; `sinks` join the softmax. */
export interface ScoreRule {
  readonly scale: number;
  readonly window?: number | undefined;
  readonly softcap?: number | undefined;
  readonly slopes?: readonly number[];
  readonly sinks?: Floats;
}

/** x Wᵀ (+ b), with W and b the tensors `name.weight` and `name.bias`. */
export function dense(scope: Scope, x: Floats, name: string, bias: boolean): Floats {
  return linear(x, scope.weight(`${name}.weight`), bias ? scope.weight(`${name}.bias`) : undefined);
}

/** `[T, H · D]` → `[T, H, D]`. */
export function splitHeads(x: Floats, H: number): Floats {
  const [T = 0, wide = 0] = x.shape;
  return reshape(x, [T, H, wide / H]);
}

/** The points q, k and v from three projections `name.{q,k,v}_proj`. */
export function projectHeads(block: Scope, x: Floats, name: string, { H, KV, bias }: HeadSizes & { bias: boolean }): Heads {
  const q = block.see("q", splitHeads(dense(block, x, `${name}.q_proj`, bias), H));
  const k = block.see("k", splitHeads(dense(block, x, `${name}.k_proj`, bias), KV));
  const v = block.see("v", splitHeads(dense(block, x, `${name}.v_proj`, bias), KV));
  return { q, k, v };
}

/** The points q, k and v from one projection `[T, H·D + 2·KV·D]`: all queries, then all keys, then all values. */
export function cutHeads(block: Scope, qkv: Floats, { H, KV, D }: HeadSizes): Heads {
  const q = block.see("q", splitHeads(columns(qkv, 0, H * D), H));
  const k = block.see("k", splitHeads(columns(qkv, H * D, KV * D), KV));
  const v = block.see("v", splitHeads(columns(qkv, (H + KV) * D, KV * D), KV));
  return { q, k, v };
}

/** The points q, k and v from one projection `[T, H · 3 · D]` in which each head has its q, k, v side by side. */
export function unweaveHeads(block: Scope, qkv: Floats, H: number): Heads {
  const [T = 0, wide = 0] = qkv.shape;
  const D = wide / H / 3;
  const perHead = reshape(qkv, [T * H, 3 * D]);
  const part = (i: number): Floats => reshape(columns(perHead, i * D, D), [T, H, D]);
  return { q: block.see("q", part(0)), k: block.see("k", part(1)), v: block.see("v", part(2)) };
}

/** From q, k as they enter the scores, and v, to z `[T, H, D]`; every point on the way is seen. */
export function attend(block: Scope, { q, k, v }: Heads, rule: ScoreRule): Floats {
  const rotQ = block.see("rot_q", q);
  const rotK = block.see("rot_k", k);
  const scores = block.see("attn_scores", maskedScores(rotQ, rotK, rule));
  const pattern = block.see("pattern", softmax(scores, rule.sinks));
  return block.see("z", mixValues(pattern, v));
}

/** Σ over heads of z · W_O + b; each head's term is the point head_out. `w [C, H · D]`. */
export function outputOfHeads(block: Scope, z: Floats, w: Floats, b?: Floats): Floats {
  const [T = 0, H = 0, D = 0] = z.shape;
  const [C = 0] = w.shape;
  const flat = reshape(z, [T, H * D]);
  const headOut = floats([T, H, C]);
  for (let h = 0; h < H; h++) {
    const term = linear(columns(flat, h * D, D), columns(w, h * D, D));
    for (let t = 0; t < T; t++) headOut.data.set(term.data.subarray(t * C, (t + 1) * C), (t * H + h) * C);
  }
  return sumOverHeads(block.see("head_out", headOut), b);
}

/** `[T, H, C]` → `[T, C]`, plus b. */
function sumOverHeads(x: Floats, b?: Floats): Floats {
  const [T = 0, H = 0, C = 0] = x.shape;
  const out = floats([T, C]);
  for (let t = 0; t < T; t++)
    for (let i = 0; i < C; i++) {
      let sum = b ? b.data[i]! : 0;
      for (let h = 0; h < H; h++) sum += x.data[(t * H + h) * C + i]!;
      out.data[t * C + i] = sum;
    }
  return out;
}

/** `[H, T, T]`: −∞ for keys after the query, and for those `window` or more before it. */
function maskedScores(q: Floats, k: Floats, { scale, window = Infinity, softcap, slopes }: ScoreRule): Floats {
  const [T = 0, H = 0] = q.shape;
  const out = floats([H, T, T]);
  for (let h = 0; h < H; h++)
    for (let i = 0; i < T; i++)
      for (let j = 0; j < T; j++) {
        const score = scale * dotHeads(q, k, [h, i, j]) + (slopes ? slopes[h]! * j : 0);
        const capped = softcap ? softcap * Math.tanh(score / softcap) : score;
        out.data[(h * T + i) * T + j] = j > i || i - j >= window ? -Infinity : capped;
      }
  return out;
}

/** q of head h at position i, times k of its key head at position j. */
function dotHeads(q: Floats, k: Floats, [h, i, j]: readonly [number, number, number]): number {
  const [H = 0, D = 0] = q.shape.slice(1);
  const KV = k.shape[1]!;
  const [from, to] = [(i * H + h) * D, (j * KV + keyHead(h, H, KV)) * D];
  let sum = 0;
  for (let d = 0; d < D; d++) sum += q.data[from + d]! * k.data[to + d]!;
  return sum;
}

function keyHead(h: number, H: number, KV: number): number {
  return Math.floor(h / (H / KV));
}

/** Softmax over the last axis of `[H, T, T]`. A head's sink is one more logit, which takes its share and is dropped. */
export function softmax(scores: Floats, sinks?: Floats): Floats {
  const wide = scores.shape.at(-1)!;
  const out = floats(scores.shape);
  for (let r = 0; r < scores.data.length / wide; r++) {
    const row = scores.data.subarray(r * wide, (r + 1) * wide);
    const sink = sinks ? sinks.data[Math.floor(r / scores.shape[1]!)]! : -Infinity;
    const top = Math.max(sink, ...row);
    const total = row.reduce((sum, value) => sum + Math.exp(value - top), Math.exp(sink - top));
    for (let j = 0; j < wide; j++) out.data[r * wide + j] = Math.exp(row[j]! - top) / total;
  }
  return out;
}

/** pattern `[H, T, T]` · v `[T, KV, D]` → z `[T, H, D]`. */
function mixValues(pattern: Floats, v: Floats): Floats {
  const [H = 0, T = 0] = pattern.shape;
  const [KV = 0, D = 0] = v.shape.slice(1);
  const z = floats([T, H, D]);
  for (let h = 0; h < H; h++)
    for (let i = 0; i < T; i++)
      for (let j = 0; j < T; j++) {
        const weight = pattern.data[(h * T + i) * T + j]!;
        const [to, from] = [(i * H + h) * D, (j * KV + keyHead(h, H, KV)) * D];
        for (let d = 0; d < D; d++) z.data[to + d]! += weight * v.data[from + d]!;
      }
  return z;
}

/** The attention output of `name.weight` (and bias): Σ over heads, as `outputOfHeads`. */
export function attentionOutput(block: Scope, z: Floats, name: string, bias: boolean): Floats {
  return outputOfHeads(block, z, block.weight(`${name}.weight`), bias ? block.weight(`${name}.bias`) : undefined);
}

/** The stream after a branch: x + branch, seen as `point`. */
export function join(block: Scope, point: string, x: Floats, branch: Floats): Floats {
  return block.see(point, add(x, branch));
}
