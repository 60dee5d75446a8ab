/** @file A whole run, read from its folder: what reports are made of, and what comparisons hold against each other. */
import { join } from "node:path";
import { refuse, SextantError } from "../base/errors.js";
import { isThere, statOf } from "../formats/files.js";
import type { RunManifest } from "./manifest.js";
import { readFindingsFile, readManifestFile, type StoredFinding } from "./records.js";
import { runPath } from "./run-paths.js";
import { readStoredStep, type StoredStep } from "./step-folder.js";

/** A run as plain data. Generations are names only; `readGenerations` gives their rows. */
export interface StoredRun {
  readonly folder: string;
  readonly manifest: RunManifest;
  /** In the order of the steps. */
  readonly findings: readonly StoredFinding[];
  readonly steps: readonly StoredStep[];
}

/** The whole run in the folder. Hashes are not checked: `checkFiles` does that. */
export function readRun(folder: string): StoredRun {
  return storedRun(folder, readManifest(folder));
}

/** The manifest of the whole run in the folder; a folder without one is refused with the reason. */
export function readManifest(folder: string): RunManifest {
  statOf(folder);
  if (isThere(runPath(folder, "manifest"))) return readManifestFile(runPath(folder, "manifest"));
  const what = `cannot read ${folder} as a run`;
  if (isThere(runPath(folder, "started")))
    throw refuse({ what, why: "it was stopped before its end", instead: "repeat its command, which goes on" }, "file");
  throw refuse({ what, why: "it has no run.json", instead: "name the folder that a study was run into" }, "file");
}

/** The run in the folder whose manifest is, or will be, the given one. */
export function storedRun(folder: string, manifest: RunManifest): StoredRun {
  const { findings } = readFindingsFile(runPath(folder, "findings"));
  const steps = manifest.steps.map(({ name }) => readStoredStep(join(runPath(folder, "steps")), name));
  const known = new Set(steps.map(({ name }) => name));
  const stray = findings.find(({ step }) => !known.has(step));
  if (stray) throw new SextantError("format", `${runPath(folder, "findings")}: ${stray.id} is of step ${stray.step}, which the run lacks`);
  return { folder, manifest, findings, steps };
}
