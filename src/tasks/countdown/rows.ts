/** @file CountDown searches as rows of tokens: sample i of a seed is the same whenever and wherever it is made, so that training resumes exactly. */
import { seededRandom } from "../../base/random.js";
import { makeTask, type Task, type TaskOptions } from "./task.js";
import { makeSample, promptOf, type TraceOptions } from "./trace.js";
import { encodeText, TOKENS } from "./vocabulary.js";

/** A row, and which of its tokens count in the loss: the search, not what was asked. */
export interface Row {
  readonly tokens: readonly number[];
  readonly mask: readonly number[];
}

/** The row of sample `index`. */
export function rowAt(seed: number, index: number, options: TraceOptions = {}): Row {
  const { prompt, response } = makeSample(seededRandom(seed, index), options);
  const asked = [TOKENS.bos, ...encodeText(prompt)];
  const search = [...encodeText(response), TOKENS.eos];
  return { tokens: [...asked, ...search], mask: [...asked.map(() => 0), ...search.map(() => 1)] };
}

/** A task and its prompt as tokens; with `held` from those that training never meets. */
export function taskAt(seed: number, index: number, options: TaskOptions = {}, held = false): { task: Task; tokens: readonly number[] } {
  const task = makeTask(seededRandom(seed, index), options, held);
  return { task, tokens: [TOKENS.bos, ...encodeText(promptOf(task))] };
}
