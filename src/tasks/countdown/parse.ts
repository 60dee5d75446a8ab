/**
 * @file Reading a model's search, and what it is worth: is it in the format, is the answer right, does each verdict say what is so? Texts may be
 * anything. Scores of many searches: `report.ts`.
 */
import { parseExpression, sameNumbers, valueOf } from "./expression.js";
import type { Task } from "./task.js";
import { GIVEN_UP } from "./trace.js";

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
  /** Whether the last line says that no attempt worked. */
  readonly isGivenUp: boolean;
  /** Whether every line is an attempt but the last, which is the answer to the last attempt alone, or that there is none; and nothing follows. */
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
  const isGivenUp = `${last}\n` === GIVEN_UP;
  const lastVerdict = isGivenUp ? "not" : "works";
  const ends = attempts.at(-1)?.verdict === lastVerdict && attempts.slice(0, -1).every(({ verdict }) => verdict === "not");
  return {
    attempts,
    answer: isAnswered ? reached(task, last.slice(ANSWER.length)) : undefined,
    isGivenUp,
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
