/**
 * @file Runs a study into a folder, step by step. What a step finds is on the disk before the next begins, and later steps read it from there, so that a run
 * that was stopped anywhere goes on to the same findings.
 */
import { SextantError } from "../base/errors.js";
import { seededRandom, type Random } from "../base/random.js";
import type { JsonObject } from "../formats/json.js";
import { renderReport } from "../report/report.js";
import type { Device } from "../runtime/device.js";
import type { Finding } from "../store/finding.js";
import { openRun, type OpenRun } from "../store/run-folder.js";
import type { StoredRun } from "../store/stored-run.js";
import { identifyModel, identifyTokenizer } from "./identify.js";
import { engineRecord, machineRecord, now, peakMemory } from "./made-on.js";
import { reportedRun } from "./reported-run.js";
import type { Step, StepContext, Study } from "./study.js";
import { openSubject, type OpenSubject } from "./subject.js";

/** Which study of which model, into which folder. */
export interface StudyRequest {
  readonly study: Study;
  /** The model's folder. */
  readonly model: string;
  /** Folders of other models, by role. */
  readonly others?: Readonly<Record<string, string>>;
  /** Settings that differ from the study's defaults. */
  readonly parameters?: JsonObject;
  /** Default 0. */
  readonly seed?: number;
  /** The run's folder: new, empty, or of the same run that was stopped. */
  readonly folder: string;
}

export interface StudyOptions {
  readonly threads?: number;
  /** Where the models compute; default: the CPU. */
  readonly device?: Device;
  readonly signal?: AbortSignal;
  /** When a step begins, and when it ends or was found to be there. */
  readonly onStep?: (event: StepEvent) => void;
  readonly onProgress?: (progress: { readonly stage: string; readonly done: number; readonly total: number }) => void;
}

/** What happens to a step. */
export interface StepEvent {
  readonly step: string;
  readonly title: string;
  readonly index: number;
  readonly total: number;
  readonly state: "begins" | "done" | "was there";
  /** Of a step that is done. */
  readonly findings?: readonly Finding[];
  readonly skipped?: string;
  readonly ms?: number;
}

/** Runs what is left of a study, and gives the whole run. */
export async function runStudy(request: StudyRequest, options: StudyOptions = {}): Promise<StoredRun> {
  checkRequest(request);
  const { threads, device, signal } = options;
  const opening = { ...(device && { device }), ...(threads !== undefined && { threads }), ...(signal && { signal }) };
  const subject = await openSubject(request.model, opening);
  const others = new Others(request.others ?? {}, opening);
  try {
    const parameters = request.study.parameters(request.parameters ?? {}, subject);
    const run = openRun(request.folder, await headOf(request, { subject, device: device ?? "cpu" }, parameters));
    try {
      const work: Work = { request, options, subject, others, parameters, run };
      for (const [index, step] of request.study.steps.entries()) await takeStep(work, step, index);
      return run.finish({ finished: now() }, (stored) =>
        renderReport(reportedRun(request.study, stored, request.study.parameters({}, subject))),
      );
    } finally {
      run.close();
    }
  } finally {
    await others.close();
    await subject.close();
  }
}

interface Work {
  readonly request: StudyRequest;
  readonly options: StudyOptions;
  readonly subject: OpenSubject;
  readonly others: Others;
  readonly parameters: object;
  readonly run: OpenRun;
}

function checkRequest({ study, others = {}, seed = 0 }: StudyRequest): void {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff)
    throw new SextantError("usage", `the seed must be a whole number from 0 to 2³² − 1, got ${seed}`);
  const stray = Object.keys(others).find((role) => !Object.hasOwn(study.others, role));
  if (stray === undefined) return;
  const known = Object.entries(study.others).map(([role, meaning]) => `${role} (${meaning})`);
  throw new SextantError(
    "usage",
    `${study.name} has no role ${JSON.stringify(stray)} for another model; it has ${known.join(", ") || "none"}`,
  );
}

async function headOf(
  { study, model, others = {}, seed = 0 }: StudyRequest,
  { subject, device }: { subject: OpenSubject; device: Device },
  parameters: object,
): Promise<Parameters<typeof openRun>[1]> {
  const folders = { model, ...others };
  const models = Object.entries(folders).map(
    ([role, path]) => [role, identifyModel(path, role === "model" ? subject.model.spec : { family: "" })] as const,
  );
  const tokenizers = Object.entries(folders).flatMap(([role, path]) => {
    const hash = identifyTokenizer(path);
    return hash === undefined ? [] : [[role, hash] as const];
  });
  return {
    study: study.name,
    studyVersion: study.version,
    question: study.question,
    parameters: parameters as JsonObject,
    models: Object.fromEntries(models),
    tokenizers: Object.fromEntries(tokenizers),
    engine: await engineRecord(device),
    seed,
    machine: machineRecord(),
    started: now(),
  };
}

async function takeStep(work: Work, step: Step<object>, index: number): Promise<void> {
  const { run, request, options } = work;
  const event = { step: step.name, title: step.title, index, total: request.study.steps.length };
  if (run.finished.has(step.name)) {
    options.onStep?.({ ...event, state: "was there" });
    return;
  }
  options.signal?.throwIfAborted();
  options.onStep?.({ ...event, state: "begins" });
  const start = performance.now();
  const output = await step.run(contextOf(work, step));
  const ms = performance.now() - start;
  run.writeStep(step.name, step.title, output, { ms, peakMemory: peakMemory() });
  options.onStep?.({
    ...event,
    state: "done",
    findings: output.findings,
    ms,
    ...(output.skipped !== undefined && { skipped: output.skipped }),
  });
}

function contextOf({ run, request: { seed = 0 }, options, subject, others, parameters }: Work, step: Step<object>): StepContext<object> {
  const pieces = run.pieces(step.name);
  const signal = options.signal ?? new AbortController().signal;
  return {
    parameters,
    subject,
    other: (role) => others.open(role),
    earlier: (name) => run.readStep(name),
    random: (name) => randomOf(seed, `${step.name}/${name}`),
    async piece(key, work) {
      signal.throwIfAborted();
      const found = pieces.get(key);
      if (found !== undefined) return found as Awaited<ReturnType<typeof work>>;
      pieces.put(key, await work());
      return pieces.get(key) as Awaited<ReturnType<typeof work>>;
    },
    signal,
    progress: (done, total) => options.onProgress?.({ stage: step.title, done, total }),
  };
}

/** The generator of a name: FNV-1a of the name is the stream. */
function randomOf(seed: number, name: string): Random {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return seededRandom(seed, hash);
}

/** Other models, opened when first asked for. */
class Others {
  readonly #folders: Readonly<Record<string, string>>;
  readonly #options: Parameters<typeof openSubject>[1];
  readonly #open = new Map<string, Promise<OpenSubject>>();

  constructor(folders: Readonly<Record<string, string>>, options: Parameters<typeof openSubject>[1]) {
    this.#folders = folders;
    this.#options = options;
  }

  async open(role: string): Promise<OpenSubject | undefined> {
    const folder = this.#folders[role];
    if (folder === undefined) return undefined;
    const opening = this.#open.get(role) ?? openSubject(folder, this.#options);
    this.#open.set(role, opening);
    return opening;
  }

  /** Closes what could be opened; what could not has told whoever asked for it. */
  async close(): Promise<void> {
    const openings = await Promise.allSettled(this.#open.values());
    for (const opening of openings) if (opening.status === "fulfilled") await opening.value.close();
  }
}
