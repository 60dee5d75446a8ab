/** @file The runs below a folder: whole ones with what they are of, and those that cannot be read with the reason. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isSextantError, refuse } from "../base/errors.js";
import { fileError, isThere } from "../formats/files.js";
import type { RunManifest } from "./manifest.js";
import { readFindingsFile } from "./records.js";
import { runPath } from "./run-paths.js";
import { readManifest } from "./stored-run.js";

/** A whole run. */
export interface WholeRun {
  /** From the folder that was listed, with slashes; `.` for that folder itself. */
  readonly path: string;
  readonly study: string;
  /** The id of the main model. */
  readonly model: string;
  readonly finished: string;
  readonly findings: number;
  /** What its steps took in all. */
  readonly ms: number;
}

/** A run that was stopped, or whose files cannot be read. */
export interface BrokenRun {
  readonly path: string;
  readonly broken: string;
}

const DEEPEST = 3;
const MOST_FOLDERS = 20_000;

/** All runs in a folder and up to three folders below it, by path. Inside runs, behind links and in hidden folders is not looked. */
export function listRuns(folder: string): readonly (WholeRun | BrokenRun)[] {
  return runFolders(folder).map((path): WholeRun | BrokenRun =>
    orBroken(path, () => {
      const manifest = readManifest(join(folder, path));
      const { findings } = readFindingsFile(runPath(join(folder, path), "findings"));
      const ms = manifest.steps.reduce((sum, step) => sum + step.ms, 0);
      return { path, study: manifest.study, model: mainModel(manifest), finished: manifest.finished, findings: findings.length, ms };
    }),
  );
}

/** The id of the main model of a run. */
export function mainModel({ models }: RunManifest): string {
  return (models["model"] ?? Object.values(models)[0])?.id ?? "";
}

/** What `read` gives, or why it cannot. */
export function orBroken<T>(path: string, read: () => T): T | BrokenRun {
  try {
    return read();
  } catch (error) {
    if (!isSextantError(error) || error.kind === "internal") throw error;
    return { path, broken: error.refusal?.why ?? error.message };
  }
}

function runFolders(root: string): string[] {
  const found: string[] = [];
  let looked = 0;
  const look = (path: string, depth: number): void => {
    const folder = join(root, path);
    if (++looked > MOST_FOLDERS) {
      const why = `there are more than ${MOST_FOLDERS} folders below it`;
      throw refuse({ what: `cannot list the runs in ${root}`, why, instead: "name the folder that holds the runs" }, "request");
    }
    if (isThere(runPath(folder, "manifest")) || isThere(runPath(folder, "started"))) found.push(path);
    else if (depth < DEEPEST) for (const name of foldersIn(folder)) look(path === "." ? name : `${path}/${name}`, depth + 1);
  };
  look(".", 0);
  return found;
}

function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() && !entry.name.startsWith(".") ? [entry.name] : [])).toSorted();
  } catch (error) {
    throw fileError("cannot list the runs in", folder, error);
  }
}
