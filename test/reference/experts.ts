/** @file Mixtures of experts: a router's logits, the experts chosen, their weights, and the weighted sum of their outputs. */
import { floats, linear, map, multiply, slab, type Floats } from "./arrays.js";
import { activation } from "./activations.js";
import { softmax } from "./attention.js";
import type { Scope } from "./run.js";

/** An expert's MLP: one token's vector `[1, C]` to its output `[1, C]`. */
export type Expert = (x: Floats) => Floats;

/** What one token is routed to: the chosen experts' numbers and weights, `[T, K]` each. */
export interface Route {
  readonly experts: Floats;
  readonly weights: Floats;
}

/** Softmax over all experts, then the `K` best; `normalise` divides their weights by the sum. */
export function routeAfterSoftmax(block: Scope, logits: Floats, { K, normalise }: { K: number; normalise: boolean }): Route {
  const seen = block.see("router_logits", logits);
  const shares = softmax(seen);
  const experts = block.see("experts", best(shares, K));
  const chosen = pick(shares, experts);
  return { experts, weights: block.see("expert_weights", normalise ? divideBySum(chosen) : chosen) };
}

/** The `K` best logits, then softmax over those alone. */
export function routeBeforeSoftmax(block: Scope, logits: Floats, K: number): Route {
  const seen = block.see("router_logits", logits);
  const experts = block.see("experts", best(seen, K));
  return { experts, weights: block.see("expert_weights", softmax(pick(seen, experts))) };
}

/** Σ over a token's chosen experts of weight · expert(x): `[T, C]` → `[T, C]`. */
export function mixExperts(x: Floats, { experts, weights }: Route, expert: (number: number) => Expert): Floats {
  const [T = 0, C = 0] = x.shape;
  const K = experts.shape[1]!;
  const out = floats([T, C]);
  for (let t = 0; t < T; t++)
    for (let n = 0; n < K; n++) {
      const y = expert(experts.data[t * K + n]!)(floats([1, C], x.data.subarray(t * C, (t + 1) * C)));
      for (let i = 0; i < C; i++) out.data[t * C + i]! += weights.data[t * K + n]! * y.data[i]!;
    }
  return out;
}

/** W_down (act(W_gate x) · W_up x). */
export function gatedExpert({ gate, up, down }: { gate: Floats; up: Floats; down: Floats }, act: string): Expert {
  return (x) => linear(multiply(map(linear(x, gate), activation(act)), linear(x, up)), down);
}

/** Expert `number` of tensors that hold all of them: `gate_up [E, 2 · I, C]`, the gate's rows first, and `down [E, C, I]`. */
export function fusedExpert(block: Scope, name: string, number: number): { gate: Floats; up: Floats; down: Floats } {
  const both = slab(block.weight(`${name}.gate_up_proj`), number);
  const [rows = 0, C = 0] = both.shape;
  const half = (i: number): Floats => floats([rows / 2, C], both.data.subarray((i * rows * C) / 2, ((i + 1) * rows * C) / 2));
  return { gate: half(0), up: half(1), down: slab(block.weight(`${name}.down_proj`), number) };
}

/** The numbers of the `K` largest of each row, largest first; of equals the first. */
function best(x: Floats, K: number): Floats {
  const [T = 0, E = 0] = x.shape;
  const out = floats([T, K]);
  for (let t = 0; t < T; t++) {
    const row = x.data.subarray(t * E, (t + 1) * E);
    const order = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
    out.data.set(order.slice(0, K), t * K);
  }
  return out;
}

/** The values of `x [T, E]` at the numbers `chosen [T, K]`. */
function pick(x: Floats, chosen: Floats): Floats {
  const [E, K] = [x.shape[1]!, chosen.shape[1]!];
  return floats(
    chosen.shape,
    chosen.data.map((number, i) => x.data[Math.floor(i / K) * E + number]!),
  );
}

function divideBySum(x: Floats): Floats {
  const [T = 0, K = 0] = x.shape;
  const out = floats([T, K]);
  for (let t = 0; t < T; t++) {
    const row = x.data.subarray(t * K, (t + 1) * K);
    const sum = row.reduce((total, value) => total + value, 0);
    out.data.set(
      row.map((value) => value / sum),
      t * K,
    );
  }
  return out;
}
