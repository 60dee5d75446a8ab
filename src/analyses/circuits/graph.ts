/**
 * @file A model as nodes and edges, as EAP-IG and MIB see it (Hanna et al. 2024, arXiv 2403.17806; Mueller et al. 2025, arXiv 2504.13151). Senders
 * add to the residual stream: the embedding (`input`), every head (`a0.h1`), every MLP (`m0`). Receivers read it: each head's query, key and
 * value (`a0.h1<q>`), each MLP, and `logits`. An edge goes from a sender to each receiver behind it; the stream that a receiver reads is the sum
 * over its edges, and biases. Heads of a layer do not reach each other, nor the MLP of a parallel block.
 *
 * Grouped heads: in the model, query heads share a key and a value. Here each has its own (`x->a1.h3<k>`), as in MIB. That is the same model as
 * long as the heads of a group are told the same; `groupedScores` gives what an edge into the shared key or value is worth.
 */
import { SextantError } from "../../base/errors.js";
import { refuseEntangled, SIDES, type HeadSide } from "../../models/hearing.js";
import type { ModelSpec } from "../../models/spec.js";

/** What adds to the stream. */
export interface Sender {
  readonly name: string;
  readonly kind: "input" | "head" | "mlp";
  /** −1 for the embedding. */
  readonly layer: number;
  readonly head?: number;
}

/** What reads the stream; `logits` stands in the layer behind the last. */
export interface CircuitReceiver {
  readonly name: string;
  /** Its node: the name without the side. */
  readonly node: string;
  readonly kind: "head" | "mlp" | "logits";
  readonly layer: number;
  readonly head?: number;
  readonly side?: HeadSide;
  /** The first so many senders stand in front of it. */
  readonly senders: number;
  /** The number of its edge from sender 0; the others follow. */
  readonly firstEdge: number;
}

/** Senders and receivers in forward order. Edge e of a receiver comes from sender `e − firstEdge`. */
export interface CircuitGraph {
  readonly senders: readonly Sender[];
  readonly receivers: readonly CircuitReceiver[];
  readonly edges: number;
  readonly layers: number;
  readonly dModel: number;
  /** Heads of each layer, and whether its MLP stands beside attention. */
  readonly blocks: readonly { readonly heads: number; readonly kvHeads: number; readonly isParallel: boolean; readonly hasMlp: boolean }[];
}

/** The nodes and edges of a model. GPT-2 small has 158 nodes (157 senders and `logits`) and 32,491 edges. */
export function circuitGraph(spec: ModelSpec): CircuitGraph {
  refuseEntangled(spec);
  const senders: Sender[] = [{ name: "input", kind: "input", layer: -1 }];
  const receivers: CircuitReceiver[] = [];
  let edges = 0;
  const receive = (receiver: Omit<CircuitReceiver, "senders" | "firstEdge">, count: number): void => {
    receivers.push({ ...receiver, senders: count, firstEdge: edges });
    edges += count;
  };
  const blocks = spec.layers.map(({ attention: { heads, kvHeads }, wiring, mlp }) => ({
    heads,
    kvHeads,
    isParallel: wiring === "parallel",
    hasMlp: mlp !== undefined,
  }));
  blocks.forEach(({ heads, isParallel, hasMlp }, layer) => {
    const before = senders.length;
    for (let head = 0; head < heads; head++) {
      const node = `a${layer}.h${head}`;
      for (const side of SIDES) receive({ name: `${node}<${side}>`, node, kind: "head", layer, head, side }, before);
      senders.push({ name: node, kind: "head", layer, head });
    }
    if (!hasMlp) return;
    const node = `m${layer}`;
    receive({ name: node, node, kind: "mlp", layer }, isParallel ? before : senders.length);
    senders.push({ name: node, kind: "mlp", layer });
  });
  receive({ name: "logits", node: "logits", kind: "logits", layer: blocks.length }, senders.length);
  return { senders, receivers, edges, layers: blocks.length, dModel: spec.dModel, blocks };
}

/** The names of all nodes in forward order, `logits` last. */
export function nodeNames({ senders }: CircuitGraph): string[] {
  return [...senders.map(({ name }) => name), "logits"];
}

/** The names of all edges by their numbers: `input->a0.h0<q>`, `m3->a5.h1<v>`, `a11.h10->logits`. */
export function edgeNames({ senders, receivers }: CircuitGraph): string[] {
  return receivers.flatMap(({ name, senders: count }) => senders.slice(0, count).map((sender) => `${sender.name}->${name}`));
}

/** The numbers of named edges, in the order given. */
export function edgesNamed(graph: CircuitGraph, names: readonly string[]): number[] {
  const numbers = new Map(edgeNames(graph).map((name, edge) => [name, edge] as const));
  return names.map((name) => {
    const edge = numbers.get(name);
    if (edge === undefined)
      throw new SextantError(
        "request",
        `the circuit graph has no edge ${JSON.stringify(name.slice(0, 80))}; edges are written like input->a0.h0<q>`,
      );
    return edge;
  });
}

/**
 * Scores in which the edges of a group's heads into key and value have their sum: what the edge into the shared key or value is worth to first
 * order, since all of them are told at once. Other edges keep theirs. `scores`: one an edge.
 */
export function groupedScores(graph: CircuitGraph, scores: ArrayLike<number>): Float64Array {
  const out = Float64Array.from(scores);
  const members = new Map<string, CircuitReceiver[]>();
  for (const receiver of graph.receivers) {
    const { layer, head, side } = receiver;
    if (head === undefined || side === "q") continue;
    const { heads, kvHeads } = graph.blocks[layer]!;
    const key = `${layer}.${side}.${Math.floor(head / (heads / kvHeads))}`;
    members.set(key, [...(members.get(key) ?? []), receiver]);
  }
  for (const group of members.values()) {
    for (let sender = 0; sender < group[0]!.senders; sender++) {
      const total = group.reduce((sum, { firstEdge }) => sum + scores[firstEdge + sender]!, 0);
      for (const { firstEdge } of group) out[firstEdge + sender] = total;
    }
  }
  return out;
}
