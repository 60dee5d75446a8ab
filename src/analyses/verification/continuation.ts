/**
 * @file How a search goes on behind a result, with something changed where it judges. The model writes on, greedily and untouched; each time it has
 * written the token in front of a judgement, that one forward pass is made anew with the edits, and the judgement's word is taken
 * from it (protocol of Lee et al. 2025, released code: heads off at all positions of that pass, units off at its last).
 *
 * When it misleads: switching something off by zero is not a value that the model has seen; and a search that no longer judges may have lost its
 * thread rather than its verdict, so outcomes are told apart and random heads are switched off beside.
 */
import { must, SextantError } from "../../base/errors.js";
import type { Edit } from "../../runtime/edit.js";
import type { GenerateOptions, Model, RunOptions } from "../../runtime/model.js";
import { signalOf } from "../collect.js";
import { topTokens } from "../probabilities.js";

export interface ContinuationRequest {
  /** Prompts with what was written so far. */
  readonly rows: readonly (readonly number[])[];
  /** The token in front of a judgement. */
  readonly open: number;
  /** In force in the pass that judges: the same for all rows, or made for those of a pass, which end in `open`. */
  readonly edits: readonly Edit[] | ((rows: readonly (readonly number[])[]) => Promise<readonly Edit[]>);
  readonly maxNew: number;
  readonly stopTokens: readonly number[];
  readonly stopStrings?: readonly string[];
  /** Rows a pass, 32 by default. */
  readonly batch?: number;
}

/** What was written behind each row, with the token that ended it; a row that fills the model's context ends there. */
export async function continueSearches(
  model: Model,
  request: ContinuationRequest,
  options: GenerateOptions = {},
): Promise<readonly (readonly number[])[]> {
  const { rows, batch = 32, maxNew } = request;
  if (!(Number.isInteger(batch) && batch > 0)) throw new SextantError("request", `batch must be a whole number above 0, got ${batch}`);
  if (!(Number.isInteger(maxNew) && maxNew > 0)) throw new SextantError("request", `maxNew must be a whole number above 0, got ${maxNew}`);
  const order = rows.map((_, row) => row).toSorted((a, b) => rows[a]!.length - rows[b]!.length);
  const written: (readonly number[])[] = Array.from({ length: rows.length }, () => []);
  for (let from = 0; from < order.length; from += batch) {
    const chosen = order.slice(from, from + batch);
    const found = await continueTogether(model, { ...request, rows: chosen.map((row) => rows[row]!) }, options);
    for (const [place, row] of chosen.entries()) written[row] = must(found[place], "a continuation");
    options.onProgress?.({ stage: "going on", done: Math.min(from + batch, order.length), total: order.length });
  }
  return written;
}

/** One search on its way. */
interface Going {
  readonly start: readonly number[];
  readonly written: number[];
  done: boolean;
}

async function continueTogether(model: Model, request: ContinuationRequest, options: GenerateOptions): Promise<number[][]> {
  const { open, maxNew } = request;
  const going: Going[] = request.rows.map((start) => ({ start, written: [], done: false }));
  for (;;) {
    for (const one of going) one.done ||= roomOf(model, one, maxNew) <= 0;
    const left = going.filter(({ done }) => !done);
    if (left.length === 0) return going.map(({ written }) => written);
    const judging = left.filter((one) => rowOf(one).at(-1) === open);
    if (judging.length > 0) await judgeNext(model, judging, request, options);
    else await writeOn(model, left, request, options);
    for (const one of left) await endAtStop(one, request, options);
  }
}

/** Ends a search at the token with which its text has a stop string: generating sees neither the judgement's word nor what stands before it. */
async function endAtStop(one: Going, { stopStrings = [] }: ContinuationRequest, { decode }: GenerateOptions): Promise<void> {
  if (!decode || one.done) return;
  const hasStopped = async (length: number): Promise<boolean> => {
    const text = await decode(one.written.slice(0, length));
    return stopStrings.some((stop) => text.includes(stop));
  };
  if (!(await hasStopped(one.written.length))) return;
  while (await hasStopped(one.written.length - 1)) one.written.pop();
  one.done = true;
}

/** Tokens that may still be written. */
function roomOf({ spec: { context } }: Model, { start, written }: Going, maxNew: number): number {
  return Math.min(maxNew, (context?.length ?? Infinity) - start.length) - written.length;
}

function rowOf({ start, written }: Going): readonly number[] {
  return [...start, ...written];
}

async function judgeNext(
  model: Model,
  going: readonly Going[],
  { edits, stopTokens }: ContinuationRequest,
  options: RunOptions,
): Promise<void> {
  const tokens = going.map(rowOf);
  const inForce = typeof edits === "function" ? await edits(tokens) : edits;
  const { logits } = await model.forward({ tokens, edits: inForce, logits: { positions: "last" } }, signalOf(options));
  const { data, shape } = must(logits, "logits");
  const vocab = shape.at(-1)!;
  for (const [row, one] of going.entries()) {
    const next = topTokens(data.subarray(row * vocab, (row + 1) * vocab), 1)[0]!.token;
    one.written.push(next);
    one.done ||= stopTokens.includes(next);
  }
}

async function writeOn(
  model: Model,
  going: readonly Going[],
  { open, stopTokens, stopStrings = [], maxNew }: ContinuationRequest,
  options: GenerateOptions,
): Promise<void> {
  // Those that have least left to write set the pace; the others take another turn.
  const least = Math.min(...going.map((one) => roomOf(model, one, maxNew)));
  const request = { tokens: going.map(rowOf), maxNew: least, stopTokens: [open, ...stopTokens], stopStrings };
  const { tokens, finish } = await model.generate(request, { ...signalOf(options), ...(options.decode && { decode: options.decode }) });
  for (const [row, one] of going.entries()) {
    one.written.push(...tokens[row]!);
    one.done ||= finish[row] === "stop_string" || (finish[row] === "stop_token" && one.written.at(-1) !== open);
  }
}
