/**
 * @file Scores of searches as shares with 95 % intervals. Wilson's for each share; for the mean of two shares the intervals of both are joined as by Zou and
 * Donner 2008 (MOVER). They take tasks, and attempts, for independent draws: give distinct tasks (`distinctTasks`), and remember that attempts of one
 * search depend on one another, so that the intervals over attempts are rather too narrow.
 */
import { wilson, type ShareInterval } from "../../base/wilson.js";
import { SextantError } from "../../base/errors.js";
import { parseTrace, type Attempt } from "./parse.js";
import type { Task } from "./task.js";

/** Verdicts against what is so: shares called rightly among those that are the target, those that are not, and the mean of both shares. */
export interface Verdicts {
  readonly hits: ShareInterval | undefined;
  readonly misses: ShareInterval | undefined;
  /** Balanced accuracy, `n` of both classes together; undefined where a class is missing. */
  readonly balanced: ShareInterval | undefined;
}

/** What searches are worth. A share of nothing is undefined. */
export interface TraceReport {
  readonly solved: ShareInterval | undefined;
  /** Searches in the format that say that they found nothing. */
  readonly givenUp: ShareInterval | undefined;
  readonly inFormat: ShareInterval | undefined;
  /** Attempts whose claimed value is the true one; an attempt without a true value is wrong. */
  readonly arithmetic: ShareInterval | undefined;
  /** Attempts whose claimed value begins as the true one does: sign and first digit. */
  readonly firstDigit: ShareInterval | undefined;
  /** Verdicts by the value that the model wrote: does it verify what it wrote? */
  readonly byClaimed: Verdicts;
  /** Verdicts by the true value; an attempt without one misses the target. */
  readonly byTrue: Verdicts;
}

/** The report of one response a task. */
export function reportTraces(tasks: readonly Pick<Task, "numbers" | "target">[], texts: readonly string[]): TraceReport {
  if (tasks.length !== texts.length)
    throw new SextantError("request", `countdown: ${tasks.length} tasks need as many responses, got ${texts.length}`);
  const parsed = tasks.map((task, i) => ({ task, trace: parseTrace(task, texts[i]!) }));
  const attempts = parsed.flatMap(({ task: { target }, trace }) => trace.attempts.map((attempt): Judged => ({ ...attempt, target })));
  return {
    solved: shareOf(parsed, ({ task, trace }) => trace.answer === task.target),
    givenUp: shareOf(parsed, ({ trace }) => trace.inFormat && trace.isGivenUp),
    inFormat: shareOf(parsed, ({ trace }) => trace.inFormat),
    arithmetic: shareOf(attempts, ({ value, claimed }) => value === claimed),
    firstDigit: shareOf(attempts, ({ value, claimed }) => value !== undefined && beginning(value) === beginning(claimed)),
    byClaimed: verdictsOf(attempts, ({ claimed, target }) => claimed === target),
    byTrue: verdictsOf(attempts, ({ value, target }) => value === target),
  };
}

type Judged = Attempt & { readonly target: number };

function verdictsOf(attempts: readonly Judged[], isHit: (attempt: Judged) => boolean): Verdicts {
  const hits = shareOf(attempts.filter(isHit), ({ verdict }) => verdict === "works");
  const misses = shareOf(
    attempts.filter((attempt) => !isHit(attempt)),
    ({ verdict }) => verdict === "not",
  );
  return { hits, misses, balanced: hits && misses && meanOf(hits, misses) };
}

function shareOf<T>(list: readonly T[], is: (item: T) => boolean): ShareInterval | undefined {
  return list.length === 0 ? undefined : wilson(list.filter(is).length, list.length);
}

/** The mean of two independent shares: distances to the limits add as squares, each with weight ½. */
function meanOf(a: ShareInterval, b: ShareInterval): ShareInterval {
  const share = (a.share + b.share) / 2;
  const low = share - Math.hypot(a.share - a.low, b.share - b.low) / 2;
  const high = share + Math.hypot(a.high - a.share, b.high - b.share) / 2;
  return { share, low, high, n: a.n + b.n };
}

/** Sign and first digit. */
function beginning(value: number): string {
  return /^-?\d/.exec(String(value))?.[0] ?? "";
}
