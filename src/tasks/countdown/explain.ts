/** @file The attempts of a search with their text, and with the reason where an expression has no value: for people and for tables of errors. */
import { parseExpression, sameNumbers } from "./expression.js";
import { ATTEMPT, parseTrace, type Attempt } from "./parse.js";
import type { Task } from "./task.js";

/** Why an expression counts for nothing: it is none, takes other numbers than the task's, or a step of it is not a whole number below 2⁵³. */
export type Problem = "no expression" | "other numbers" | "not whole";

/** An attempt, the text in front of its `=`, and why it has no value where it has none. */
export interface ExplainedAttempt extends Attempt {
  readonly expression: string;
  readonly problem: Problem | undefined;
}

/** The attempts of `parseTrace`, explained. Lines that are no attempts are passed over. */
export function explainAttempts(task: Pick<Task, "numbers" | "target">, text: string): ExplainedAttempt[] {
  const written = text.split("\n").flatMap((line) => ATTEMPT.exec(line)?.[1] ?? []);
  return parseTrace(task, text).attempts.map((attempt, i): ExplainedAttempt => {
    const expression = written[i]!;
    return { ...attempt, expression, problem: attempt.value === undefined ? problemOf(task, expression) : undefined };
  });
}

function problemOf({ numbers }: Pick<Task, "numbers">, text: string): Problem {
  const expression = parseExpression(text);
  if (!expression) return "no expression";
  return sameNumbers(expression.numbers, numbers) ? "not whole" : "other numbers";
}
