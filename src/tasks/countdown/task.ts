/**
 * @file CountDown: reach a target by joining all given numbers with + - * /, each number once. Tasks are made backwards from a solution, so each
 * has one. Which tasks are held out for evaluation is a property of the task itself, so that training can never meet them.
 */
import { shuffled } from "../../base/draws.js";
import type { Random } from "../../base/random.js";
import { refuse, SextantError } from "../../base/errors.js";
import { OPERATORS, valueOf, type Expression, type Operator } from "./expression.js";

/** Numbers, the target, and one way to reach it. */
export interface Task {
  readonly numbers: readonly number[];
  readonly target: number;
  readonly solution: Expression;
}

export interface TaskOptions {
  /** How many numbers tasks may have. Default 3 and 4. */
  readonly counts?: readonly number[];
  readonly operators?: readonly Operator[];
  /** Numbers are 1 to this. Default 30. */
  readonly largestNumber?: number;
  /** Targets are 1 to this. Default 99. */
  readonly largestTarget?: number;
  /** How much oftener + and - are drawn than * and /, which seldom come out whole or small. A whole number, default 2. */
  readonly sums?: number;
}

/** The settings in full. */
export function taskOptions(options: TaskOptions = {}): Required<TaskOptions> {
  const { counts = [3, 4], operators = OPERATORS, largestNumber = 30, largestTarget = 99, sums = 2 } = options;
  if (counts.length === 0 || !counts.every((count) => isWhole(count, 2, 6)))
    throw bad(`counts must be whole numbers from 2 to 6, got ${counts.join(", ")}`);
  if (operators.length === 0 || !operators.every((one) => OPERATORS.includes(one))) throw bad("operators must be some of + - * /");
  checkWhole("largestNumber", largestNumber, { least: 2, most: 999 });
  checkWhole("largestTarget", largestTarget, { least: 1, most: 9999 });
  checkWhole("sums", sums, { least: 1, most: 100 });
  return { counts, operators, largestNumber, largestTarget, sums };
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function checkWhole(name: string, value: number, { least, most }: { least: number; most: number }): void {
  if (!isWhole(value, least, most)) throw bad(`${name} must be ${least} to ${most}, got ${value}${onlyWhole(value)}`);
}

/** What an error adds where a value lies between whole numbers. */
function onlyWhole(value: number): string {
  return Number.isFinite(value) && !Number.isInteger(value) ? ", which is no whole number" : "";
}

function bad(problem: string): SextantError {
  return new SextantError("usage", `countdown: ${problem}`);
}

/** Draws until a task is given up; of numbers up to 12, one draw in 2 makes a task and one in 35 a held-out one, up to 30 one in 3 and one in 45. */
const MOST_DRAWS = 50_000;

/** A task; with `held` only those that are held out, or only those that are not. Settings with which none is found are refused. */
export function makeTask(random: Random, options: TaskOptions = {}, held?: boolean): Task {
  const settings = taskOptions(options);
  for (let draws = 0; draws < MOST_DRAWS; draws++) {
    const solution = randomExpression(random, drawNumbers(random, settings), settings);
    const target = valueOf(solution);
    if (target === undefined || target < 1 || target > settings.largestTarget) continue;
    const task = { numbers: shuffled(solution.numbers, random), target, solution };
    if (held === undefined || isHeldOut(task) === held) return task;
  }
  const kind = held === undefined ? "task" : held ? "held-out task" : "task for training";
  throw refuse(
    { what: `cannot make a CountDown ${kind}`, why: `${MOST_DRAWS} draws gave none`, instead: "allow more operators, numbers or targets" },
    "usage",
  );
}

function drawNumbers(random: Random, { counts, largestNumber }: Required<TaskOptions>): number[] {
  const count = pick(random, counts);
  return Array.from({ length: count }, () => 1 + Math.floor(random() * largestNumber));
}

/** The numbers in random order, joined by random operators. */
export function randomExpression(random: Random, numbers: readonly number[], options: TaskOptions = {}): Expression {
  const { operators, sums } = taskOptions(options);
  const weighted = operators.flatMap((one) => (isSum(one) ? Array.from({ length: sums }, () => one) : [one]));
  return { numbers: shuffled(numbers, random), operators: numbers.slice(1).map(() => pick(random, weighted)) };
}

/** Whether an operator adds or takes away: what `sums` weights. */
export function isSum(operator: Operator): boolean {
  return operator === "+" || operator === "-";
}

/** One of a list. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

/** What makes two tasks the same: the numbers in any order and the target. */
export function taskKey({ numbers, target }: Pick<Task, "numbers" | "target">): string {
  return `${numbers.toSorted((a, b) => a - b).join(" ")}: ${target}`;
}

/** One task in sixteen, by its numbers in any order and its target. */
export function isHeldOut({ numbers, target }: Pick<Task, "numbers" | "target">): boolean {
  const key = [...numbers.toSorted((a, b) => a - b), target];
  // FNV-1a over the numbers, with a last mixing, so that neighbours fall apart.
  let hash = 0x811c9dc5;
  for (const number of key) hash = Math.imul(hash ^ number, 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d) >>> 0;
  return ((hash ^ (hash >>> 15)) & 15) === 0;
}
