/**
 * @file The shared folder of real models, tokenizers and goldens, which is not part of the repository. It lies beside it, or where
 * `SEXTANT_SHARED` says. Without it the tests that need it are skipped, except under CI, where its absence is an error.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("..", import.meta.url));
const folder = resolve(repository, process.env["SEXTANT_SHARED"] ?? "../shared");

/** Whether the shared folder is there: `describe.skipIf(!hasShared)`. */
export const hasShared = existsSync(folder);

if (!hasShared && process.env["CI"] === "true") throw new Error(`the shared folder ${folder} is missing; set SEXTANT_SHARED`);

/** The path of something in the shared folder. */
export function sharedPath(...parts: string[]): string {
  return resolve(folder, ...parts);
}
