/**
 * @file Graphs computed slowly, in float64 and plain loops, by the ONNX operators' documentation (and ONNX Runtime's for `com.microsoft`):
 * what the gradient graphs are held against. Knows nothing of the rules in `vjp.ts`.
 */
import { must } from "../../src/base/errors.js";
import type { Graph, Node, OpName } from "../../src/graph/graph.js";
import { ELEMENTWISE } from "./interpreter-elementwise.js";
import { MOVES } from "./interpreter-moves.js";
import { NORMS } from "./interpreter-norms.js";
import { PICKS } from "./interpreter-picks.js";
import { PRODUCTS } from "./interpreter-products.js";
import type { Kernel } from "./kernel.js";
import { combine, ndArray, type NdArray } from "./nd-array.js";

const KERNELS: { readonly [K in OpName]: Kernel } = { ...ELEMENTWISE, ...MOVES, ...NORMS, ...PICKS, ...PRODUCTS };

/**
 * Every value of a graph by id. `feeds`: its inputs; and where a value inside is fed, that takes the place of what would be computed.
 * `weights`: by id. A result whose rank is not that of its named axes is an error.
 */
export function evaluate(graph: Graph, feeds: ReadonlyMap<string, NdArray>, weights: ReadonlyMap<string, NdArray>): Map<string, NdArray> {
  const values = new Map<string, NdArray>([...graph.constants].map(([id, { shape, values: held }]) => [id, ndArray(shape, held)] as const));
  for (const [id, value] of weights) values.set(id, value);
  for (const [id, value] of feeds) values.set(id, value);
  for (const { id } of graph.inputs) checkRank(graph, id, must(values.get(id), `the input ${id}`));
  for (const node of graph.nodes) computeInto(values, { graph, node, given: feeds });
  return values;
}

/**
 * The values of an evaluation computed anew after a push: `added` is added to values by id, to those inside after they are computed;
 * `frozen` ones stay as they were, whatever happens in front of them.
 */
export function reevaluate(
  graph: Graph,
  known: ReadonlyMap<string, NdArray>,
  { added, frozen = [] }: { added: ReadonlyMap<string, NdArray>; frozen?: readonly string[] },
): Map<string, NdArray> {
  const values = new Map(known);
  const push = (id: string): unknown =>
    added.has(id) &&
    values.set(
      id,
      combine(values.get(id)!, added.get(id)!, (a, b) => a + b),
    );
  const inside = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const moved = new Set(added.keys());
  const given = new Map(frozen.map((id) => [id, must(known.get(id), id)] as const));
  for (const id of added.keys()) if (!inside.has(id)) push(id);
  for (const node of graph.nodes) {
    const isMoved = node.inputs.some((id) => moved.has(id));
    if (isMoved) computeInto(values, { graph, node, given });
    for (const id of node.outputs) {
      push(id);
      if (isMoved && !given.has(id)) moved.add(id);
    }
  }
  return values;
}

interface Step {
  readonly graph: Graph;
  readonly node: Node;
  /** What stays as it is. */
  readonly given: ReadonlyMap<string, NdArray>;
}

function computeInto(values: Map<string, NdArray>, { graph, node, given }: Step): void {
  if (node.outputs.every((id) => id === "" || given.has(id))) return;
  const results = computed(node, values);
  node.outputs.forEach((id, place) => {
    if (id === "" || given.has(id)) return;
    const result = must(results[place], `output ${place} of ${node.op}`);
    checkRank(graph, id, result);
    values.set(id, result);
  });
}

function computed(node: Node, values: ReadonlyMap<string, NdArray>): ReturnType<Kernel> {
  try {
    return KERNELS[node.op](
      node.inputs.map((id) => (id === "" ? undefined : must(values.get(id), `the value ${id}`))),
      node.attributes,
    );
  } catch (error) {
    throw new Error(`${node.op} → ${node.outputs.join(", ")}: ${(error as Error).message}`, { cause: error });
  }
}

function checkRank(graph: Graph, id: string, { shape }: NdArray): void {
  const { axes } = must(graph.values.get(id), `the value ${id}`);
  if (axes.length !== shape.length) throw new Error(`${id} has axes [${axes.join(", ")}], but shape [${shape.join(", ")}]`);
}
