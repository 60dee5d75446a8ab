/** @file Starts a worker thread of Node and loads a model there. A worker that ends by itself, for whatever reason, is an error of every call. */
import thisProcess from "node:process";
import { Worker } from "node:worker_threads";
import { refuse, type SextantError } from "../../base/errors.js";
import type { ModelSpec } from "../../models/spec.js";
import { closeGate, newGate, type Gate } from "../gate.js";
import type { Model } from "../model.js";
import { Caller } from "./caller.js";
import type { CallOptions, ToCaller } from "./protocol.js";
import { WorkerModel } from "./worker-model.js";

/** The worker's program: as compiled, or, where this file runs as it was written, with what lets Node read that. */
const PROGRAM = new URL(import.meta.url.endsWith(".ts") ? "./from-source.mjs" : "./main.js", import.meta.url);

/** A worker without the flags of this process: with `--input-type`, for one, no file can be run. */
const startWorker = (gate: Gate): Worker => new Worker(PROGRAM, { execArgv: [], workerData: gate });

/** Gates of the workers that are there. */
const gates = new Set<Gate>();
/** How long a process that ends waits for what is being computed, in milliseconds. */
const LAST_WAIT = 60_000;

/** Node ends all threads when the process exits; none may be inside ONNX Runtime then. */
function closeAllGates(): void {
  for (const gate of gates) closeGate(gate, LAST_WAIT);
}

/** The model in a folder, in a worker of its own. The process does not wait for workers that have nothing to do. */
export async function loadInWorker(path: string, options: CallOptions, start = startWorker): Promise<Model> {
  const gate = newGate();
  const worker = start(gate);
  if (gates.size === 0) thisProcess.on("exit", closeAllGates);
  gates.add(gate);
  const caller = new Caller({
    post: (message, transfer) => worker.postMessage(message, transfer),
    hold: (isAwaited) => (isAwaited ? worker.ref() : worker.unref()),
    cut: () => worker.terminate(),
  });
  worker.on("message", (message: ToCaller) => caller.hear(message));
  worker.on("error", (error) => caller.lose(() => lost(error)));
  worker.on("messageerror", (error) => caller.lose(() => lost(error)));
  worker.on("exit", (code) => {
    gates.delete(gate);
    if (gates.size === 0) thisProcess.off("exit", closeAllGates);
    caller.lose(() => lost(`it ended with exit code ${code}`));
  });
  try {
    return new WorkerModel((await caller.call("load", [path], options)) as ModelSpec, caller);
  } catch (error) {
    await caller.cut();
    throw error;
  }
}

/** Why nothing can be had from the worker any more. */
function lost(error: unknown): SextantError {
  const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  const said = error instanceof Error ? error.message : String(error);
  const why = isMemory ? "its worker ran out of memory" : `its worker failed: ${said}`;
  const instead = isMemory ? "load it again, and ask for fewer or shorter rows" : "load it again";
  const refusal = refuse({ what: "the model is lost", why, instead }, isMemory ? "memory" : "internal");
  if (error instanceof Error) refusal.cause = error;
  return refusal;
}
