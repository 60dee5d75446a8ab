/**
 * @file The folder of a run while it runs. `started.json` comes first, then each step's folder, whole or not at all, then findings, report and, last of all,
 * `run.json`: where that is, the run is whole. Whatever kills the process, the same command goes on behind the last step that is there, with
 * the pieces of the next one. One process at a time may do so.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { internal, refuse, SextantError } from "../base/errors.js";
import { settleFolder } from "../formats/atomic-folder.js";
import { writeAtomic } from "../formats/atomic.js";
import { fileError, isThere, statOf } from "../formats/files.js";
import { fingerprintOf } from "../formats/journal.js";
import type { JsonObject } from "../formats/json.js";
import { differentFiles } from "./check-files.js";
import { exactJson } from "./exact-json.js";
import { fileRecord } from "./file-record.js";
import type { RunManifest, StepRecord } from "./manifest.js";
import { Pieces, type StepPieces } from "./pieces.js";
import { readStartedFile, STEP_NAME, type FindingsJson, type RunHead, type StartedRecord, type StepJson } from "./records.js";
import { RUN_FILES, runPath } from "./run-paths.js";
import { differentSettings } from "./same.js";
import type { Earlier, StepOutput } from "./step-output.js";
import { readEarlier, readStepJson, stepFiles, writeStepFolder, type StepCost } from "./step-folder.js";
import { storedRun, type StoredRun } from "./stored-run.js";

/**
 * Begins a run in a folder that is empty or not there yet, or goes on with one of the same settings that was stopped. A whole run, one of other
 * settings, and a folder that holds anything else are refused and left as they are.
 */
export function openRun(folder: string, head: RunHead): OpenRun {
  const names = isThere(folder) ? namesIn(folder).filter((name) => !LEFTOVER.test(name)) : [];
  const found = names.length > 0 ? goOn(folder, names, head) : undefined;
  const started: StartedRecord = found
    ? { ...found.started, resumed: found.started.resumed + 1 }
    : { format: "sextant-started", version: 1, ...head, resumed: 0 };
  const text = exactJson(started, RUN_FILES.started, "indented");
  const pieces = new Pieces(runPath(folder, "pieces"), journalHead(started));
  try {
    clearLeftovers(folder);
    // A process may have died between a step's folder and the end of its pieces.
    for (const { name } of found?.steps ?? []) pieces.drop(name);
    writeAtomic(runPath(folder, "started"), [text, "\n"]);
    makeFolder(runPath(folder, "steps"));
  } catch (error) {
    pieces.close();
    throw error;
  }
  return new OpenRun(folder, started, { steps: found?.steps ?? [], pieces });
}

/** A run that is under way. Who opened it closes it. */
export class OpenRun {
  readonly folder: string;
  /** As `started.json` has it. */
  readonly started: StartedRecord;
  readonly #steps: StepJson[];
  readonly #pieces: Pieces;
  #state: "open" | "whole" | "closed" = "open";

  constructor(folder: string, started: StartedRecord, { steps, pieces }: { steps: readonly StepJson[]; pieces: Pieces }) {
    this.folder = folder;
    this.started = started;
    this.#steps = [...steps];
    this.#pieces = pieces;
  }

