/** @file A folder in Hugging Face layout, or a model in the hub's cache → a model ready to run, or only its spec. */
import { join } from "node:path";
import { refuse, SextantError } from "../base/errors.js";
import { breathe, heed } from "../base/interruption.js";
import { isThere, statOf } from "../formats/files.js";
import { findModel } from "../formats/hub/resolve-model.js";
import { isGguf } from "../formats/gguf/header.js";
import { readJsonObject } from "../formats/json-file.js";
import { openCheckpoint, type Checkpoint } from "../formats/safetensors.js";
import { computedWeights } from "../models/check-weights.js";
import { readModelSpec } from "../models/read-spec.js";
import { checkDevice, type Device } from "./device.js";
import type { WeightRef } from "../models/spec.js";
import { openGgufModel } from "./gguf-model.js";
import { joinAdapter, type ModelOnDisk } from "./join-adapter.js";
import { memoryLeft } from "./memory.js";
import type { Model, Progress } from "./model.js";
import { demandFloat32 } from "./provider-files.js";
import { quantiseModel } from "./quantised-model.js";
import { residenceWithin } from "./residence.js";
import { refuseTooLarge, startModel } from "./start-model.js";
import { diskHost, WeightFiles } from "./weight-files.js";
import { checkFormOn, checkWeightForm, type WeightForm } from "./weight-forms.js";
import { loadInWorker } from "./worker/open-worker.js";

/** More threads than any machine has cores; ONNX Runtime hangs while it makes a million. */
const MOST_THREADS = 1024;

export interface LoadOptions {
  /** Threads a session computes with. Default: as many as the machine has cores. */
  readonly threads?: number;
  /** Where it computes. Default: the CPU. A device that cannot be used is refused, with what to install. */
  readonly device?: Device;
  /**
   * Most bytes that weights or results may take. Default: what the system can give when it comes to them. Where the weights take more, the
   * model runs streamed: as many blocks as fit stay, the others are loaded and released in turn, and results may take what weights may not.
   */
  readonly memoryLimit?: number;
  /** Make each session when it is first needed instead of all now. */
  readonly lazy?: boolean;
  /** A folder with a LoRA adapter as `peft` writes it; its term is computed beside the model's own weights. */
  readonly adapter?: string;
  /** Run the model in a worker thread of its own, so that this one stays free. Close it when it is no longer needed. */
  readonly worker?: boolean;
  /**
   * How linear maps are stored and multiplied. `int8`, `int4`: as whole numbers of at most so many bits, in blocks with one scale each, the activations rounded to 8 bits
   * besides; the unembedding always has 8. Made once, in the cache folder. Default `float32`.
   */
  readonly weights?: WeightForm;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/**
 * The model in a folder, ready to run. `ORG/NAME` or `ORG/NAME@REVISION` is a model of the hub that is in its cache; nothing is downloaded here:
 * `resolveModel` and `sextant pull` do that.
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  const { memoryLimit } = options;
  checkOptions(options);
  const { worker = false, ...others } = options;
  demandFloat32(options.device);
  if (worker) return loadInWorker(path, others);
  const { spec, checkpoint } = openParts(path, options);
  try {
    const limit = memoryLimit ?? memoryLeft();
    const residence = residenceWithin(spec, limit);
    if (!residence) refuseTooLarge(spec, path, limit);
    const weights = computedWeights(spec);
    await makeFiles(checkpoint, weights, options);
    const host = diskHost(new WeightFiles(checkpoint, weights), sessionsOf(options));
    const left = memoryLimit && memoryLimit - (residence?.room ?? 0);
    return await startModel({ spec, checkpoint, host, residence, memoryLeft: () => left ?? memoryLeft() }, options);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** Spec and checkpoint as the options ask for them; the caller closes the checkpoint. */
function openParts(path: string, { weights = "float32", adapter }: LoadOptions): ModelOnDisk {
  const base = quantiseModel(readSpec(path), weights);
  return adapter === undefined ? base : joinAdapter(base, adapter);
}

/** How its sessions are opened. */
function sessionsOf({ threads, device }: LoadOptions): Pick<LoadOptions, "threads" | "device"> {
  return { ...(threads !== undefined && { threads }), ...(device !== undefined && { device }) };
}

function checkOptions({ threads = 1, memoryLimit = 1, device = "cpu", weights = "float32", signal }: LoadOptions): void {
  checkDevice(device);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
    throw new SextantError("usage", `threads must be a whole number from 1 to ${MOST_THREADS}, got ${threads}`);
  if (!(memoryLimit > 0)) throw new SextantError("usage", `memoryLimit must be a number of bytes above 0, got ${memoryLimit}`);
  checkFormOn(device, checkWeightForm(weights));
  heed(signal, "loading");
}

/** What a model's `config.json` and checkpoint describe; nothing is computed. It is named as for `loadModel`. The caller closes the checkpoint. */
export function readSpec(named: string): ModelOnDisk {
  const path = findModel(named);
  if (isGguf(path)) return openGgufModel(path);
  const where = join(path, "config.json");
  const why = !statOf(path, "the model").isDirectory() ? "it is a file" : isThere(where) ? undefined : "it has no config.json";
  if (why) throw refuse({ what: `cannot load ${path}`, why, instead: "give a folder with config.json and model.safetensors" }, "file");
  const json = readJsonObject(where);
  const checkpoint = openCheckpoint(path);
  try {
    const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
    return { spec: readModelSpec(json, shapes, where), checkpoint };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** Makes what the checkpoint makes when it is needed (weights of a GGUF file, and quantised ones), with pauses in which the signal is heard. */
async function makeFiles(checkpoint: Checkpoint, weights: readonly WeightRef[], { onProgress, signal }: LoadOptions): Promise<void> {
  for (const { done, total } of checkpoint.prepare(weights.map(({ name }) => name))) {
    onProgress?.({ stage: "weights", done, total });
    await breathe(signal, "loading");
  }
}
