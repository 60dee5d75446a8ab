/** @file Whether a run's files are those that it wrote: sizes and SHA-256 of all of them, and nothing besides. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileError } from "../formats/files.js";
import { fileRecord } from "./file-record.js";
import type { RunFile, RunManifest } from "./manifest.js";
import { readStartedFile, type RunHead } from "./records.js";
import { RUN_FILES, runPath } from "./run-paths.js";
import { readManifest } from "./stored-run.js";

const DEEPEST = 4;

/** A line for each file of the whole run in `folder` that is missing, changed or unknown; none where all is as it was written. `run.json` is taken at its word. */
export function checkFiles(folder: string): readonly string[] {
  const manifest = readManifest(folder);
  const known = new Set<string>([RUN_FILES.manifest, RUN_FILES.started, ...recordsOf(manifest).map(({ path }) => path)]);
  const unknown = pathsIn(folder).filter((path) => !known.has(path));
  return [...damagedFiles(folder, manifest), ...unknown.map((path) => `${path} is unknown`)];
}

/** As `checkFiles`, without files that the run does not know. */
export function damagedFiles(folder: string, manifest: RunManifest): readonly string[] {
  return [...startedProblems(folder, manifest), ...differentFiles(folder, recordsOf(manifest))];
}

function recordsOf({ files, steps }: RunManifest): RunFile[] {
  return [...files, ...steps.flatMap((step) => step.files)];
}

/** A line for each of the files that is missing or changed. */
export function differentFiles(folder: string, records: readonly RunFile[]): string[] {
  const present = new Set(pathsIn(folder));
  return records.flatMap((record) => {
    if (!present.has(record.path)) return [`${record.path} is missing`];
    const { bytes, sha256 } = fileRecord(join(folder, record.path), record.path);
    if (bytes !== record.bytes) return [`${record.path} is changed: it has ${bytes} bytes, written were ${record.bytes}`];
    return sha256 === record.sha256 ? [] : [`${record.path} is changed`];
  });
}

/** `started.json` has no hash of its own; all it says is in the manifest. */
function startedProblems(folder: string, manifest: RunManifest): string[] {
  const path = runPath(folder, "started");
  if (!pathsIn(folder).includes(RUN_FILES.started)) return [`${RUN_FILES.started} is missing`];
  try {
    const { format: _format, version: _version, resumed, ...head } = readStartedFile(path);
    const same = resumed === manifest.resumed && Object.keys(head).every((key) => isEqual(head, manifest, key as keyof RunHead));
    return same ? [] : [`${RUN_FILES.started} is changed`];
  } catch {
    return [`${RUN_FILES.started} is changed`];
  }
}

function isEqual(a: RunHead, b: RunHead, key: keyof RunHead): boolean {
  return JSON.stringify(a[key]) === JSON.stringify(b[key]);
}

/** Every file below the folder, and whatever else is no folder, by its path with slashes. */
function pathsIn(folder: string, prefix = "", depth = 0): string[] {
  try {
    return readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
      const path = prefix ? `${prefix}/${entry.name}` : entry.name;
      return entry.isDirectory() && depth < DEEPEST ? pathsIn(folder, path, depth + 1) : [path];
    });
  } catch (error) {
    throw fileError("cannot read", folder, error);
  }
}
