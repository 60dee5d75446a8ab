/** @file The graph of a training step: a whole model, its loss, and the gradients by the parameters that are trained. */
import { must } from "../base/errors.js";
import { weightsAsInputs } from "../graph/as-inputs.js";
import type { Graph, Weight } from "../graph/graph.js";
import { onlyFor } from "../graph/segments.js";
import { differentiate } from "../graph/vjp.js";
import { buildWhole, lookupsOf } from "../models/whole.js";
import type { ModelSpec } from "../models/spec.js";
import { addLoss, LOSS_RESULTS, type LossSpec } from "./losses.js";

/** Rows of a table whose gradients are added up outside the graph: a row that is looked up twice would be a product with as many rows as there are words. */
export interface LookedUp {
  readonly weight: Weight;
  /** The input that says which rows. */
  readonly indices: string;
  /** The id of the rows' gradient. */
  readonly gradient: string;
}

export interface TrainGraph {
  readonly graph: Graph;
  /** The loss and what stands beside it, by name (`LOSS_RESULTS`). */
  readonly results: ReadonlyMap<string, string>;
  /** Weights that are fed, by id. */
  readonly fed: ReadonlyMap<string, Weight>;
  /** By the id of a weight, the id of its gradient. */
  readonly gradients: ReadonlyMap<string, string>;
  readonly lookups: readonly LookedUp[];
}

/** The step's graph; `isTrained` says which tensors of the checkpoint are trained. */
export function buildTrainGraph(spec: ModelSpec, loss: LossSpec, isTrained: (name: string) => boolean): TrainGraph {
  const forward = lossGraph(spec, loss);
  const fed = fedOf(forward, isTrained);
  const lookups = [...lookupsOf(forward)].filter(([, { weight }]) => fed.has(weight));
  const leaves = lookups.map(([id]) => id);
  const lossId = must(forward.named.get(LOSS_RESULTS.loss), "the loss");
  const { graph, gradients } = differentiate(forward, { seeds: [lossId], targets: [...fed.keys(), ...leaves], leaves });
  const results = resultsOf(forward);
  const outputs = [...new Set([...results.values(), ...gradients.values()])];
  return {
    graph: weightsAsInputs(onlyFor(graph, outputs), ({ name }) => isTrained(name)),
    results,
    fed,
    gradients: new Map([...gradients].filter(([id]) => fed.has(id))),
    lookups: lookups.flatMap(([id, { weight, indices }]) => {
      const gradient = gradients.get(id);
      return gradient === undefined ? [] : [{ weight: must(fed.get(weight), weight), indices, gradient }];
    }),
  };
}

/** The forward part alone, for evaluation. */
export function buildLossGraph(
  spec: ModelSpec,
  loss: LossSpec,
  isTrained: (name: string) => boolean,
): Omit<TrainGraph, "gradients" | "lookups"> {
  const forward = lossGraph(spec, loss);
  const results = resultsOf(forward);
  return {
    graph: weightsAsInputs(onlyFor(forward, [...results.values()]), ({ name }) => isTrained(name)),
    results,
    fed: fedOf(forward, isTrained),
  };
}

function lossGraph(spec: ModelSpec, loss: LossSpec): Graph {
  const { g, logits } = buildWhole(spec);
  addLoss(g, logits, loss);
  return g.finish();
}

function fedOf(graph: Graph, isTrained: (name: string) => boolean): Map<string, Weight> {
  return new Map([...graph.weights].filter(([, { name, holds }]) => holds !== "bytes" && isTrained(name)));
}

function resultsOf(graph: Graph): Map<string, string> {
  const names: readonly string[] = Object.values(LOSS_RESULTS);
  return new Map([...graph.named].filter(([name]) => names.includes(name)));
}
