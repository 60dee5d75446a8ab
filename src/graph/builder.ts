/**
 * @file Makes a graph node by node. Ops are functions over the builder (`ops.ts`); names are given with `name`, and a value
 * may have one name only, so that each point is a value of its own.
 */
import { internal, must } from "../base/errors.js";
import type { Attribute, Axes, Constant, Dtype, Graph, Node, OpName, Value, Weight } from "./graph.js";

export class GraphBuilder {
  readonly #inputs: Value[] = [];
  readonly #nodes: Node[] = [];
  readonly #weights = new Map<string, Weight>();
  readonly #constants = new Map<string, Constant>();
  readonly #values = new Map<string, Value>();
  readonly #named = new Map<string, string>();
  readonly #producers = new Map<string, Node>();
  #next = -1;

  /** A builder that goes on from a graph: its values, weights and names are there already. */
  static from(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder();
    builder.#inputs.push(...graph.inputs);
    for (const node of graph.nodes) builder.#push(node);
    for (const [id, weight] of graph.weights) builder.#weights.set(id, weight);
    for (const [id, constant] of graph.constants) builder.#constants.set(id, constant);
    for (const value of [...graph.values.values(), ...graph.inputs]) builder.#values.set(value.id, value);
    for (const [name, id] of graph.named) builder.#named.set(name, id);
    for (const id of graph.values.keys()) builder.#next = Math.max(builder.#next, Number(/_(\d+)_\d+$/.exec(id)?.[1] ?? 0));
    return builder;
  }

