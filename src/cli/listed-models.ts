/** @file The models in the hub's cache with what Sextant can do with them, by their configurations and the headers of their weights. */
import { isSextantError, SextantError } from "../base/errors.js";
import { cachedModels, type CachedModel } from "../formats/hub/cache.js";
import { readJsonObject } from "../formats/json-file.js";
import { openCheckpoint } from "../formats/safetensors.js";
import { readSpec } from "../runtime/load.js";

/** A model in the cache, and what Sextant can do with it. */
export interface ListedModel extends CachedModel {
  /** Its `model_type`, where it has a configuration. */
  readonly family?: string;
  /** Kinds of numbers in its weights, the most frequent first. */
  readonly dtypes: readonly string[];
  /** Why it cannot be run; absent where it can. */
  readonly problem?: string;
}

/** Every commit of every model in the cache, by name. */
export function listedModels(cache: string): ListedModel[] {
  return cachedModels(cache).map(listed);
}

function listed(model: CachedModel): ListedModel {
  const facts = { ...model, ...familyOf(model), dtypes: dtypesOf(model) };
  if (!model.isWhole) return { ...facts, problem: `configuration or weights are missing; sextant pull ${model.name} completes it` };
  const outcome = tried(() => {
    const { spec, checkpoint } = readSpec(model.folder);
    checkpoint.close();
    return spec.family;
  });
  return outcome instanceof SextantError ? { ...facts, problem: outcome.message } : { ...facts, family: outcome };
}

function familyOf({ folder }: CachedModel): { family?: string } {
  const config = tried(() => readJsonObject(`${folder}/config.json`));
  const family = config instanceof SextantError ? undefined : config["model_type"];
  return typeof family === "string" ? { family } : {};
}

function dtypesOf({ folder, isWhole }: CachedModel): string[] {
  const checkpoint = isWhole ? tried(() => openCheckpoint(folder)) : undefined;
  if (checkpoint === undefined || checkpoint instanceof SextantError) return [];
  const counts = new Map<string, number>();
  for (const { dtype } of checkpoint.tensors.values()) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  checkpoint.close();
  return [...counts].toSorted(([, a], [, b]) => b - a).map(([dtype]) => dtype);
}

function tried<T>(action: () => T): T | SextantError {
  try {
    return action();
  } catch (error) {
    if (isSextantError(error)) return error;
    throw error;
  }
}
