/**
 * @file The loop of training: losses and gradients of micro-batches, one update a step, evaluations and checkpoints in between. Batches and
 * learning rates follow from the number of the step, so that a training that was stopped, or killed, goes on to the same bits.
 */
import { refuse, SextantError } from "../base/errors.js";
import { breathe } from "../base/interruption.js";
import type { AdamW } from "./optimiser.js";
import { hasCheckpoint, resumeCheckpoint, saveCheckpoint, type ModelFiles } from "./checkpoint.js";
import { clippingOf, gradientNorm } from "./gradient-norm.js";
import { BEGINNING, type Best, type EvaluationRecord, type Progress, type StepRecord } from "./history.js";
import { Accumulator } from "./accumulator.js";
import { checkSchedule, learningRateAt, type Schedule } from "./learning-rate.js";
import type { Settings } from "./settings.js";
import type { TrainStep } from "./step-types.js";
import type { TokenSource } from "./token-source.js";

/** When and how the model is measured. */
export interface Evaluation {
  /** Steps between evaluations; the last step has one in any case. */
  readonly every: number;
  /** Values by name, after so many steps. It must not change the parameters. */
  readonly run: (step: number) => Promise<Readonly<Record<string, number>>>;
  /** Which value says what is best. Default: `loss`, the lower the better. */
  readonly best?: { readonly name: string; readonly is: "lowest" | "highest" };
}

/** Where and when checkpoints are written. */
export interface Saving {
  readonly folder: string;
  /** Steps between checkpoints; there is one after the last step, and when the signal comes, in any case. */
  readonly every?: number;
  readonly model: ModelFiles;
  /** What else the course depends on, such as the seed of the initial weights. */
  readonly settings?: Settings;
  /**
   * What to do where the folder has a checkpoint. `same`: go on, refusing other settings. `changed`: go on with the settings given. Default: it is
   * refused. Where there is none, training begins.
   */
  readonly resume?: "same" | "changed";
  /** A folder for the checkpoint with the best evaluation. */
  readonly bestFolder?: string;
}

/** What happened. */
export type TrainEvent =
  | { readonly kind: "step"; readonly record: StepRecord }
  | { readonly kind: "evaluation"; readonly record: EvaluationRecord; readonly isBest: boolean }
  | { readonly kind: "resumed" | "saved"; readonly folder: string; readonly step: number };

export interface TrainOptions {
  readonly step: TrainStep;
  readonly source: TokenSource;
  readonly optimiser: AdamW;
  readonly schedule: Schedule;
  /** Steps in all, those of an earlier run included. */
  readonly steps: number;
  /** Micro-batches a step, whose tokens count alike. Default 1. Step s, from 0, takes the batches from `s · accumulate` on. */
  readonly accumulate?: number;
  /** The most that the length of all gradients may be; longer ones are shortened to it. Default: no limit. */
  readonly clip?: number;
  readonly evaluation?: Evaluation;
  readonly saving?: Saving;
  readonly onProgress?: (event: TrainEvent) => void;
  /** Ends training between micro-batches, after a checkpoint, with an `interrupted` error. */
  readonly signal?: AbortSignal;
}

/** How far the run is; what a checkpoint needs of it. */
interface Run {
  step: number;
  /** The step of the last checkpoint. */
  saved: number;
  readonly steps: StepRecord[];
  readonly evaluations: EvaluationRecord[];
  best: Best | undefined;
  readonly accumulator: Accumulator;
}

/**
 * Trains up to step `steps` and gives the whole history. A loss or gradient that is not finite ends it before it touches a parameter; the last
 * checkpoint stays.
 */
export async function train(options: TrainOptions): Promise<Progress> {
  check(options);
  const run = begin(options);
  try {
    for (;;) {
      await breathe(options.signal, "training");
      if (evaluationIsDue(run, options)) await evaluate(run, options);
      if (savingIsDue(run, options)) save(run, options);
      if (run.step >= options.steps) return progressOf(run);
      await advance(run, options);
    }
  } catch (error) {
    if (!options.signal?.aborted) throw error;
    if (options.saving && run.saved < run.step) save(run, options);
    const kept = options.saving && run.saved > 0 ? `; ${options.saving.folder} holds it, resume to go on` : "";
    throw new SextantError("interrupted", `training was interrupted after step ${run.step}${kept}`, { cause: error });
  }
}

/** Settings that the course of training depends on, as checkpoints hold them. */
export function settingsOf({ optimiser, schedule, source, accumulate = 1, clip, saving }: TrainOptions): Settings {
  return { optimiser: optimiser.options, schedule, accumulate, clip: clip ?? "none", data: source.settings, ...saving?.settings };
}

function begin(options: TrainOptions): Run {
  const { step, history, best } = startOf(options);
  const { steps, evaluations } = history;
  const run = { step, saved: step, steps: [...steps], evaluations: [...evaluations], best, accumulator: new Accumulator() };
  if (step > 0 && options.saving) options.onProgress?.({ kind: "resumed", folder: options.saving.folder, step });
  return run;
}