  /** A value that is there already, by id. Axes of weights and constants are known by length only: `one` where it is 1. */
  value(id: string): Value {
    const known = this.#values.get(id);
    if (known) return known;
    const weight = this.#weights.get(id);
    const stored = weight ?? must(this.#constants.get(id), `the value ${id}`);
    const dtype = "dtype" in stored ? stored.dtype : isBytes(stored) ? "uint8" : "float32";
    return { id, axes: stored.shape.map((length, axis) => (length === 1 ? "one" : `axis_${axis}`)), dtype };
  }

  /** A tensor that is written into the graph, by id. */
  constantAt(id: string): Constant {
    return must(this.#constants.get(id), `the constant ${id}`);
  }

  /** Whether a value is a tensor that is written into the graph. */
  isConstant(id: string): boolean {
    return this.#constants.has(id);
  }

  /** The shape of a weight or constant; undefined for what a run computes or is fed. */
  storedShape(id: string): readonly number[] | undefined {
    return (this.#weights.get(id) ?? this.#constants.get(id))?.shape;
  }

  /** The node that computes a value; undefined for inputs, weights and constants. */
  producer(id: string): Node | undefined {
    return this.#producers.get(id);
  }

  /** An input of the graph, fed at each run; the same one asked for twice is one input. */
  input<const A extends Axes>(id: string, axes: A, dtype: Dtype = "float32"): Value<A> {
    const known = this.#inputs.find((input) => input.id === id);
    if (known) return known as Value<A>;
    const value = this.#declare(id, axes, dtype);
    this.#inputs.push(value);
    return value;
  }

  /** A tensor of the checkpoint; the same one asked for twice is one weight. */
  weight<const A extends Axes>(weight: Weight, axes: A): Value<A> {
    const id = `${weight.name}+${weight.offset ?? 0}:${weight.shape.join("x")}`;
    this.#weights.set(id, weight);
    return { id, axes, dtype: isBytes(weight) ? "uint8" : "float32" };
  }

  /** A small tensor written into the graph; equal ones are one. */
  constant<const A extends Axes>(values: readonly number[], axes: A, options: { dtype?: Dtype; shape?: readonly number[] } = {}): Value<A> {
    const { dtype = "float32", shape = axes.length === 0 ? [] : [values.length] } = options;
    const id = `const:${dtype}[${shape.join(",")}]:${values.join(",")}`;
    this.#constants.set(id, { dtype, shape, values });
    return { id, axes, dtype };
  }

  /** The single result of a new node. */
  node<const A extends Axes>(spec: {
    op: OpName;
    domain?: Node["domain"];
    inputs: readonly (Value | undefined)[];
    attributes?: Node["attributes"];
    axes: A;
    dtype?: Dtype;
  }): Value<A> {
    return this.nodes({ ...spec, results: [{ axes: spec.axes, dtype: spec.dtype ?? "float32" }] })[0] as Value<A>;
  }

  /** The results of a new node with several; `undefined` among them skips an optional output. */
  nodes(spec: {
    op: OpName;
    domain?: Node["domain"];
    inputs: readonly (Value | undefined)[];
    attributes?: Readonly<Record<string, Attribute>>;
    results: readonly ({ axes: Axes; dtype: Dtype } | undefined)[];
  }): (Value | undefined)[] {
    const index = this.#free();
    const outputs = spec.results.map((result, place) => result && this.#declare(`${spec.op}_${index}_${place}`, result.axes, result.dtype));
    this.#push({
      op: spec.op,
      domain: spec.domain ?? "",
      inputs: withoutTail(spec.inputs.map((value) => value?.id ?? "")),
      outputs: outputs.map((value) => value?.id ?? ""),
      attributes: spec.attributes ?? {},
    });
    return outputs;
  }

  /** `value`, from now on known as `name`. */
  name<A extends Axes>(name: string, value: Value<A>): Value<A> {
    if (this.#named.has(name)) throw internal(`the name ${name} is given twice`);
    if ([...this.#named.values()].includes(value.id)) throw internal(`${name} would be a second name of one value`);
    this.#named.set(name, value.id);
    return value;
  }

  /**
   * Puts the nodes of another graph in; gives its named values. `given` takes the place of its inputs, the rest become inputs here under
   * their own ids; weights and constants are shared. `prefix` tells values of several graphs apart.
   */
  splice(graph: Graph, prefix: string, given: Readonly<Record<string, Value>>): ReadonlyMap<string, Value> {
    const ids = new Map<string, string>();
    for (const { id, axes, dtype } of graph.inputs) ids.set(id, (given[id] ?? this.input(id, axes, dtype)).id);
    for (const [id, weight] of graph.weights) this.#weights.set(id, weight);
    for (const [id, constant] of graph.constants) this.#constants.set(id, constant);
    for (const node of graph.nodes) {
      for (const id of node.outputs) {
        if (id === "") continue;
        const { axes, dtype } = must(graph.values.get(id), `the value ${id}`);
        ids.set(id, this.#declare(`${prefix}${id}`, axes, dtype).id);
      }
      const renamed = (id: string): string => ids.get(id) ?? id;
      this.#push({ ...node, inputs: node.inputs.map(renamed), outputs: node.outputs.map(renamed) });
    }
    return new Map([...graph.named].map(([name, id]) => [name, this.value(must(ids.get(id), name))] as const));
  }

  finish(): Graph {
    return {
      inputs: this.#inputs,
      nodes: this.#nodes,
      weights: this.#weights,
      constants: this.#constants,
      values: this.#values,
      named: this.#named,
    };
  }

  #push(node: Node): void {
    this.#nodes.push(node);
    for (const id of node.outputs) if (id !== "") this.#producers.set(id, node);
  }

  /** A number for the next node: its place; behind all numbers of a graph that this one goes on from. */
  #free(): number {
    this.#next = Math.max(this.#next + 1, this.#nodes.length);
    return this.#next;
  }

  #declare<A extends Axes>(id: string, axes: A, dtype: Dtype): Value<A> {
    if (this.#values.has(id)) throw internal(`the value ${id} is declared twice`);
    const value = { id, axes, dtype };
    this.#values.set(id, value);
    return value;
  }
}

function isBytes({ holds = "floats" }: Weight): boolean {
  return holds !== "floats";
}

/** Optional inputs left out at the end are not mentioned: ONNX Runtime's LayerNormalization crashes on an empty bias. */
function withoutTail(ids: readonly string[]): string[] {
  return ids.slice(0, ids.findLastIndex((id) => id !== "") + 1);
}
