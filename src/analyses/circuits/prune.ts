/**
 * @file From scores of edges to circuits: the largest n, or greedily from the logits upwards (Hanna et al. 2024, arXiv 2403.17806, section 3), and
 * away with what cannot matter: nodes that nothing reaches from the input, and nodes that do not reach the logits.
 */
import { SextantError } from "../../base/errors.js";
import type { CircuitGraph } from "./graph.js";

/** Shares of all edges at which MIB measures circuits. */
export const MIB_SHARES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1] as const;

export interface PruneRequest {
  /** One score an edge. */
  readonly scores: ArrayLike<number>;
  /** How many edges, before unreachable ones go. */
  readonly edges: number;
  /** `top`: the largest of all. `greedy`: always the largest of those that lead to a node already in. Default: top. */
  readonly method?: "top" | "greedy";
  /** What counts as large: |score| (default), the score, or its opposite (edges whose corruption lowers the metric). */
  readonly by?: "size" | "above" | "below";
}

const RANKS = {
  size: Math.abs,
  above: (score: number) => score,
  below: (score: number) => -score,
} as const;

/** The numbers of a circuit's edges, in their order. Equal scores: the earlier edge first. */
export function pruneCircuit(graph: CircuitGraph, request: PruneRequest): number[] {
  const { scores, edges, method = "top", by = "size" } = request;
  if (scores.length !== graph.edges)
    throw new SextantError("request", `scores: there are ${graph.edges} edges, got ${scores.length} scores`);
  if (!Number.isInteger(edges) || edges < 0 || edges > graph.edges)
    throw new SextantError("request", `edges must be a whole number from 0 to ${graph.edges}, got ${String(edges)}`);
  if (!Object.hasOwn(RANKS, by))
    throw new SextantError("request", `by must be ${Object.keys(RANKS).join(", ")}, got ${JSON.stringify(by)}`);
  const ranks = Float64Array.from({ length: graph.edges }, (_, edge) => RANKS[by](scores[edge]!));
  const stray = ranks.findIndex(Number.isNaN);
  if (stray !== -1) throw new SextantError("request", `scores: edge ${stray} has no number`);
  const order = Array.from(ranks.keys()).toSorted((a, b) => ranks[b]! - ranks[a]! || a - b);
  const chosen = method === "top" ? order.slice(0, edges) : greedy(graph, order, edges);
  return reachable(graph, chosen);
}

/** Circuits of all of MIB's sizes: the share, and the circuit of so many edges, rounded down. */
export function circuitsBySize(
  graph: CircuitGraph,
  request: Omit<PruneRequest, "edges">,
  shares: readonly number[] = MIB_SHARES,
): { readonly share: number; readonly edges: number[] }[] {
  return shares.map((share) => {
    if (!(share >= 0 && share <= 1)) throw new SextantError("request", `shares lie from 0 to 1, got ${share}`);
    return { share, edges: pruneCircuit(graph, { ...request, edges: Math.floor(share * graph.edges + 1e-9) }) };
  });
}

/** Edges from the logits upwards: always the best of those into nodes that are in. */
function greedy(graph: CircuitGraph, order: readonly number[], count: number): number[] {
  const ends = endsOf(graph);
  const places = new Int32Array(order.length);
  order.forEach((edge, place) => (places[edge] = place));
  const into = new Map<string, number[]>();
  order.forEach((edge) => {
    const { to } = ends[edge]!;
    const list = into.get(to);
    if (list) list.push(edge);
    else into.set(to, [edge]);
  });
  const open = new Map<string, { edges: readonly number[]; next: number }>([["logits", { edges: into.get("logits") ?? [], next: 0 }]]);
  const chosen: number[] = [];
  while (chosen.length < count) {
    let best: { edges: readonly number[]; next: number } | undefined;
    for (const one of open.values()) {
      if (one.next >= one.edges.length) continue;
      if (!best || places[one.edges[one.next]!]! < places[best.edges[best.next]!]!) best = one;
    }
    if (!best) break;
    const edge = best.edges[best.next++]!;
    chosen.push(edge);
    const { from } = ends[edge]!;
    if (!open.has(from)) open.set(from, { edges: into.get(from) ?? [], next: 0 });
  }
  return chosen;
}

/** The nodes at both ends of every edge. */
function endsOf({ senders, receivers }: CircuitGraph): { readonly from: string; readonly to: string }[] {
  return receivers.flatMap(({ node, senders: count }) => senders.slice(0, count).map(({ name }) => ({ from: name, to: node })));
}

/** Those of the edges that lie on a way from the input to the logits, in order. */
export function reachable(graph: CircuitGraph, edges: readonly number[]): number[] {
  const ends = endsOf(graph);
  const sorted = edges.toSorted((a, b) => a - b);
  const fed = new Set(["input"]);
  for (const edge of sorted) if (fed.has(ends[edge]!.from)) fed.add(ends[edge]!.to);
  const heard = new Set(["logits"]);
  for (const edge of sorted.toReversed()) if (heard.has(ends[edge]!.to)) heard.add(ends[edge]!.from);
  return sorted.filter((edge) => fed.has(ends[edge]!.from) && heard.has(ends[edge]!.to));
}
