/** @file A model that can run its nodes apart, as the tests of circuits need it: a `LocalModel` with what `NodeRunner` asks for beside it. */
import { weightsOf } from "../../../src/models/check-weights.js";
import { pullNode, runNode } from "../../../src/runtime/circuit/nodes.js";
import type { NodeRunner } from "../../../src/runtime/circuit/request.js";
import { Engine } from "../../../src/runtime/engine.js";
import { joinAdapter } from "../../../src/runtime/join-adapter.js";
import { readSpec } from "../../../src/runtime/load.js";
import { LocalModel } from "../../../src/runtime/local-model.js";
import type { Model } from "../../../src/runtime/model.js";
import { diskHost, WeightFiles } from "../../../src/runtime/weight-files.js";

export type CircuitModel = Model & NodeRunner;

/** The model in a folder, on one thread, with an adapter where its folder is given. */
export function openCircuitModel(folder: string, adapter?: string): CircuitModel {
  const base = readSpec(folder);
  const { spec, checkpoint } = adapter === undefined ? base : joinAdapter(base, adapter);
  const files = new WeightFiles(checkpoint);
  for (const weight of weightsOf(spec)) files.locate(weight);
  const engine = new Engine(spec, diskHost(files, { threads: 1 }), { weightLimit: 1 << 30 });
  const runner = { spec, engine, checkpoint };
  const nodes: NodeRunner = {
    runNode: (request, options) => runNode(runner, request, options),
    pullNode: (request, options) => pullNode(runner, request, options),
  };
  return Object.assign(new LocalModel(runner, () => 1 << 30), nodes);
}

/** Opens models once each, and closes them all. */
export function circuitShelf(): { open: (folder: string) => CircuitModel; close: () => Promise<void> } {
  const shelf = new Map<string, CircuitModel>();
  const open = (folder: string): CircuitModel => {
    const model = shelf.get(folder) ?? openCircuitModel(folder);
    shelf.set(folder, model);
    return model;
  };
  return { open, close: async () => void (await Promise.all([...shelf.values()].map((model) => model.close()))) };
}
