/** @file A worker like Sextant's own whose thread dies, in a way that the first token says, while it is asked for a run. */
import { parentPort } from "node:worker_threads";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import { Host } from "../../../src/runtime/worker/host.js";
import type { ToWorker } from "../../../src/runtime/worker/protocol.js";

/** What dies how, by the first token. */
const DEATHS: Readonly<Record<number, () => void>> = {
  10: () => process.exit(3),
  11: () => {
    throw new Error("the thread is done for");
  },
  12: () => void Promise.reject(new TypeError("nobody caught this")),
  13: () => {
    const heap: number[][] = [];
    for (;;) heap.push(Array.from({ length: 1 << 14 }, (_, i) => heap.length + i / 3));
  },
};

async function loadMortal(path: string): Promise<Model> {
  const model = await loadModel(path, { threads: 1 });
  const forward = model.forward.bind(model);
  model.forward = (request, options) => {
    const die = DEATHS[request.tokens[0]![0]!];
    if (!die) return forward(request, options);
    setImmediate(die);
    return new Promise(() => undefined);
  };
  return model;
}

const host = new Host(loadMortal, (message, transfer) => parentPort!.postMessage(message, transfer));
parentPort!.on("message", (message: ToWorker) => host.hear(message));
