/**
 * @file A graph in the ops that ONNX Runtime's WebGPU provider (1.30) has and computes rightly. Ids of results stay.
 *
 * - `FusedMatMul` it lacks: it would run on the CPU, its operands and result carried from and to the device.
 * - `SimplifiedLayerNormalization` gives a wrong divisor, as if the mean were taken off (its normalised values are right).
 * - `LayerNormalization` takes the variance as mean(x²) − mean(x)², which loses what rows far from 0 hold: 1e-2 of the values where the mean is 300 of 0.7
 *   standard deviations, NaN at 3000. Rows whose mean was taken off before are right to 1e-7.
 */
import { must } from "../base/errors.js";
import type { Attribute, Constant, Graph, Node, OpName, Value } from "./graph.js";

/** The same computation. `outputs`: ids that will be read, besides those that nodes read. */
export function forWebGpu(graph: Graph, outputs: readonly string[]): Graph {
  const rewriting = new Rewriting(graph, outputs);
  for (const node of graph.nodes) {
    if (node.op === "FusedMatMul") spreadProduct(node, rewriting);
    else if (node.op === "SimplifiedLayerNormalization") spreadDivisor(node, rewriting);
    else if (node.op === "LayerNormalization") centre(node, rewriting);
    else rewriting.nodes.push(node);
  }
  return { ...graph, nodes: rewriting.nodes, constants: rewriting.constants, values: rewriting.values };
}

function spreadProduct({ inputs, outputs, attributes }: Node, into: Rewriting): void {
  const [a, b] = inputs.map((id, side) => (attributes[side === 0 ? "transA" : "transB"] === 1 ? transposed(id, into) : id));
  const output = must(outputs[0], "the product");
  const alpha = floatOf(attributes["alpha"], 1);
  const plain = alpha === 1 ? output : `plain:${output}`;
  into.node("MatMul", [must(a, "a factor"), must(b, "a factor")], plain, { like: output });
  if (alpha !== 1) into.node("Mul", [plain, into.constant("float32", [alpha], [])], output);
}

/** The matrix with its last two axes the other way round; made once a graph. */
function transposed(id: string, into: Rewriting): string {
  const turned = `turned:${id}`;
  if (into.values.has(turned)) return turned;
  const { axes } = into.value(id);
  const rank = axes.length;
  const perm = axes.map((_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
  into.values.set(turned, { id: turned, axes: perm.map((axis) => must(axes[axis], "an axis")), dtype: "float32" });
  into.node("Transpose", [id], turned, { attributes: { perm } });
  return turned;
}

/** The norm's divisor apart: `1 / sqrt(mean(x²) + eps)`. */
function spreadDivisor(node: Node, into: Rewriting): void {
  const [x = "", weight = ""] = node.inputs;
  const [normalised = "", divisor] = node.outputs;
  into.nodes.push({ ...node, inputs: [x, weight], outputs: [normalised] });
  if (!divisor || !into.used.has(divisor)) return;
  const part = (name: string): string => `${name}:${divisor}`;
  into.node("Mul", [x, x], part("squares"), { like: x });
  const last = into.constant("int64", [-1], [1]);
  into.node("ReduceMean", [part("squares"), last], part("mean"), { like: divisor, attributes: { keepdims: 1 } });
  const eps = into.constant("float32", [floatOf(node.attributes["epsilon"], 1e-5)], []);
  into.node("Add", [part("mean"), eps], part("sum"), { like: divisor });
  into.node("Sqrt", [part("sum")], part("root"), { like: divisor });
  into.node("Reciprocal", [part("root")], divisor);
}

/** The norm of rows whose mean was taken off before. */
function centre(node: Node, into: Rewriting): void {
  const [x = "", ...rest] = node.inputs;
  const [normalised = ""] = node.outputs;
  const [mean, centred] = [`mean:${normalised}`, `centred:${normalised}`];
  const { axes } = into.value(x);
  into.values.set(mean, { id: mean, axes: [...axes.slice(0, -1), "one"], dtype: "float32" });
  into.node("ReduceMean", [x, into.constant("int64", [-1], [1])], mean, { attributes: { keepdims: 1 } });
  into.node("Sub", [x, mean], centred, { like: x });
  into.nodes.push({ ...node, inputs: [centred, ...rest] });
}

function floatOf(attribute: Attribute | undefined, otherwise: number): number {
  return typeof attribute === "object" && "float" in attribute ? attribute.float : otherwise;
}

/** A graph as it is written anew. */
class Rewriting {
  readonly nodes: Node[] = [];
  readonly constants: Map<string, Constant>;
  readonly values: Map<string, Value>;
  /** Ids that somebody reads. */
  readonly used: ReadonlySet<string>;
  readonly #graph: Graph;

  constructor(graph: Graph, outputs: readonly string[]) {
    this.#graph = graph;
    this.constants = new Map(graph.constants);
    this.values = new Map(graph.values);
    this.used = new Set([...outputs, ...graph.nodes.flatMap(({ inputs }) => inputs)]);
  }

  /** A value by id, also a weight or an input. */
  value(id: string): Value {
    const { inputs, weights } = this.#graph;
    const known = this.values.get(id) ?? inputs.find((input) => input.id === id);
    if (known) return known;
    const { shape } = must(weights.get(id) ?? this.constants.get(id), `the value ${id}`);
    return { id, axes: shape.map((_, axis) => `axis_${axis}`), dtype: "float32" };
  }

  constant(dtype: Constant["dtype"], values: readonly number[], shape: readonly number[]): string {
    const id = `const:${dtype}[${shape.join(",")}]:${values.join(",")}`;
    this.constants.set(id, { dtype, shape, values });
    return id;
  }

  /** A node with one result; `like`: an id whose axes a new result has. */
  node(op: OpName, inputs: readonly string[], output: string, more: { like?: string; attributes?: Node["attributes"] } = {}): void {
    const { like, attributes = {} } = more;
    if (like !== undefined && !this.values.has(output)) this.values.set(output, { ...this.value(like), id: output });
    this.nodes.push({ op, domain: "", inputs, outputs: [output], attributes });
  }
}
