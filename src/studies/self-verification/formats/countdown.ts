/** @file The repository's own format, of its CountDown model: `numbers 3 5 7 target 12`, attempts with verdicts, `answer …`. */
import { refuse } from "../../../base/errors.js";
import { parseTrace } from "../../../tasks/countdown/parse.js";
import { distinctTasks } from "../../../tasks/countdown/rows.js";
import { makeTask, type TaskOptions } from "../../../tasks/countdown/task.js";
import { promptOf, writeSearch } from "../../../tasks/countdown/trace.js";
import { CONTEXT, encodeText } from "../../../tasks/countdown/vocabulary.js";
import { COUNTDOWN, MOST_NEW } from "../../../training/countdown/recipe.js";
import type { Prompt, VerificationFormat } from "../format.js";
import { countdownOutcome } from "../outcome.js";
import { checkCounts, checkOptions, chooseRows, otherTasks, withWrongAttempt, type FormatOptions } from "./asked.js";

const NAME = "countdown";

/** Tokens that worked examples must leave to a search. */
const LEAST_SEARCH = 128;

/** What was asked, at the beginning of a line. */
const HEADER = /^numbers [\d ]+ target \d+\n/gm;

/**
 * The format. Tasks are held-out ones, by default of the kind that the shipped model was trained on. What was asked and the search must fit into
 * the 320 tokens of the shipped model: a search of `mostSearch` tokens where that is given; else worked examples may leave it fewer than it has without them, but 128 at least.
 */
export function countdownFormat(options: FormatOptions = {}): VerificationFormat {
  checkOptions(options, NAME);
  const { tasks = COUNTDOWN.task, rows, mostSearch } = options;
  return {
    name: NAME,
    words: { open: " (", valid: "this", invalid: "not" },
    // A model that has seen worked examples would go on with a task of its own.
    stop: { search: ["\nnumbers"], continuation: ["\n"] },
    most: { search: mostSearch ?? MOST_NEW, continuation: 16 },
    hasStartToken: true,
    prompts(count, seed, { examples = 0 } = {}) {
      checkCounts(count, examples, NAME);
      const asked = rows ? chooseRows(rows, count, seed) : distinctTasks(seed, count, tasks, true).map(({ task }) => task);
      const prompts =
        examples === 0 ? asked.map((task) => ({ task, text: promptOf(task) })) : workedPrompts(asked, { examples, seed, tasks });
      for (const { text } of prompts) checkLength(text, { examples, search: mostSearch ?? LEAST_SEARCH });
      return prompts;
    },
    contextEnd: (text) => {
      const last = [...text.matchAll(HEADER)].at(-1);
      return last ? last.index + last[0].length : 0;
    },
    judge: (task, response) => {
      const { inFormat, answer } = parseTrace(task, response);
      return { inFormat, solved: answer === task.target };
    },
    outcomeOf: countdownOutcome,
  };
}

/** Worked examples are of the smallest kind: fewest numbers, of one digit, one wrong attempt. */
function workedPrompts(
  asked: readonly Prompt["task"][],
  { examples, seed, tasks }: { readonly examples: number; readonly seed: number; readonly tasks: TaskOptions },
): Prompt[] {
  const small: TaskOptions = {
    ...tasks,
    counts: [Math.min(...(tasks.counts ?? [3]))],
    largestNumber: Math.min(9, tasks.largestNumber ?? 9),
  };
  const worked = otherTasks(asked, { count: examples, seed, draw: (random) => makeTask(random, small, false) });
  return asked.map((task, i) => {
    const { random, tasks: others } = worked[i]!;
    const { operators } = small;
    const writing = { ...(operators && { operators }), mostWrong: 1 };
    const shown = others.map((other) => promptOf(other) + withWrongAttempt(() => writeSearch(random, other, writing)));
    return { task, text: shown.join("") + promptOf(task) };
  });
}

function checkLength(text: string, { examples, search }: { readonly examples: number; readonly search: number }): void {
  const asked = 1 + encodeText(text).length;
  if (asked + search <= CONTEXT) return;
  throw refuse(
    {
      what: `cannot ask with ${examples} worked examples`,
      why: `a prompt has ${asked} tokens and a search needs ${search}, the model's context is ${CONTEXT}`,
      instead: "ask for fewer examples, or allow fewer tokens a search (mostSearch)",
    },
    "usage",
  );
}
