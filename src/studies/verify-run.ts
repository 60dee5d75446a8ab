/** @file Running a run again and holding the numbers of both against each other. */
import { refuse } from "../base/errors.js";
import { damagedFiles } from "../store/check-files.js";
import { compareRuns, type Comparison } from "../store/compare.js";
import type { ModelRecord, RunManifest } from "../store/manifest.js";
import { readManifest, readRun, type StoredRun } from "../store/stored-run.js";
import { identifyModel, identifyTokenizer } from "./identify.js";
import { runStudy, type StudyOptions } from "./run-study.js";
import { studyNamed } from "./studies.js";

export interface VerifyRequest {
  /** The run's folder. */
  readonly folder: string;
  /** Where the second run goes: a new folder, or one of a second run that was stopped. */
  readonly again: string;
  /** Folders of the models by role, where they are not where the run says. */
  readonly models?: Readonly<Record<string, string>>;
}

/** What a second run found. */
export interface Verification {
  /** Files of the first run that are not as it wrote them; its numbers are then compared all the same. */
  readonly damaged: readonly string[];
  readonly comparison: Comparison;
  /** Every finding and every cell of a table agrees within its tolerance, and no step is missing. */
  readonly agrees: boolean;
  readonly second: StoredRun;
}

/** Runs the study of a run again, with its parameters, seed and models, and compares. */
export async function verifyRun(request: VerifyRequest, options: StudyOptions = {}): Promise<Verification> {
  const manifest = readManifest(request.folder);
  const damaged = damagedFiles(request.folder, manifest);
  const study = studyNamed(manifest.study);
  if (study.version !== manifest.studyVersion) {
    const why = `the run is of version ${manifest.studyVersion} of ${study.name}, this Sextant has version ${study.version}`;
    throw refuse({ what: `cannot verify ${request.folder}`, why, instead: `use Sextant ${manifest.engine.sextant}` }, "request");
  }
  const folders = foldersOf(manifest, request.models ?? {});
  const { model, ...others } = folders;
  const second = await runStudy(
    { study, model: model!, others, parameters: manifest.parameters, seed: manifest.seed, folder: request.again },
    options,
  );
  const comparison = compareRuns(readRun(request.folder), second);
  const { steps, findings, tables } = comparison;
  const agrees = steps.length === 0 && findings.differ.length === 0 && tables.differ.length === 0;
  return { damaged, comparison, agrees, second };
}

/** The folder of each model, once its files are known to be those of the run. */
function foldersOf({ models, tokenizers }: RunManifest, given: Readonly<Record<string, string>>): Record<string, string> {
  const stray = Object.keys(given).find((role) => !Object.hasOwn(models, role));
  if (stray !== undefined)
    throw refuse(
      {
        what: `cannot take ${given[stray]} as ${stray}`,
        why: `the run has ${Object.keys(models).join(", ")}`,
        instead: "name one of these",
      },
      "usage",
    );
  return Object.fromEntries(
    Object.entries(models).map(([role, record]) => {
      const path = given[role] ?? record.path;
      checkModel(role, record, path);
      checkTokenizer({ role, record, path }, tokenizers[role]);
      return [role, path];
    }),
  );
}

function checkModel(role: string, record: ModelRecord, path: string): void {
  const found = new Map(identifyModel(path, record).files.map((file) => [file.path, file.sha256]));
  const other = record.files.find((file) => found.get(file.path) !== file.sha256);
  if (!other && found.size === record.files.length) return;
  const why = other ? `its ${other.path} ${found.has(other.path) ? "is another" : "is missing"}` : "it has other files";
  const named = record.revision === null ? record.id : `${record.id} at ${record.revision}`;
  throw refuse({ what: `cannot verify with ${path} as ${role}`, why, instead: `name a folder that holds ${named}` }, "request");
}

function checkTokenizer(
  { role, record, path }: { readonly role: string; readonly record: ModelRecord; readonly path: string },
  sha256: string | undefined,
): void {
  const found = identifyTokenizer(path);
  if (found === sha256) return;
  const is = found === undefined ? "missing" : sha256 === undefined ? "new" : "another";
  const why = `its tokenizer.json is ${is}`;
  throw refuse(
    { what: `cannot verify with ${path} as ${role}`, why, instead: `name a folder that holds ${record.id} as it was` },
    "request",
  );
}
