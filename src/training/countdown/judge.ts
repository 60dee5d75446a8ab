/** @file How well a model searches: its own greedy searches on held-out tasks, scored. */
import { decodeIds, TOKENS } from "../../tasks/countdown/vocabulary.js";
import { scoreTraces, verificationAccuracy, type Scores } from "../../tasks/countdown/score.js";
import type { Task } from "../../tasks/countdown/task.js";
import { distinctTasks } from "../../tasks/countdown/rows.js";
import { rollOut } from "../rollout.js";
import type { Parameters } from "../step-types.js";
import { filesOf, MOST_NEW, type CountdownRecipe } from "./recipe.js";

/** The text of a continuation, without its end token; undefined where it never ended. */
export function textOf(written: readonly number[]): string | undefined {
  return written.at(-1) === TOKENS.eos ? decodeIds(written) : undefined;
}

/** Tasks that training never meets, from a seed of their own, no two alike. */
export function heldOutTasks({ seed, task }: CountdownRecipe, count: number): { task: Task; tokens: readonly number[] }[] {
  return distinctTasks(seed + 1_000_003, count, task, true);
}

/** Scores of greedy searches on held-out tasks, and the searches. A search without an end counts as nothing. */
export async function judge(
  parameters: Parameters,
  recipe: CountdownRecipe,
  { folder, tasks, threads, signal }: { folder: string; tasks: number; threads?: number | undefined; signal?: AbortSignal | undefined },
): Promise<{ scores: Scores; texts: readonly string[]; tasks: readonly Task[] }> {
  const asked = heldOutTasks(recipe, tasks);
  const written = await rollOut(
    parameters,
    asked.map(({ tokens }) => tokens),
    { folder, model: filesOf(recipe), maxNew: MOST_NEW, temperature: 0, seed: 0, signal, ...(threads !== undefined && { threads }) },
  );
  const texts = written.map((row) => textOf(row) ?? "");
  const list = asked.map(({ task }) => task);
  return { scores: scoreTraces(list, texts), texts, tasks: list };
}

/** Shares for a history: solved, in format, verdicts right, values right. */
export function sharesOf(scores: Scores): Readonly<Record<"solved" | "format" | "verification" | "arithmetic", number>> {
  return {
    solved: scores.solved / scores.tasks,
    format: scores.inFormat / scores.tasks,
    verification: verificationAccuracy(scores),
    arithmetic: scores.attempts > 0 ? scores.calculated / scores.attempts : Number.NaN,
  };
}
