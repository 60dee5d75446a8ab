/** @file How well a model searches: its own greedy searches on held-out tasks, scored. */
import { decodeIds, TOKENS } from "../../tasks/countdown/vocabulary.js";
import { reportTraces, type TraceReport } from "../../tasks/countdown/report.js";
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

/** The report of greedy searches on held-out tasks, and the searches. A search without an end counts as nothing. */
export async function judge(
  parameters: Parameters,
  recipe: CountdownRecipe,
  { folder, tasks, threads, signal }: { folder: string; tasks: number; threads?: number | undefined; signal?: AbortSignal | undefined },
): Promise<{ report: TraceReport; texts: readonly string[]; tasks: readonly Task[] }> {
  const asked = heldOutTasks(recipe, tasks);
  const written = await rollOut(
    parameters,
    asked.map(({ tokens }) => tokens),
    { folder, model: filesOf(recipe), maxNew: MOST_NEW, temperature: 0, seed: 0, signal, ...(threads !== undefined && { threads }) },
  );
  const texts = written.map((row) => textOf(row) ?? "");
  const list = asked.map(({ task }) => task);
  return { report: reportTraces(list, texts), texts, tasks: list };
}

/** Shares for a history: solved, in format, verdicts that follow from the value written beside them, values right. NaN for a share of nothing. */
export function sharesOf({
  solved,
  inFormat,
  byClaimed,
  arithmetic,
}: TraceReport): Readonly<Record<"solved" | "format" | "verification" | "arithmetic", number>> {
  const [solving, format, verification, right] = [solved, inFormat, byClaimed.balanced, arithmetic].map((one) => one?.share ?? Number.NaN);
  return { solved: solving!, format: format!, verification: verification!, arithmetic: right! };
}
