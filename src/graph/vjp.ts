/**
 * @file Reverse-mode differentiation of graphs: one rule an op, and the gradient graph of a forward graph, which contains it. A rule
 * gives, for each input, how its gradient follows from those of the outputs (a vector–Jacobian product); it is asked only for
 * the inputs that matter. Gradients have the axes of what they belong to.
 */
import { must } from "../base/errors.js";
import { GraphBuilder } from "./builder.js";
import type { Graph, Node, Value } from "./graph.js";
import { RULES } from "./vjp-rules.js";

/** A graph that computes gradients, and which of its values they are. */
export interface Differentiated {
  readonly graph: Graph;
  /** By the id of the target: the id of its gradient, which may be an input. A target that no seed depends on is missing. */
  readonly gradients: ReadonlyMap<string, string>;
}

/** The name of the input that the gradient by a seed is fed to. */
export function seedName(id: string): string {
  return `grad:${id}`;
}

/** What is to be differentiated by what. */
export interface Wanted {
  readonly seeds: readonly string[];
  readonly targets: readonly string[];
  /** Targets behind which nothing is gone further: what they are computed from gets nothing through them. */
  readonly leaves?: readonly string[];
}

/**
 * The gradients, by each target, of a number of which the gradient by each seed is fed (`seedName`). Seeds and targets are ids of
 * values, inputs or weights; a seed inside may depend on another.
 */
export function differentiate(forward: Graph, { seeds, targets, leaves = [] }: Wanted): Differentiated {
  const g = GraphBuilder.from(forward);
  const ends = new Set(leaves);
  const wanted = dependents(forward, targets);
  const parts = new Map<string, Value[]>();
  const contribute = (id: string, part: Value): unknown => parts.set(id, [...(parts.get(id) ?? []), part]);
  for (const id of seeds) if (wanted.has(id)) contribute(id, g.input(seedName(id), g.value(id).axes));
  const total = (id: string): Value | undefined => {
    const terms = parts.get(id);
    if (!terms) return undefined;
    const [first, ...rest] = terms;
    const sum = rest.reduce((left, right) => addition(g, left, right), must(first, `a gradient of ${id}`));
    parts.set(id, [sum]);
    return sum;
  };
  for (const node of forward.nodes.toReversed()) {
    const grads = node.outputs.map((id) => (id === "" || ends.has(id) ? undefined : total(id)));
    if (grads.every((grad) => grad === undefined)) continue;
    for (const [place, grad] of pulledBack(g, node, grads, wanted)) contribute(node.inputs[place]!, grad);
  }
  const found = targets.flatMap((id) => {
    const grad = total(id);
    return grad ? [[id, grad.id] as const] : [];
  });
  return { graph: g.finish(), gradients: new Map(found) };
}

function addition(g: GraphBuilder, a: Value, b: Value): Value {
  return g.node({ op: "Add", inputs: [a, b], axes: a.axes });
}

/** What a node adds to the gradients of those of its inputs that are wanted. */
function pulledBack(g: GraphBuilder, node: Node, grads: readonly (Value | undefined)[], wanted: ReadonlySet<string>): Map<number, Value> {
  const value = (id: string): Value | undefined => (id === "" ? undefined : g.value(id));
  const given = { g, node, inputs: node.inputs.map(value), outputs: node.outputs.map(value), grads };
  const rules = RULES[node.op](given);
  const made = new Map<number, Value>();
  node.inputs.forEach((id, place) => {
    if (!wanted.has(id)) return;
    const rule = rules[place];
    if (rule) made.set(place, rule());
  });
  return made;
}

/** Every value that a change of the targets changes, they themselves included; whole numbers and truth values end a path. */
function dependents(graph: Graph, targets: readonly string[]): Set<string> {
  const found = new Set(targets);
  for (const node of graph.nodes) {
    if (!node.inputs.some((id) => found.has(id))) continue;
    for (const id of node.outputs) if (id !== "" && graph.values.get(id)?.dtype === "float32") found.add(id);
  }
  return found;
}
