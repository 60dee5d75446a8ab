/** @file A spec, its checkpoint and whoever runs graphs → a model ready to run. */
import { describeBytes } from "../base/bytes.js";
import { refuse } from "../base/errors.js";
import { breathe, heed } from "../base/interruption.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import { computedWeights } from "../models/check-weights.js";
import { isQuantised } from "../models/quantised.js";
import type { ModelSpec } from "../models/spec.js";
import { brokenWeights } from "./diagnose.js";
import { Engine } from "./engine.js";
import { weightBytes } from "./forecast.js";
import type { GraphHost } from "./graph-host.js";
import { LocalModel } from "./local-model.js";
import type { Model, Progress } from "./model.js";
import { leastMemory, WEIGHT_SHARE, type Residence } from "./residence.js";

/** What a model is made of. */
export interface ModelParts {
  readonly spec: ModelSpec;
  /** The model closes it. */
  readonly checkpoint: Checkpoint;
  readonly host: GraphHost;
  /** How many bytes weights and results may take, asked when it comes to them. */
  readonly memoryLeft: () => number;
  /** What stays in memory where not all weights fit. */
  readonly residence?: Residence | undefined;
}

export interface StartOptions {
  /** Make each session when it is first needed instead of all now. */
  readonly lazy?: boolean;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** The model, its sessions made; where that fails they are closed, and the checkpoint is left to the caller. */
export async function startModel(parts: ModelParts, options: StartOptions): Promise<Model> {
  const { spec, checkpoint, host, memoryLeft, residence } = parts;
  for (const weight of computedWeights(spec)) host.locate(weight);
  if (host.device === "webgpu") await refuseBroken(checkpoint, spec, options.signal);
  const engine = new Engine(spec, host, { weightLimit: Math.max(memoryLeft() * WEIGHT_SHARE, weightBytes(spec)), residence });
  try {
    if (!options.lazy) await warm(engine, options);
    return new LocalModel({ spec, engine, checkpoint }, memoryLeft);
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Throws where the weights are more than `limit` bytes; says with how many the model would run block by block. */
export function refuseTooLarge(spec: ModelSpec, path: string, limit: number): void {
  const bytes = weightBytes(spec);
  if (bytes <= limit) return;
  const isSmall = isQuantised(spec);
  throw refuse(
    {
      what: `cannot load ${path}`,
      why: `its weights take ${describeBytes(bytes)}${isSmall ? "" : " as float32"}, there are ${describeBytes(limit)} of memory for them`,
      instead: `give it ${describeBytes(leastMemory(spec))} at least, to run block by block; or ${isSmall ? "" : "quantise the weights, or "}use a smaller model or a larger machine`,
    },
    "memory",
  );
}

/**
 * Refuses weights that are not numbers. Elsewhere they show in what is computed, but shaders may leave them out: on Mesa's lavapipe 25.0 the larger of NaN
 * and 0 is 0, so a ReLU hides them.
 */
async function refuseBroken(checkpoint: Checkpoint, spec: ModelSpec, signal: AbortSignal | undefined): Promise<void> {
  for (const broken of brokenWeights(checkpoint, spec)) {
    if (broken) throw broken;
    await breathe(signal, "loading");
  }
}

/** Makes the sessions that stay one after another, so that only one is packed at a time. */
async function warm(engine: Engine, { onProgress, signal }: StartOptions): Promise<void> {
  const stages = engine.staying();
  for (const [index, stage] of stages.entries()) {
    heed(signal, "loading");
    await stage.warm();
    onProgress?.({ stage: "sessions", done: index + 1, total: stages.length });
  }
}
