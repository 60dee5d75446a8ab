/**
 * @file Reading a model's search and judging it: is it in the format, is the answer right, and does each verdict say what is so? Texts may be
 * anything.
 */
import { parseExpression, sameNumbers, valueOf } from "./expression.js";
import type { Task } from "./task.js";

/** An attempt as written. */
export interface Attempt {
  /** What the expression really gives; undefined where it is none, or does not use the task's numbers once each. */
  readonly value: number | undefined;
  /** What the model says it gives. */
  readonly claimed: number;
  readonly verdict: "works" | "not";
}

/** A response, read line by line. */
export interface ParsedTrace {
  readonly attempts: readonly Attempt[];
  /** The value of the answer; undefined where there is none, or it does not use the task's numbers once each. */
  readonly answer: number | undefined;
  /** Whether every line is an attempt but the last, which is the answer, and nothing follows. */
  readonly inFormat: boolean;
}

const ANSWER = "answer ";
/** An attempt: expression, claimed value, verdict. */
export const ATTEMPT = /^- (.{1,80}) = (-?\d{1,5}) \((this works|not \d{1,4})\)$/;

/** A response as attempts and an answer. */
export function parseTrace(task: Pick<Task, "numbers" | "target">, text: string): ParsedTrace {
  const lines = text.split("\n");
  const closes = lines.at(-1) === "";
  const body = closes ? lines.slice(0, -1) : lines;
  const last = body.at(-1) ?? "";
  const isAnswered = last.startsWith(ANSWER);
  const read = (isAnswered ? body.slice(0, -1) : body).map((line) => ATTEMPT.exec(line));
  const matches = read.filter((match) => match !== null);
  const attempts = matches.map((match) => attemptFrom(task, match));
  const onlyAttempts =
    matches.length === read.length && matches.every(([, , , verdict]) => verdict === "this works" || verdict === `not ${task.target}`);
  const ends = attempts.at(-1)?.verdict === "works" && attempts.slice(0, -1).every(({ verdict }) => verdict === "not");
  return {
    attempts,
    answer: isAnswered ? reached(task, last.slice(ANSWER.length)) : undefined,
    inFormat: closes && isAnswered && onlyAttempts && ends,
  };
}

function attemptFrom(task: Pick<Task, "numbers">, [, expression = "", claimed = "", verdict = ""]: RegExpExecArray): Attempt {
  return { value: reached(task, expression), claimed: Number(claimed), verdict: verdict === "this works" ? "works" : "not" };
}

/** What an expression gives that uses each of the numbers once. */
function reached({ numbers }: Pick<Task, "numbers">, text: string): number | undefined {
  const expression = parseExpression(text);
  return expression && sameNumbers(expression.numbers, numbers) ? valueOf(expression) : undefined;
}

/**
 * 1 for a right answer in the format, 0.1 for the format alone, 0 otherwise (after the reward of TinyZero's CountDown). Two demands are added: verdicts must
 * follow from the values beside them, and the attempt that is said to work must really do so.
 */
export function reward(task: Pick<Task, "numbers" | "target">, text: string): number {
  const { attempts, answer, inFormat } = parseTrace(task, text);
  const isConsistent = attempts.every(({ claimed, verdict }) => (claimed === task.target) === (verdict === "works"));
  if (!inFormat || !isConsistent) return 0;
  return answer === task.target && attempts.at(-1)?.value === task.target ? 1 : 0.1;
}

/** Counts over many responses; `share`s follow by division. */
export interface Scores {
  readonly tasks: number;
  readonly solved: number;
  readonly inFormat: number;
  /** Attempts in all, and those whose claimed value is the true one. */
  readonly attempts: number;
  readonly calculated: number;
  /** Attempts whose claimed value is the target, and of these those called so; likewise those whose claimed value is not. */
  readonly hits: { readonly all: number; readonly called: number };
  readonly misses: { readonly all: number; readonly called: number };
}

/** What a model's responses to tasks are worth. */
export function scoreTraces(tasks: readonly Pick<Task, "numbers" | "target">[], texts: readonly string[]): Scores {
  const parsed = tasks.map((task, i) => ({ task, trace: parseTrace(task, texts[i] ?? "") }));
  const attempts = parsed.flatMap(({ task, trace }) => trace.attempts.map((attempt) => ({ ...attempt, target: task.target })));
  const hits = attempts.filter(({ claimed, target }) => claimed === target);
  const misses = attempts.filter(({ claimed, target }) => claimed !== target);
  return {
    tasks: tasks.length,
    solved: parsed.filter(({ task, trace }) => trace.answer === task.target).length,
    inFormat: parsed.filter(({ trace }) => trace.inFormat).length,
    attempts: attempts.length,
    calculated: attempts.filter(({ value, claimed }) => value === claimed).length,
    hits: { all: hits.length, called: hits.filter(({ verdict }) => verdict === "works").length },
    misses: { all: misses.length, called: misses.filter(({ verdict }) => verdict === "not").length },
  };
}

/** The share of attempts whose verdict follows from the value that the model itself wrote: right and wrong ones count alike. */
export function verificationAccuracy({ hits, misses }: Scores): number {
  const shares = [hits, misses].filter(({ all }) => all > 0).map(({ all, called }) => called / all);
  return shares.reduce((total, share) => total + share, 0) / shares.length;
}
