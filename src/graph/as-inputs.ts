/** @file Graphs whose weights are fed at each run, for training: what changes between runs cannot be part of a session. */
import type { Graph, Value, Weight } from "./graph.js";

/** The graph with those of its weights as inputs that `isFed` says; their ids stay. */
export function weightsAsInputs(graph: Graph, isFed: (weight: Weight) => boolean): Graph {
  const fed = [...graph.weights].filter(([, weight]) => isFed(weight));
  const inputs = fed.map(([id, { shape }]): Value => ({ id, axes: shape.map((_, axis) => `axis_${axis}`), dtype: "float32" }));
  return {
    ...graph,
    inputs: [...graph.inputs, ...inputs],
    weights: new Map([...graph.weights].filter(([, weight]) => !isFed(weight))),
    values: new Map([...graph.values, ...inputs.map((value) => [value.id, value] as const)]),
  };
}
