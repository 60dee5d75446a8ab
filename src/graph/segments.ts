/**
 * @file Cuts a graph at named values into a chain of graphs: each ends where its cut values are known, and hands on whatever
 * else the rest still needs. Every node, and so every weight, is in exactly one segment.
 */
import { internal, must } from "../base/errors.js";
import type { Graph, Node, Value } from "./graph.js";

/** One link of a chain: a graph whose inputs are values of the whole, and what it computes. */
export interface Segment {
  readonly graph: Graph;
  /** Ids this segment computes that later segments, or the caller, need. */
  readonly outputs: readonly string[];
}

/**
 * The chain of segments of `graph`: segment i ends with the named values of `cuts[i]`, the last one with all the rest.
 * `results` are the names that must be computed in the end. A segment without nodes is left out of no chain: indices match.
 */
export function cutGraph(graph: Graph, cuts: readonly (readonly string[])[], results: readonly string[]): Segment[] {
  const producers = producersOf(graph);
  const done = new Set<Node>();
  const parts = cuts.map((names) =>
    reach(
      graph,
      names.map((name) => idOf(graph, name)),
      producers,
      done,
    ),
  );
  parts.push(graph.nodes.filter((node) => !done.has(node)));
  const wanted = new Set(results.map((name) => idOf(graph, name)));
  return parts.map((nodes, index) => segmentOf(graph, nodes, parts.slice(index + 1).flat(), wanted));
}

/** The graph without what the named values do not depend on; only these keep their names. */
export function pruneGraph(graph: Graph, names: readonly string[]): Graph {
  const named = new Map(names.map((name) => [name, idOf(graph, name)] as const));
  return { ...onlyFor(graph, [...named.values()]), named };
}

/**
 * The graph without what the values with these ids do not depend on; names stay with the values that are left. Of the values in `given`, those that nothing
 * else needs to compute become inputs.
 */
export function onlyFor(graph: Graph, ids: readonly string[], given: ReadonlySet<string> = new Set()): Graph {
  const producers = producersOf(graph);
  for (const id of given) producers.delete(id);
  const nodes = reach(graph, ids, producers, new Set());
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const kept = <T>(values: ReadonlyMap<string, T>): Map<string, T> => new Map([...values].filter(([id]) => read.has(id)));
  const fed = [...given].filter((id) => read.has(id) && !made.has(id)).map((id) => must(graph.values.get(id), `value ${id}`));
  return {
    ...graph,
    nodes,
    named: new Map([...graph.named].filter(([, id]) => made.has(id))),
    inputs: [...graph.inputs.filter(({ id }) => read.has(id)), ...fed],
    weights: kept(graph.weights),
    constants: kept(graph.constants),
  };
}

function idOf(graph: Graph, name: string): string {
  const id = graph.named.get(name);
  if (id === undefined) throw internal(`the graph has no value named ${name}`);
  return id;
}

function producersOf(graph: Graph): Map<string, Node> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.filter(Boolean).map((id) => [id, node] as const)));
}

/** The nodes, not yet done, that the targets depend on, in execution order; marks them done. */
function reach(graph: Graph, targets: readonly string[], producers: Map<string, Node>, done: Set<Node>): Node[] {
  const needed = new Set<Node>();
  const pending = [...targets];
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    const node = producers.get(id);
    if (!node || done.has(node) || needed.has(node)) continue;
    needed.add(node);
    pending.push(...node.inputs);
  }
  for (const node of needed) done.add(node);
  return graph.nodes.filter((node) => needed.has(node));
}

function segmentOf(graph: Graph, nodes: readonly Node[], later: readonly Node[], wanted: ReadonlySet<string>): Segment {
  const made = new Set(nodes.flatMap((node) => node.outputs.filter(Boolean)));
  const read = new Set(nodes.flatMap((node) => node.inputs.filter(Boolean)));
  const neededLater = new Set(later.flatMap((node) => node.inputs));
  const values = new Map<string, Value>();
  const inputs: Value[] = [];
  for (const id of read) {
    if (made.has(id) || graph.weights.has(id) || graph.constants.has(id)) continue;
    const value = must(graph.values.get(id), `value ${id}`);
    inputs.push(value);
    values.set(id, value);
  }
  for (const id of made) values.set(id, must(graph.values.get(id), `value ${id}`));
  const named = new Map([...graph.named].filter(([, id]) => made.has(id)));
  const names = new Set(named.values());
  return {
    graph: {
      inputs,
      nodes,
      weights: new Map([...graph.weights].filter(([id]) => read.has(id))),
      constants: new Map([...graph.constants].filter(([id]) => read.has(id))),
      values,
      named,
    },
    outputs: [...made].filter((id) => neededLater.has(id) || wanted.has(id) || names.has(id)),
  };
}
