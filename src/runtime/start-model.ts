/** @file A spec, its checkpoint and whoever runs graphs → a model ready to run. */
import { describeBytes } from "../base/bytes.js";
import { refuse, SextantError } from "../base/errors.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { weightsOf } from "../models/check-weights.js";
import type { ModelSpec } from "../models/spec.js";
import { Engine } from "./engine.js";
import { weightBytes } from "./forecast.js";
import type { GraphHost } from "./graph-host.js";
import { LocalModel } from "./local-model.js";
import type { Model, Progress } from "./model.js";

/** The share of the memory that sessions' weights may take, so that some is left for what they compute. */
const WEIGHT_SHARE = 0.7;

/** What a model is made of. */
export interface ModelParts {
  readonly spec: ModelSpec;
  /** The model closes it. */
  readonly checkpoint: Checkpoint;
  readonly host: GraphHost;
  /** How many bytes weights and results may take, asked when it comes to them. */
  readonly memoryLeft: () => number;
}

export interface StartOptions {
  /** Make each session when it is first needed instead of all now. */
  readonly lazy?: boolean;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** The model, its sessions made; where that fails they are closed, and the checkpoint is left to the caller. */
export async function startModel({ spec, checkpoint, host, memoryLeft }: ModelParts, options: StartOptions): Promise<Model> {
  for (const weight of weightsOf(spec)) host.locate(weight);
  const engine = new Engine(spec, host, { weightLimit: Math.max(memoryLeft() * WEIGHT_SHARE, weightBytes(spec)) });
  try {
    if (!options.lazy) await warm(engine, options);
    return new LocalModel({ spec, engine, checkpoint }, memoryLeft);
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Throws where the weights, at four bytes each, are more than `limit` bytes. */
export function refuseTooLarge(spec: ModelSpec, path: string, limit: number): void {
  const bytes = weightBytes(spec);
  if (bytes <= limit) return;
  throw refuse(
    {
      what: `cannot load ${path}`,
      why: `its weights take ${describeBytes(bytes)} as float32, there are ${describeBytes(limit)} of memory for them`,
      instead: "use a smaller model or a larger machine",
    },
    "memory",
  );
}

/**
 * Makes the sessions one after another, so that only one is packed at a time, and the unembedding first: while a session is
 * made its weights are in memory twice, and that one is the largest.
 */
async function warm(engine: Engine, { onProgress, signal }: StartOptions): Promise<void> {
  const stages = [engine.unembedding, ...engine.blocks, ...(engine.finalNorm ? [engine.finalNorm] : []), engine.embedding];
  for (const [index, stage] of stages.entries()) {
    if (signal?.aborted) throw new SextantError("interrupted", "loading was interrupted", { cause: signal.reason });
    await stage.warm();
    onProgress?.({ stage: "sessions", done: index + 1, total: stages.length });
  }
}