function startOf(options: TrainOptions): Progress {
  const { saving, step, optimiser } = options;
  if (!saving || !hasCheckpoint(saving.folder)) return BEGINNING;
  const { folder, resume } = saving;
  if (resume)
    return resumeCheckpoint(folder, { parameters: step.parameters, optimiser }, resume === "same" ? settingsOf(options) : undefined);
  const instead = "resume it, or name another folder";
  throw refuse({ what: `cannot begin training in ${folder}`, why: "there is a checkpoint that would be lost", instead }, "request");
}

async function advance(run: Run, options: TrainOptions): Promise<void> {
  const { step, source, optimiser, schedule, accumulate = 1, clip, onProgress, signal } = options;
  const { accumulator } = run;
  accumulator.clear();
  for (let micro = 0; micro < accumulate; micro++) {
    if (micro > 0) await breathe(signal, "training");
    accumulator.add(await step.run(source.batch(run.step * accumulate + micro)), accumulate > 1);
  }
  const { loss, count, gradients, share, reward } = accumulator.mean();
  const norm = gradientNorm(gradients) * share;
  const learningRate = learningRateAt(schedule, run.step);
  if (!Number.isFinite(loss) || !Number.isFinite(norm))
    throw diverged(run, options, count === 0 ? "no token counts" : notFinite(loss, norm));
  optimiser.update(gradients, { learningRate, scale: share * clippingOf(norm, clip) });
  run.step++;
  const record = { step: run.step, loss, learningRate, gradientNorm: norm, tokens: count, ...(reward !== undefined && { reward }) };
  run.steps.push(record);
  onProgress?.({ kind: "step", record });
}

function notFinite(loss: number, norm: number): string {
  return Number.isFinite(loss) ? `the length of its gradient is ${norm}` : `its loss is ${loss}`;
}

function diverged(run: Run, { saving, schedule }: TrainOptions, why: string): SextantError {
  const rate = Number(learningRateAt(schedule, run.step).toPrecision(3));
  const kept = saving && run.saved > 0 ? `; ${saving.folder} holds step ${run.saved}, to go on from with changed settings` : "";
  const help = `a learning rate below ${rate}, a longer warm-up, a clip, or a look at the batch`;
  const instead = why === "no token counts" ? "batches whose mask has a 1 behind the first token" : `${help}${kept}`;
  return refuse({ what: `cannot take step ${run.step + 1}`, why: `${why}; no parameter was changed by it`, instead }, "weights");
}

function evaluationIsDue({ step, evaluations }: Run, { evaluation, steps }: TrainOptions): boolean {
  if (!evaluation || step === 0 || evaluations.at(-1)?.step === step) return false;
  return step % evaluation.every === 0 || step === steps;
}

async function evaluate(run: Run, options: TrainOptions): Promise<void> {
  const { run: measure, best = { name: "loss", is: "lowest" } } = options.evaluation!;
  const record = { step: run.step, values: await measure(run.step) };
  run.evaluations.push(record);
  const value = record.values[best.name] ?? NaN;
  const isBest = Number.isFinite(value) && (!run.best || (best.is === "lowest" ? value < run.best.value : value > run.best.value));
  if (isBest) run.best = { step: run.step, name: best.name, value };
  options.onProgress?.({ kind: "evaluation", record, isBest });
  if (isBest && options.saving?.bestFolder !== undefined) write(options.saving.bestFolder, run, options);
}

function savingIsDue({ step, saved }: Run, { saving, steps }: TrainOptions): boolean {
  if (!saving || step === saved) return false;
  return step === steps || (saving.every !== undefined && step % saving.every === 0);
}

function save(run: Run, options: TrainOptions): void {
  write(options.saving!.folder, run, options);
  run.saved = run.step;
}

function write(folder: string, run: Run, options: TrainOptions): void {
  const { step, optimiser, saving } = options;
  const { parameters } = step;
  saveCheckpoint(folder, { parameters, optimiser, progress: progressOf(run), settings: settingsOf(options), model: saving!.model });
  options.onProgress?.({ kind: "saved", folder, step: run.step });
}

function progressOf({ step, steps, evaluations, best }: Run): Progress {
  return { step, history: { steps, evaluations }, ...(best && { best }) };
}

function check({ schedule, steps, accumulate = 1, clip = 1, evaluation, saving }: TrainOptions): void {
  checkSchedule(schedule);
  const counts = { steps, accumulate, "evaluation.every": evaluation?.every ?? 1, "saving.every": saving?.every ?? 1 };
  for (const [name, value] of Object.entries(counts))
    if (!Number.isInteger(value) || value < 1)
      throw new SextantError("request", `train: ${name} must be a whole number above 0, got ${value}`);
  if (!(clip > 0)) throw new SextantError("request", `train: clip must be a number above 0, got ${clip}`);
}
