/** @file Names of the files in a run's folder. */
import { join } from "node:path";

export const RUN_FILES = {
  manifest: "run.json",
  started: "started.json",
  findings: "findings.json",
  report: "report.html",
  pieces: "pieces.journal",
  steps: "steps",
} as const;

/** The path of one of them. */
export function runPath(folder: string, file: keyof typeof RUN_FILES): string {
  return join(folder, RUN_FILES[file]);
}
