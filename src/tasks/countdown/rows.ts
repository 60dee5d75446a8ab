/** @file CountDown searches as rows of tokens: sample i of a seed is the same whenever and wherever it is made, so that training resumes exactly. */
import { refuse, SextantError } from "../../base/errors.js";
import { seededRandom, type Random } from "../../base/random.js";
import { makeTask, taskKey, taskOptions, type Task, type TaskOptions } from "./task.js";
import { makeSample, promptOf, wrongLimit, writeDrill, type TraceOptions } from "./trace.js";
import { CONTEXT, encodeText, TOKENS } from "./vocabulary.js";

/** A row, and which of its tokens count in the loss: the search, not what was asked. */
export interface Row {
  readonly tokens: readonly number[];
  readonly mask: readonly number[];
}

/** The row of sample `index`. */
export function rowAt(seed: number, index: number, options: TraceOptions = {}): Row {
  return searchRow(seededRandom(seed, index), options);
}

/** Shares of the rows that are not just a search, each from 0 to 1. */
export interface Practice {
  /** Calculating and judging attempts, and only that counts. */
  readonly drills: number;
  /** Of the others: a search behind a worked example of another task. Default 0. */
  readonly examples?: number;
}

/** The row of sample `index` where shares of the rows are practice. */
export function practiceRowAt(seed: number, index: number, { drills, examples = 0, ...options }: TraceOptions & Practice): Row {
  checkShare("drills", drills);
  checkShare("examples", examples);
  const random = seededRandom(seed, index);
  if (random() < drills) return drillRow(random, options);
  return random() < examples ? exampleRow(random, options) : searchRow(random, options);
}

function checkShare(name: string, share: number): void {
  if (!(share >= 0 && share <= 1)) throw new SextantError("usage", `countdown: ${name} must be a share from 0 to 1, got ${share}`);
}

/** Draws of a search that fits behind a worked example. */
const MOST_DRAWS = 20;

/** The example is short; the search behind it is any that fits into the context. */
function exampleRow(random: Random, options: TraceOptions): Row {
  const { counts } = taskOptions(options);
  const shown = makeSample(random, { ...options, counts: [Math.min(...counts)], mostWrong: 1, givesUp: false });
  const rowBehind = (own: TraceOptions): Row => {
    const { prompt, response } = makeSample(random, own);
    return rowOf(shown.prompt + shown.response + prompt, response);
  };
  for (let draw = 0; draw < MOST_DRAWS; draw++) {
    const row = rowBehind(options);
    if (row.tokens.length <= CONTEXT) return row;
  }
  return rowBehind({ ...options, mostWrong: Math.min(4, wrongLimit(options)), givesUp: false });
}

function drillRow(random: Random, options: TraceOptions): Row {
  const task = makeTask(random, options, false);
  const asked = [TOKENS.bos, ...encodeText(promptOf(task))];
  const lines = writeDrill(random, task, options).trimEnd().split("\n");
  const parts = lines.map((line) => {
    const at = line.indexOf(" = ") + " =".length;
    return [encodeText(line.slice(0, at)), encodeText(`${line.slice(at)}\n`)] as const;
  });
  return {
    tokens: [...asked, ...parts.flat(2)],
    mask: [...asked.map(() => 0), ...parts.flatMap(([given, own]) => [...given.map(() => 0), ...own.map(() => 1)])],
  };
}

function searchRow(random: Random, options: TraceOptions): Row {
  const { prompt, response } = makeSample(random, options);
  return rowOf(prompt, response);
}

function rowOf(prompt: string, response: string): Row {
  const asked = [TOKENS.bos, ...encodeText(prompt)];
  const search = [...encodeText(response), TOKENS.eos];
  return { tokens: [...asked, ...search], mask: [...asked.map(() => 0), ...search.map(() => 1)] };
}

/** A task and its prompt as tokens; with `held` from those that training never meets. */
export function taskAt(seed: number, index: number, options: TaskOptions = {}, held = false): { task: Task; tokens: readonly number[] } {
  const task = makeTask(seededRandom(seed, index), options, held);
  return { task, tokens: [TOKENS.bos, ...encodeText(promptOf(task))] };
}

/** A task and its prompt as tokens. */
export type AskedTask = ReturnType<typeof taskAt>;

/**
 * The first `count` tasks of a seed of which no two are the same: what intervals need, which take tasks for independent draws. Refused where there are not
 * so many.
 */
export function distinctTasks(seed: number, count: number, options: TaskOptions = {}, held = false): AskedTask[] {
  const found = new Map<string, AskedTask>();
  const most = 1000 + 100 * count;
  for (let index = 0; found.size < count && index < most; index++) {
    const asked = taskAt(seed, index, options, held);
    const key = taskKey(asked.task);
    if (!found.has(key)) found.set(key, asked);
  }
  if (found.size === count) return [...found.values()];
  throw refuse(
    {
      what: `cannot make ${count} distinct CountDown tasks`,
      why: `${most} draws gave ${found.size}`,
      instead: "ask for fewer, or allow larger numbers",
    },
    "usage",
  );
}

/** Lengths of rows in tokens. */
export interface RowLengths {
  readonly least: number;
  readonly median: number;
  readonly mean: number;
  /** 99 of 100 rows are no longer. */
  readonly percentile99: number;
  readonly most: number;
  /** The longest search with its end token: what a generation must be allowed. */
  readonly mostSearch: number;
}

export interface RowsOptions extends TraceOptions {
  /** The first sample. Default 0. */
  readonly from?: number;
  /** A longer row is refused. Default 256, the context that the tokenizer names. */
  readonly mostTokens?: number;
}

/** Rows of `count` samples of a seed, each the same as `rowAt` gives it, and how long they are. */
export function trainingRows(seed: number, count: number, options: RowsOptions = {}): { rows: readonly Row[]; lengths: RowLengths } {
  const { from = 0, mostTokens = CONTEXT } = options;
  if (!(Number.isInteger(count) && count >= 1))
    throw new SextantError("request", `countdown: rows must be a whole number from 1 on, got ${count}`);
  const rows = Array.from({ length: count }, (_, i) => rowAt(seed, from + i, options));
  const long = rows.findIndex(({ tokens }) => tokens.length > mostTokens);
  if (long < 0) return { rows, lengths: lengthsOf(rows) };
  const why = `it has ${rows[long]!.tokens.length} tokens, more than ${mostTokens}`;
  throw refuse(
    { what: `cannot use sample ${from + long} of seed ${seed}`, why, instead: "lower mostWrong, counts or largestNumber" },
    "request",
  );
}

function lengthsOf(rows: readonly Row[]): RowLengths {
  const sorted = rows.map(({ tokens }) => tokens.length).toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;
  return {
    least: sorted[0]!,
    median: at(0.5),
    mean: sorted.reduce((total, length) => total + length, 0) / sorted.length,
    percentile99: at(0.99),
    most: sorted.at(-1)!,
    mostSearch: rows.reduce(
      (most, { mask }) =>
        Math.max(
          most,
          mask.reduce((total, one) => total + one, 0),
        ),
      0,
    ),
  };
}
