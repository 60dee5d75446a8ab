/** @file Continuations that a model in training writes itself: its parameters are written to a folder, and the engine generates from it. */
import { loadModel } from "../runtime/load.js";
import { writeModel, type ModelFiles } from "./checkpoint.js";
import type { Parameters } from "./step-types.js";

export interface RolloutOptions {
  /** A folder that may be written over. */
  readonly folder: string;
  readonly model: ModelFiles;
  readonly maxNew: number;
  /** 0: always the likeliest token. */
  readonly temperature: number;
  readonly seed: number;
  /** Rows generated at once. Default 128. */
  readonly rows?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal | undefined;
}

/** The new tokens of each prompt, the end token included where there is one. Equal prompts draw apart. */
export async function rollOut(
  parameters: Parameters,
  prompts: readonly (readonly number[])[],
  { folder, model, maxNew, temperature, seed, rows = 128, threads, signal }: RolloutOptions,
): Promise<(readonly number[])[]> {
  writeModel(folder, parameters, model);
  const loaded = await loadModel(folder, { lazy: true, ...(threads !== undefined && { threads }) });
  const written: (readonly number[])[] = [];
  try {
    for (let at = 0; at < prompts.length; at += rows) {
      const sampling = { temperature, seed: seed + at };
      const request = { tokens: prompts.slice(at, at + rows), maxNew, ...(temperature > 0 && { sampling }) };
      const { tokens } = await loaded.generate(request, { ...(signal && { signal }) });
      written.push(...tokens);
    }
  } finally {
    await loaded.close();
  }
  return written;
}
