/** @file The tasks that a format asks, and others of which worked examples are made: no two alike, and the same for a seed. */
import { shuffled } from "../../../base/draws.js";
import { refuse, SextantError } from "../../../base/errors.js";
import { seededRandom, type Random } from "../../../base/random.js";
import { taskKey, type Task, type TaskOptions } from "../../../tasks/countdown/task.js";
import type { Prompt } from "../format.js";

type Asked = Prompt["task"];

/** What a format may be told. */
export interface FormatOptions {
  /** Which tasks are made; the format has its own defaults. */
  readonly tasks?: TaskOptions;
  /** Tasks to take instead of making some. */
  readonly rows?: readonly Asked[];
  /** The most tokens of a search. */
  readonly mostSearch?: number;
}

/** The most worked examples in front of a task. */
const MOST_EXAMPLES = 16;
const MOST_NUMBERS = 16;

/** Checked options; tasks that are given and told how to be made at once are refused. */
export function checkOptions({ tasks, rows, mostSearch }: FormatOptions, format: string): void {
  if (tasks && rows) throw new SextantError("usage", `${format}: tasks are given as rows, so there are none to be made with options`);
  if (mostSearch !== undefined && !isWhole(mostSearch, 1, 100_000))
    throw new SextantError("usage", `${format}: mostSearch must be a whole number from 1 to 100000, got ${mostSearch}`);
  const bad = rows?.findIndex((row) => !isTask(row)) ?? -1;
  if (bad >= 0)
    throw new SextantError(
      "usage",
      `${format}: row ${bad} must have 2 to ${MOST_NUMBERS} numbers and a target, whole and from 0 to 999999`,
    );
}

function isTask({ numbers, target }: Asked): boolean {
  const inRange = (value: number): boolean => isWhole(value, 0, 999_999);
  return Array.isArray(numbers) && isWhole(numbers.length, 2, MOST_NUMBERS) && numbers.every(inRange) && inRange(target);
}

/** Checked counts of tasks and of examples. */
export function checkCounts(count: number, examples: number, format: string): void {
  if (!isWhole(count, 1, 1_000_000))
    throw new SextantError("usage", `${format}: count must be a whole number from 1 to 1000000, got ${count}`);
  if (!isWhole(examples, 0, MOST_EXAMPLES))
    throw new SextantError("usage", `${format}: examples must be a whole number from 0 to ${MOST_EXAMPLES}, got ${examples}`);
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/** `count` of the given tasks in an order of the seed, no two alike; refused where there are fewer. */
export function chooseRows(rows: readonly Asked[], count: number, seed: number): Asked[] {
  const distinct = [...new Map(rows.map((row) => [taskKey(row), row] as const)).values()];
  if (distinct.length >= count) return shuffled(distinct, seededRandom(seed)).slice(0, count);
  const why = `the given rows have ${distinct.length}`;
  throw refuse({ what: `cannot ask ${count} distinct tasks`, why, instead: "ask for fewer, or give more rows" }, "usage");
}

/** The first `count` tasks of a seed, no two alike; `draw` may give none. */
export function drawTasks(count: number, seed: number, draw: (random: Random) => Task | undefined): Task[] {
  const found = new Map<string, Task>();
  const most = 1000 + 100 * count;
  for (let index = 0; found.size < count && index < most; index++) {
    const task = draw(seededRandom(seed, index));
    if (task && !found.has(taskKey(task))) found.set(taskKey(task), task);
  }
  if (found.size === count) return [...found.values()];
  const why = `${most} draws gave ${found.size}`;
  throw refuse({ what: `cannot ask ${count} distinct tasks`, why, instead: "ask for fewer, or allow larger numbers and targets" }, "usage");
}

/**
 * For each asked task `count` others that are solved in front of it: none is asked anywhere, none has its target, no two are alike. The random numbers that come with
 * them are for writing their searches.
 */
export function otherTasks(
  asked: readonly Asked[],
  { count, seed, draw }: { readonly count: number; readonly seed: number; readonly draw: (random: Random) => Task },
): { readonly random: Random; readonly tasks: readonly Task[] }[] {
  const taken = new Set(asked.map(taskKey));
  return asked.map(({ target }, index) => {
    // Streams from 0 on make the tasks that are asked.
    const random = seededRandom(seed, -2 - index);
    const found = new Map<string, Task>();
    for (let tries = 0; found.size < count && tries < 1000; tries++) {
      const task = draw(random);
      const key = taskKey(task);
      if (task.target !== target && !taken.has(key)) found.set(key, task);
    }
    if (found.size === count) return { random, tasks: [...found.values()] };
    const why = `1000 draws gave ${found.size} that are not asked themselves`;
    throw refuse({ what: `cannot find ${count} tasks for worked examples`, why, instead: "ask for fewer tasks or examples" }, "usage");
  });
}

/** A search with a wrong attempt in it, so that it shows both verdicts; the last of 30 where there is none. */
export function withWrongAttempt(write: () => string): string {
  let search = write();
  for (let tries = 1; tries < 30 && !search.includes("(not"); tries++) search = write();
  return search;
}
