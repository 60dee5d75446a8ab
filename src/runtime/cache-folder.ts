/** @file Where files lie that are made from models. */
import { homedir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { resolveFuture } from "../formats/files.js";

/** A folder below `SEXTANT_CACHE`, or below `sextant` in the user's folder for caches, links resolved. */
export function cacheFolder(name: "gguf" | "quantised" | "hashes"): string {
  const own = env["SEXTANT_CACHE"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sextant");
  return resolveFuture(join(own, name));
}
