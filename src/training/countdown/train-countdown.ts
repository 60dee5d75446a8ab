/**
 * @file Trains the CountDown model: first on searches that are written for it, then on rewards for its own. Each part has its own checkpoint, and a run
 * that was stopped goes on where it was.
 */
import { must } from "../../base/errors.js";
import type { ModelSpec } from "../../models/spec.js";
import { practiceRowAt, taskAt } from "../../tasks/countdown/rows.js";
import { reward } from "../../tasks/countdown/parse.js";
import type { Task } from "../../tasks/countdown/task.js";
import type { Progress } from "../history.js";
import { initialise } from "../initialise.js";
import { makeAdamW, type AdamW } from "../optimiser.js";
import { planModel } from "../plan-spec.js";
import { policyStep, type Rollout } from "../policy-step.js";
import { rollOut } from "../rollout.js";
import type { Parameter, Parameters } from "../step-types.js";
import { openStep } from "../step.js";
import type { TokenSource } from "../token-source.js";
import { train, type TrainEvent, type TrainOptions } from "../train.js";
import { judge, sharesOf, textOf } from "./judge.js";
import { filesOf, MOST_NEW, type CountdownRecipe } from "./recipe.js";

export type CountdownPart = "imitation" | "reward";

export interface CountdownOptions {
  /** Where checkpoints go: `imitation` and `reward` below it. */
  readonly folder: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (part: CountdownPart, event: TrainEvent) => void;
  readonly onRollout?: (rollout: Rollout) => void;
}

/** What came of a training. */
export interface CountdownResult {
  readonly parameters: Parameters;
  /** The parameters between the parts. */
  readonly imitated: Parameters;
  readonly imitation: Progress;
  readonly reward: Progress;
}

/** Trains the model of a recipe, or goes on with it. */
export async function trainCountdown(recipe: CountdownRecipe, options: CountdownOptions): Promise<CountdownResult> {
  const { spec } = planModel(filesOf(recipe).config);
  const parameters = initialise(spec, { seed: recipe.seed });
  const run = { recipe, options, spec, parameters };
  const imitation = await imitate(run);
  const imitated = copyOf(parameters);
  const learned = await learnFromReward(run, imitated);
  return { parameters, imitated, imitation, reward: learned };
}

interface Run {
  readonly recipe: CountdownRecipe;
  readonly options: CountdownOptions;
  readonly spec: ModelSpec;
  readonly parameters: ReadonlyMap<string, Parameter>;
}

async function imitate({ recipe, options, spec, parameters }: Run): Promise<Progress> {
  const { steps, peak, warmUp } = recipe.imitation;
  const step = openStep(spec, parameters, threadsOf(options));
  try {
    return await train({
      ...common("imitation", { recipe, options, parameters, optimiser: makeAdamW(parameters, { beta2: 0.99 }) }),
      step,
      steps,
      source: searches(recipe),
      schedule: { peak, warmUp, steps, floor: 0.05 },
    });
  } finally {
    await step.close();
  }
}

function copyOf(parameters: Parameters): Parameters {
  return new Map([...parameters].map(([name, { data, shape }]) => [name, { data: data.slice(), shape }] as const));
}

async function learnFromReward({ recipe, options, spec, parameters }: Run, start: Parameters): Promise<Progress> {
  const { steps, group, rate, clip, kl } = recipe.reward;
  const policy = openStep(spec, parameters, { ...threadsOf(options), loss: { kind: "policy", clip, kl } });
  const reference = openStep(spec, start, threadsOf(options));
  const tasks = new Map<string, Task>();
  const step = policyStep(policy, {
    group,
    reference,
    write: (prompts) =>
      rollOut(parameters, prompts, {
        folder: `${options.folder}/rollout`,
        model: filesOf(recipe),
        maxNew: MOST_NEW,
        temperature: 1,
        seed: seedOf(recipe.seed, prompts),
        signal: options.signal,
        ...threadsOf(options),
      }),
    reward: (prompt, written) => reward(must(tasks.get(prompt.join()), "the prompt's task"), textOf(written) ?? ""),
    ...(options.onRollout && { onRollout: options.onRollout }),
  });
  try {
    return await train({
      ...common("reward", { recipe, options, parameters, optimiser: makeAdamW(parameters, { beta2: 0.99, weightDecay: 0 }) }),
      step,
      steps,
      source: prompts(recipe, tasks),
      schedule: { peak: rate, decay: "constant", warmUp: Math.min(5, steps), steps },
    });
  } finally {
    await step.close();
    await reference.close();
  }
}

