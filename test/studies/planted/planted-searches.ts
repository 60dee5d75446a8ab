/**
 * @file CountDown searches for the planted model: results and targets of one digit, each uniform over 1 to 9, and about half of the attempts right. Results are
 * drawn, not calculated, so that neither the expression nor the result nor the target alone says anything about the verdict.
 */
import { seededRandom, type Random } from "../../../src/base/random.js";
import { pick, randomExpression, type Task } from "../../../src/tasks/countdown/task.js";
import { attemptOf, promptOf } from "../../../src/tasks/countdown/trace.js";
import { encodeText, idOf, TOKENS } from "../../../src/tasks/countdown/vocabulary.js";

export interface PlantedAttempt {
  readonly result: number;
  readonly isRight: boolean;
  /** Where ` (` stands in the tokens; the result stands in front of it, the verdict behind it. */
  readonly open: number;
}

export interface PlantedSearch {
  readonly task: Pick<Task, "numbers" | "target">;
  readonly prompt: string;
  /** Attempts, one a line. */
  readonly response: string;
  /** The first token, prompt and response. */
  readonly tokens: readonly number[];
  /** Where the target's digit stands in the prompt. */
  readonly target: number;
  readonly attempts: readonly PlantedAttempt[];
}

const NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
const OPERANDS = 3;

/** So many that demanding both verdicts in a search makes earlier ones say next to nothing about the last: 2 of 64 orders are left out. */
const ATTEMPTS = 6;

/** The searches of a seed, each with right and wrong attempts; search i is the same however many are made. */
export function plantedSearches(seed: number, count: number): PlantedSearch[] {
  return Array.from({ length: count }, (_, index) => searchFrom(seededRandom(seed, index)));
}

function searchFrom(random: Random): PlantedSearch {
  const task = { numbers: Array.from({ length: OPERANDS }, () => pick(random, NUMBERS)), target: pick(random, NUMBERS) };
  const prompt = promptOf(task);
  const drawn = verdicts(random).map((isRight) => ({ isRight, result: isRight ? task.target : pick(random, othersThan(task.target)) }));
  const response = drawn.map(({ result }) => attemptOf(randomExpression(random, task.numbers), result, task.target)).join("");
  const tokens = [TOKENS.bos, ...encodeText(prompt), ...encodeText(response)];
  const opens = [...tokens.keys()].filter((i) => tokens[i] === idOf(" ("));
  const attempts = drawn.map((attempt, i) => ({ ...attempt, open: opens[i]! }));
  return { task, prompt, response, tokens, target: tokens.indexOf(idOf(" target")) + 1, attempts };
}

/** Each as likely as the other, drawn again until both are there. */
function verdicts(random: Random): boolean[] {
  for (;;) {
    const drawn = Array.from({ length: ATTEMPTS }, () => random() < 0.5);
    if (drawn.includes(true) && drawn.includes(false)) return drawn;
  }
}

function othersThan(target: number): number[] {
  return NUMBERS.filter((number) => number !== target);
}
