/** @file What the system knows of a path of the cache, where there may be nothing. */
import { statSync, type Stats } from "node:fs";
import { fileError } from "../files.js";

/** Of the file or folder, links followed; undefined where there is none. */
export function statsIfThere(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw fileError("cannot read", path, error);
  }
}