/** What both parts have alike: clipping, evaluation, checkpoints. */
function common(
  part: CountdownPart,
  {
    recipe,
    options,
    parameters,
    optimiser,
  }: { recipe: CountdownRecipe; options: CountdownOptions; parameters: Parameters; optimiser: AdamW },
): Pick<TrainOptions, "optimiser" | "clip" | "evaluation" | "saving" | "onProgress"> & { signal?: AbortSignal } {
  const { folder, signal, threads, onEvent } = options;
  const { every, tasks } = recipe.evaluation;
  const scratch = { folder: `${folder}/rollout`, tasks, threads, signal };
  return {
    optimiser,
    clip: 1,
    evaluation: {
      every: part === "imitation" ? every : 20,
      run: async () => sharesOf((await judge(parameters, recipe, scratch)).report),
      best: { name: "solved", is: "highest" },
    },
    saving: {
      folder: `${folder}/${part}`,
      every: part === "imitation" ? 200 : 10,
      model: filesOf(recipe),
      settings: { recipe: settingsFor(part, recipe), part },
      resume: "same",
    },
    onProgress: (event) => onEvent?.(part, event),
    ...(signal && { signal }),
  };
}

/** Of the recipe, what the course of a part depends on: what is changed for the second part lets the first one stand. */
function settingsFor(part: CountdownPart, { seed, task, model, imitation, reward: rewarded }: CountdownRecipe): object {
  return { seed, task, model, imitation, ...(part === "reward" && { reward: rewarded }) };
}

/** Searches to imitate, in batches of rows of like length: less is spent on padding. */
function searches({ seed, task, imitation: { rows, drills, examples } }: CountdownRecipe): TokenSource {
  const together = 4;
  return {
    settings: { source: "countdown searches", seed, rows },
    batch: (index) => {
      const first = Math.floor(index / together) * together * rows;
      const all = Array.from({ length: together * rows }, (_, i) => practiceRowAt(seed, first + i, { ...task, drills, examples }));
      const place = (index % together) * rows;
      const chosen = all.toSorted((a, b) => a.tokens.length - b.tokens.length).slice(place, place + rows);
      return { tokens: chosen.map(({ tokens }) => tokens), mask: chosen.map(({ mask }) => mask) };
    },
  };
}

/** Prompts to be rewarded on; what their tasks are is noted. */
function prompts({ seed, task, reward: { prompts: count } }: CountdownRecipe, tasks: Map<string, Task>): TokenSource {
  return {
    settings: { source: "countdown prompts", seed, prompts: count },
    batch: (index) => {
      tasks.clear();
      const made = Array.from({ length: count }, (_, i) => taskAt(seed + 2_000_003, index * count + i, task));
      for (const { task: own, tokens } of made) tasks.set(tokens.join(), own);
      return { tokens: made.map(({ tokens }) => tokens) };
    },
  };
}

/** A seed of its own for each step: it follows from the prompts, which no two steps share. */
function seedOf(seed: number, prompts: readonly (readonly number[])[]): number {
  return prompts.flat().reduce((mixed, token) => (Math.imul(mixed, 31) + token) >>> 1, seed);
}

function threadsOf({ threads }: CountdownOptions): { threads?: number } {
  return threads === undefined ? {} : { threads };
}
