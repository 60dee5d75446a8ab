/**
 * @file How a search for a solution is written, after the format that the model of Lee et al. (2025) collapsed to: attempts one a
 * line, each followed by its verdict in brackets, and the answer. The wording around them is short, since the model is small.
 */
import { SextantError } from "../../base/errors.js";
import type { Random } from "../../base/random.js";
import { textOf, valueOf, type Expression } from "./expression.js";
import { makeTask, pick, randomExpression, taskOptions, type Task, type TaskOptions } from "./task.js";

export interface TraceOptions extends TaskOptions {
  /** Wrong attempts before the solution: 0 to this. Default 4. */
  readonly mostWrong?: number;
  /**
   * Chance that the next attempt is the solution, until there are `mostWrong`: how far a search has gone then says little about whether the next attempt works.
   * Without it all counts of wrong attempts are as likely.
   */
  readonly hit?: number;
  /**
   * Chance that an attempt is the successor of the one before, in the order of `successor`: a search that one can go on with from its last line alone. One that happens to
   * reach the target ends the search. Default 0: attempts are drawn.
   */
  readonly orderly?: number;
  /**
   * With `hit`: a search that has `mostWrong` wrong attempts ends there, without a solution, instead of having it next for certain. One that finds none then says so instead of
   * claiming one. Default false.
   */
  readonly givesUp?: boolean;
}

/** The last line of a search that found nothing. */
export const GIVEN_UP = "answer none\n";

/** The bound of `mostWrong`. */
const MOST_WRONG = 50;

/** A task as text: what is asked, and a search that ends in the solution. */
export interface Sample {
  readonly task: Task;
  readonly prompt: string;
  readonly response: string;
}

/** What is asked. */
export function promptOf({ numbers, target }: Pick<Task, "numbers" | "target">): string {
  return `numbers ${numbers.join(" ")} target ${target}\n`;
}

/** One attempt and its verdict. */
export function attemptOf(expression: Expression, value: number, target: number): string {
  return `- ${textOf(expression)} = ${value} (${value === target ? "this works" : `not ${target}`})\n`;
}

/** The last line. */
export function answerOf(expression: Expression): string {
  return `answer ${textOf(expression)}\n`;
}

/**
 * A search: some wrong attempts, no two alike, then one that works and the answer, or with `givesUp` that there is none. Fewer attempts than were drawn where the task has no more
 * of them.
 */
export function writeSearch(random: Random, task: Task, options: TraceOptions = {}): string {
  const wrong = wrongCount(random, options);
  const { target } = task;
  const seen = new Set<string>();
  let text = "";
  let last: Expression | undefined;
  for (let tries = 0; seen.size < wrong && tries < 50 * wrong; tries++) {
    const next = isOrderly(random, last, options) ? successor(last!) : undefined;
    const attempt = next ?? drawnAttempt(random, task, options);
    const value = valueOf(attempt);
    if (value === undefined || Math.abs(value) > 999 || seen.has(textOf(attempt))) continue;
    if (value === target) {
      if (next) return text + attemptOf(next, value, target) + answerOf(next);
      continue;
    }
    seen.add(textOf(attempt));
    text += attemptOf(attempt, value, target);
    last = attempt;
  }
  return text + endOf(task, wrong, options);
}

/** The attempt that works and the answer, or that none was found. */
function endOf({ target, solution }: Task, wrong: number, options: TraceOptions): string {
  const isGivenUp = options.givesUp === true && options.hit !== undefined && wrong === wrongLimit(options);
  return isGivenUp ? GIVEN_UP : attemptOf(solution, target, target) + answerOf(solution);
}

function isOrderly(random: Random, last: Expression | undefined, { orderly = 0 }: TraceOptions): boolean {
  if (!(orderly >= 0 && orderly <= 1)) throw new SextantError("usage", `countdown: orderly must be a share from 0 to 1, got ${orderly}`);
  return orderly > 0 && last !== undefined && random() < orderly;
}

/**
 * What comes after an attempt in the order of searches: its + and − count up like binary digits, the last one first; after the last of these, the first number goes to the end, and
 * all − become + again. Products and quotients stay where they are.
 */
export function successor({ numbers, operators }: Expression): Expression {
  const next = [...operators];
  for (let at = next.length - 1; at >= 0; at--) {
    if (next[at] === "+") {
      next[at] = "-";
      return { numbers, operators: next };
    }
    if (next[at] === "-") next[at] = "+";
  }
  return { numbers: [...numbers.slice(1), numbers[0]!], operators: next };
}

/**
 * Attempts that have nothing to do with each other or with a way to the solution, each calculated and judged: practice in both. As many as the longest search
 * has; only the solution where none of the attempts tried can be written.
 */
export function writeDrill(random: Random, task: Task, options: TraceOptions = {}): string {
  const most = wrongLimit(options) + 1;
  let text = "";
  for (let count = 0, tries = 0; count < most && tries < 50 * most; tries++) {
    const attempt = drawnAttempt(random, task, options);
    const value = valueOf(attempt);
    if (value === undefined || Math.abs(value) > 999) continue;
    count++;
    text += attemptOf(attempt, value, task.target);
  }
  return text || attemptOf(task.solution, task.target, task.target);
}

function drawnAttempt(random: Random, { numbers, solution }: Task, options: TraceOptions): Expression {
  return random() < 0.5 ? variation(random, solution, taskOptions(options).operators) : randomExpression(random, numbers, options);
}

function wrongCount(random: Random, options: TraceOptions): number {
  const most = wrongLimit(options);
  const { hit } = options;
  if (hit === undefined) return Math.floor(random() * (most + 1));
  if (!(hit > 0 && hit <= 1)) throw new SextantError("usage", `countdown: hit must be above 0 and at most 1, got ${hit}`);
  let count = 0;
  while (count < most && random() >= hit) count++;
  return count;
}

/** The most wrong attempts that searches of these settings have. */
export function wrongLimit({ mostWrong = 4 }: TraceOptions): number {
  if (Number.isInteger(mostWrong) && mostWrong >= 0 && mostWrong <= MOST_WRONG) return mostWrong;
  throw new SextantError("usage", `countdown: mostWrong must be a whole number from 0 to ${MOST_WRONG}, got ${mostWrong}`);
}

/** The solution with one operator changed or two numbers exchanged: what a search near the goal looks like. */
function variation(random: Random, { numbers, operators }: Expression, known: readonly Expression["operators"][number][]): Expression {
  if (random() < 0.5) {
    const at = Math.floor(random() * operators.length);
    return { numbers, operators: operators.map((operator, i) => (i === at ? pick(random, known) : operator)) };
  }
  const [i, j] = [Math.floor(random() * numbers.length), Math.floor(random() * numbers.length)];
  const moved = [...numbers];
  [moved[i], moved[j]] = [moved[j]!, moved[i]!];
  return { numbers: moved, operators };
}

/** A task that is not held out, and a search for it. */
export function makeSample(random: Random, options: TraceOptions = {}): Sample {
  const task = makeTask(random, options, false);
  return { task, prompt: promptOf(task), response: writeSearch(random, task, options) };
}
