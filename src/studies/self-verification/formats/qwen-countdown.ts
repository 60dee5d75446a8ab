/**
 * @file The format of Lee et al. (2025): the base template's prompt, and searches as Qwen2.5-3B wrote them after training on CountDown. What was asked is
 * the released prompt to the letter; where worked examples stand in front, their wording is ours, since the paper's is not to be had.
 */
import type { Random } from "../../../base/random.js";
import { makeTask, type Task, type TaskOptions } from "../../../tasks/countdown/task.js";
import { isPaperForm, PAPER_CUT, PAPER_TURN, paperPrompt, paperReward, paperSearch } from "../../../tasks/countdown/paper-text.js";
import type { VerificationFormat } from "../format.js";
import { paperOutcome } from "../outcome.js";
import { checkCounts, checkOptions, chooseRows, drawTasks, otherTasks, withWrongAttempt, type FormatOptions } from "./asked.js";

const NAME = "qwen-countdown";

/** As in the released outputs: 3 or 4 numbers of 1 … 99, targets of 10 … 100. */
const TASKS: TaskOptions = { counts: [3, 4], largestNumber: 99, largestTarget: 100 };
const LEAST_TARGET = 10;

/**
 * The format. Tasks are made like those of the paper, or given (`rows`, such as those of its data set, of which the last 1024 were held out); made ones are
 * known to be solvable, not to be held out. A search has 200 tokens at most, a continuation 100.
 */
export function qwenCountdownFormat(options: FormatOptions = {}): VerificationFormat {
  checkOptions(options, NAME);
  const { tasks = TASKS, rows, mostSearch = 200 } = options;
  const draw = (random: Random): Task | undefined => {
    const task = makeTask(random, tasks);
    return task.target >= LEAST_TARGET ? task : undefined;
  };
  return {
    name: NAME,
    words: { open: " (", valid: "this", invalid: "not" },
    // Untrained models go on behind the answer. Two line breaks end a continuation, also where they are one token or the end of one, as `>\n\n`.
    stop: { search: ["</answer>"], continuation: ["\n\n"] },
    most: { search: mostSearch, continuation: 100 },
    hasStartToken: false,
    prompts(count, seed, { examples = 0 } = {}) {
      checkCounts(count, examples, NAME);
      const asked = rows ? chooseRows(rows, count, seed) : drawTasks(count, seed, draw);
      const worked = otherTasks(asked, { count: examples, seed, draw: (random) => makeTask(random, { ...tasks, counts: [3] }) });
      return asked.map((task, i) => {
        const { random, tasks: others } = worked[i]!;
        const shown = others.map((other) => ({
          task: other,
          search: withWrongAttempt(() => paperSearch(random, other, { mostWrong: 1 })),
        }));
        return { task, text: paperPrompt(task, shown) };
      });
    },
    contextEnd,
    judge: (task, response) => ({ inFormat: isPaperForm(task, response), solved: paperReward(task, response) === 1 }),
    outcomeOf: paperOutcome,
  };
}

/** Everything in front of the first ` Let's try different` of the last question's search; the prompt alone where it is not there. */
function contextEnd(text: string): number {
  const turn = text.lastIndexOf(PAPER_TURN);
  const asked = turn < 0 ? 0 : turn + PAPER_TURN.length;
  const cut = text.indexOf(PAPER_CUT, asked);
  return cut < 0 ? asked : cut;
}
