/** @file What a user calls a model → the folder that it lies in: a path is itself, an id of the hub is looked up in the cache, then downloaded. */
import { isSextantError, refuse, SextantError } from "../../base/errors.js";
import { isThere } from "../files.js";
import { cachedSnapshot } from "./cache.js";
import { parseModelId } from "./model-id.js";
import { pullModel, type PullOptions } from "./pull.js";
import { cacheOf, hubSettings, type HubOptions } from "./settings.js";

/**
 * The folder of a model. An existing folder is itself, and so is a path that is no id. `ORG/NAME` or `ORG/NAME@REVISION` is the snapshot in the
 * hub's cache; one that is not there, or lacks weights, is downloaded unless `offline`, of which `onPlan` tells before it begins. A branch
 * that is in the cache is not asked for again: `pullModel` does that.
 */
export async function resolveModel(model: string, options: Omit<PullOptions, "include"> = {}): Promise<string> {
  const { cache, offline } = hubSettings(options);
  const here = folderHere(model, cache);
  if (here !== undefined) return here;
  if (offline) throw notHere(model, cache, "unset HF_HUB_OFFLINE, and it is downloaded");
  return (await pullModel(model, options).catch(alsoNoFolder(model))).folder;
}

/** What cannot be downloaded may have been meant as a path. */
function alsoNoFolder(model: string): (error: unknown) => never {
  return (error) => {
    if (!isSextantError(error) || error.kind !== "file") throw error;
    throw new SextantError("file", `there is no folder ${model} here; ${error.message}`, {
      ...(error.refusal && { refusal: error.refusal }),
      cause: error,
    });
  };
}

/** As `resolveModel` without a network: an id that is not in the cache is a `file` error. */
export function findModel(model: string, options: Pick<HubOptions, "cache" | "environment"> = {}): string {
  const cache = cacheOf(options);
  const here = folderHere(model, cache);
  if (here !== undefined) return here;
  throw notHere(model, cache, `download it with \`sextant pull ${model}\` or \`await resolveModel("${model}")\``);
}

function folderHere(model: string, cache: string): string | undefined {
  const id = isThere(model) ? undefined : parseModelId(model);
  if (!id) return model;
  // A single word may be an old model of the hub that is in the cache, but is more likely a folder's name with a mistake in it.
  return cachedSnapshot(cache, id) ?? (id.name.includes("/") ? undefined : model);
}

function notHere(model: string, cache: string, instead: string): Error {
  const why = `there is no such folder, and the hub's cache ${cache} does not have it with its weights`;
  return refuse({ what: `cannot find the model ${model}`, why, instead }, "file");
}