  /** Names of the steps that are whole. */
  get finished(): ReadonlySet<string> {
    return new Set(this.#steps.map(({ name }) => name));
  }

  /** Writes what a step left, whole or not at all, and forgets its pieces. */
  writeStep(name: string, title: string, output: StepOutput, cost: StepCost): void {
    this.#demandOpen();
    if (this.finished.has(name)) throw internal(`step ${name} is there already`);
    const known = new Set(this.#steps.flatMap(({ findings }) => findings.map(({ id }) => id)));
    for (const { id } of output.findings) {
      if (known.has(id)) throw internal(`step ${name}: the run has a finding ${id} already`);
      known.add(id);
    }
    const order = Math.max(-1, ...this.#steps.map((step) => step.order)) + 1;
    this.#steps.push(writeStepFolder(runPath(this.folder, "steps"), { order, name, title }, output, cost));
    this.#pieces.drop(name);
  }

  /** What a finished step left, read from the disk. */
  readStep<S = JsonObject>(name: string): Earlier<S> {
    if (!this.finished.has(name)) throw internal(`step ${name} is not there yet`);
    return readEarlier<S>(runPath(this.folder, "steps"), name);
  }

  /** The pieces of a step under way. */
  pieces(step: string): StepPieces {
    this.#demandOpen();
    return this.#pieces.of(step);
  }

  /**
   * Makes the run whole: findings, then the report that `html` makes of it, then `run.json`; returns what was handed to `html`, with the
   * manifest as written. Killed on the way, it can be done again.
   */
  finish({ finished }: Pick<RunManifest, "finished">, html: (run: StoredRun) => string): StoredRun {
    this.#demandOpen();
    writeAtomic(runPath(this.folder, "findings"), [exactJson(this.#findings(), RUN_FILES.findings, "indented"), "\n"]);
    const draft = this.#manifest(finished);
    const run = storedRun(this.folder, draft);
    writeAtomic(runPath(this.folder, "report"), [html(run)]);
    const manifest = { ...draft, files: [...draft.files, fileRecord(runPath(this.folder, "report"), RUN_FILES.report)] };
    this.#pieces.close();
    rmSync(runPath(this.folder, "pieces"), { force: true });
    writeAtomic(runPath(this.folder, "manifest"), [exactJson(manifest, RUN_FILES.manifest, "indented"), "\n"]);
    this.#state = "whole";
    return { ...run, manifest };
  }

  /** Lets go of the journal. The run can be opened again. */
  close(): void {
    this.#pieces.close();
    if (this.#state === "open") this.#state = "closed";
  }

  #demandOpen(): void {
    if (this.#state !== "open") throw internal(`the run in ${this.folder} is ${this.#state}`);
  }

  #findings(): FindingsJson {
    const findings = this.#steps.flatMap((step) => step.findings.map((finding) => ({ step: step.name, ...finding })));
    return { format: "sextant-findings", version: 1, findings };
  }

  #manifest(finished: string): RunManifest {
    const steps = runPath(this.folder, "steps");
    const { study, studyVersion, question, parameters, models, tokenizers, engine, seed, machine, started, resumed } = this.started;
    return {
      format: "sextant-run",
      version: 1,
      study,
      studyVersion,
      question,
      parameters,
      models,
      tokenizers,
      engine,
      seed,
      machine,
      started,
      finished,
      resumed,
      steps: this.#steps.map((step): StepRecord => {
        const { name, title, ms, peakMemory, notes, skipped } = step;
        return { name, title, ms, peakMemory, files: stepFiles(steps, step), notes, ...(skipped !== undefined && { skipped }) };
      }),
      files: [fileRecord(runPath(this.folder, "findings"), RUN_FILES.findings)],
    };
  }
}

/** What a process that died while it wrote leaves beside the file, and beside a step's folder. */
const LEFTOVER = /^\.(?:run\.json|started\.json|findings\.json|report\.html|pieces\.journal)\.[0-9a-f]{12}\.tmp$/;
const STEP_LEFTOVER = /^\.([a-z0-9-]+)\.(?:new|old|[0-9a-f]{12}\.tmp)$/;

function clearLeftovers(folder: string): void {
  if (!isThere(folder)) return;
  for (const name of namesIn(folder).filter((one) => LEFTOVER.test(one))) rmSync(join(folder, name), { force: true });
}

/** The run that was stopped, its steps in their order; a refusal where it is not of `head`. */
function goOn(folder: string, names: readonly string[], head: RunHead): { started: StartedRecord; steps: StepJson[] } {
  const what = `cannot run in ${folder}`;
  const another = "name a folder that is not there yet";
  if (names.includes(RUN_FILES.manifest)) throw refuse({ what, why: "it holds a whole run", instead: another }, "request");
  const stray = names.find((name) => !Object.values<string>(RUN_FILES).includes(name));
  if (!names.includes(RUN_FILES.started) || stray !== undefined)
    throw refuse({ what, why: `it holds ${stray ?? names[0]}, which is of no run that was stopped`, instead: another }, "request");
  const started = readStartedFile(runPath(folder, "started"));
  // The version of Node changes no numbers that a study makes.
  const differing = differentSettings(started, head).filter(({ name }) => name !== "engine.node");
  if (differing.length > 0) {
    const list = differing.slice(0, 3).map(({ name }) => name);
    const more = differing.length > 3 ? ` and ${differing.length - 3} more` : "";
    throw refuse({ what, why: `it holds a run with other settings: ${list.join(", ")}${more}`, instead: another }, "request");
  }
  return { started, steps: finishedSteps(folder, what) };
}

/** The steps that are whole, each of their files as it was written. */
function finishedSteps(folder: string, what: string): StepJson[] {
  const path = runPath(folder, "steps");
  if (!isThere(path)) return [];
  const names = namesIn(path);
  const stray = names.find((name) => !STEP_NAME.test(name) && !STEP_LEFTOVER.test(name));
  if (stray !== undefined) throw refuse({ what, why: `steps/${stray} is no step`, instead: "move it elsewhere" }, "request");
  for (const name of new Set(names.flatMap((one) => STEP_LEFTOVER.exec(one)?.[1] ?? []))) settleFolder(join(path, name));
  const steps = namesIn(path).map((name) => readStepJson(path, name));
  for (const step of steps) {
    const [damage] = differentFiles(join(path, step.name), step.files);
    if (damage === undefined) continue;
    const instead = `remove the folder steps/${step.name} and those of later steps, and they are made anew`;
    throw refuse({ what, why: `steps/${step.name}/${damage}`, instead }, "request");
  }
  return steps.toSorted((a, b) => a.order - b.order);
}

function journalHead({ study, studyVersion, parameters, seed, models }: RunHead): { kind: string; fingerprint: string } {
  const hashes = Object.entries(models).map(([role, model]) => [role, model.files.map(({ path, sha256 }) => [path, sha256])]);
  const settings = [study, studyVersion, exactJson(parameters, "parameters"), seed, hashes];
  return { kind: "run", fingerprint: fingerprintOf(settings) };
}

function namesIn(folder: string): string[] {
  if (!statOf(folder).isDirectory()) throw new SextantError("file", `cannot run in ${folder}: it is a file`);
  try {
    return readdirSync(folder);
  } catch (error) {
    throw fileError("cannot read", folder, error);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw fileError("cannot make", path, error);
  }
}
