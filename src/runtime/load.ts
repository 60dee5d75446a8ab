/** @file A folder in Hugging Face layout → a model, or only its spec. */
import { join } from "node:path";
import { totalmem } from "node:os";
import { refuse, SextantError } from "../base/errors.js";
import { statOf } from "../formats/files.js";
import { readJsonObject } from "../formats/json.js";
import { openCheckpoint, type Checkpoint } from "../formats/safetensors.js";
import { readModelSpec } from "../models/read-spec.js";
import type { ModelSpec } from "../models/spec.js";
import { Engine } from "./engine.js";
import { weightBytes } from "./forecast.js";
import { LocalModel } from "./local-model.js";
import type { Model, Progress } from "./model.js";
import { WeightFiles } from "./weight-files.js";

export interface LoadOptions {
  /** Threads a session computes with. Default: as many as the machine has cores. */
  readonly threads?: number;
  /** Most bytes that weights or results may take. Default: the machine's memory. */
  readonly memoryLimit?: number;
  /** Make each session when it is first needed instead of all now. */
  readonly lazy?: boolean;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** The model in a folder, ready to run. */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  const { spec, checkpoint } = readSpec(path);
  refuseTooLarge(spec, path, options.memoryLimit ?? totalmem());
  const engine = new Engine(spec, new WeightFiles(checkpoint), options.threads === undefined ? {} : { threads: options.threads });
  if (!options.lazy) await warm(engine, options);
  return new LocalModel(spec, engine, checkpoint, options.memoryLimit === undefined ? {} : { memoryLimit: options.memoryLimit });
}

/** What a folder's `config.json` and checkpoint describe; nothing is computed. The caller closes the checkpoint. */
export function readSpec(path: string): { spec: ModelSpec; checkpoint: Checkpoint } {
  if (!statOf(path, "the model").isDirectory()) {
    const instead = "give a folder with config.json and model.safetensors";
    throw refuse({ what: `cannot load ${path}`, why: "it is a file", instead }, "file");
  }
  const where = join(path, "config.json");
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

function refuseTooLarge(spec: ModelSpec, path: string, limit: number): void {
  const bytes = weightBytes(spec);
  if (bytes <= limit) return;
  const gigabytes = (count: number): string => `${(count / 1e9).toFixed(1)} GB`;
  throw refuse(
    {
      what: `cannot load ${path}`,
      why: `its weights take ${gigabytes(bytes)} as float32, the limit is ${gigabytes(limit)}`,
      instead: "use a smaller model or a larger machine",
    },
    "memory",
  );
}

/**
 * Makes the sessions one after another, so that only one is packed at a time, and the unembedding first: while a session is
 * made its weights are in memory twice, and that one is the largest.
 */
async function warm(engine: Engine, { onProgress, signal }: LoadOptions): Promise<void> {
  const stages = [engine.unembedding, ...engine.blocks, ...(engine.finalNorm ? [engine.finalNorm] : []), engine.embedding];
  for (const [index, stage] of stages.entries()) {
    if (signal?.aborted) throw new SextantError("interrupted", "loading was interrupted");
    await stage.warm();
    onProgress?.({ stage: "sessions", done: index + 1, total: stages.length });
  }
}
