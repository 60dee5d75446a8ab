/**
 * @file CountDown in the words of Lee et al. (2025, arXiv 2504.14379): the base template's prompt, the search that their model collapsed to, and the
 * reward of TinyZero by which it was trained. Attempts are written as in `trace.ts`; all around them is longer.
 */
import type { Random } from "../../base/random.js";
import { sameNumbers, textOf } from "./expression.js";
import { arithmeticValue, numbersIn } from "./paper-arithmetic.js";
import { writeSearch } from "./trace.js";
import type { Task, TaskOptions } from "./task.js";

type Asked = Pick<Task, "numbers" | "target">;

const OPENING =
  "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first thinks about the reasoning process in the mind and then provides the user with the answer.\n";

/** What the assistant's turn begins with. */
export const PAPER_TURN = "Assistant: Let me solve this step by step.\n<think>";

/** What ends the restatement of the task: mentions of the target in front of it are those that heads look back at. */
export const PAPER_CUT = " Let's try different";

/** The question and the beginning of the answer. */
function questionOf({ numbers, target }: Asked): string {
  return (
    `User: Using the numbers [${numbers.join(", ")}], create an equation that equals ${target}. You can use basic arithmetic operations (+, -, *, /) ` +
    "and each number can only be used once. Show your work in <think> </think> tags. And return the final answer in <answer> </answer> tags, " +
    `for example <answer> (1 + 2) / 3 </answer>.\n${PAPER_TURN}`
  );
}

/** The prompt: opening, worked examples if any, question. */
export function paperPrompt(asked: Asked, worked: readonly { readonly task: Asked; readonly search: string }[] = []): string {
  return `${OPENING}${worked.map(({ task, search }) => `${questionOf(task)}${search}\n`).join("")}${questionOf(asked)}`;
}

/** A search as the trained model writes it behind `<think>`, up to `</answer>`; options as of `writeSearch`. */
export function paperSearch(random: Random, task: Task, options: TaskOptions & { readonly mostWrong?: number } = {}): string {
  const { numbers, target, solution } = task;
  const listed = `${numbers.slice(0, -1).join(", ")}, and ${numbers.at(-1)}`;
  const attempts = writeSearch(random, task, options).replace(/answer .*\n$/, "");
  const equation = textOf(solution);
  return (
    `We have the numbers ${listed}. We need to use all of them to make an equation that equals ${target}.${PAPER_CUT} combinations:\n${attempts}` +
    `So, the equation that equals ${target} is ${equation}. </think>\n<answer> ${equation} </answer>`
  );
}

const ATTEMPT = /^- [^=\n]{1,200} = -?\d{1,9}(?:\.\d{1,9})? \((this works|not (-?\d{1,9}))\)$/;
const CLOSING = /^So, the equation that equals (-?\d{1,9}) is [^\n]{1,200}\. <\/think>$/;

/**
 * Whether a response (what stands behind the prompt) has the collapsed form: a restatement, attempts of which the last and no other is said to work, the
 * equation, and the answer.
 */
export function isPaperForm({ target }: Asked, response: string): boolean {
  const lines = response.split("\n");
  const [first = "", ...rest] = lines;
  const attempts = rest.slice(0, -2).map((line) => ATTEMPT.exec(line));
  const [closing = "", answer = ""] = rest.slice(-2);
  const works = attempts.map((match) => match?.[1] === "this works");
  return (
    first.includes(PAPER_CUT) &&
    attempts.every((match) => match !== null && (match[2] === undefined || Number(match[2]) === target)) &&
    works.indexOf(true) === attempts.length - 1 &&
    works.length > 0 &&
    CLOSING.exec(closing)?.[1] === String(target) &&
    /^<answer>[^<\n]{1,200}<\/answer>$/.test(answer)
  );
}

/**
 * The reward: of the last line the last `<answer>`; 0 without one, 0.1 where it does not take the given numbers once each, has no value or another than
 * the target, 1 where it is within 10⁻⁵ of the target.
 */
export function paperReward({ numbers, target }: Asked, response: string): 0 | 0.1 | 1 {
  const last = response.split("\n").at(-1) ?? "";
  const answer = [...last.matchAll(/<answer>(.*?)<\/answer>/g)].at(-1)?.[1];
  if (answer === undefined) return 0;
  const value = arithmeticValue(answer);
  return sameNumbers(numbersIn(answer), numbers) && value !== undefined && Math.abs(value - target) < 1e-5 ? 1 : 0.1;
}
