/**
 * @file The judgements of a text: what each attempt claims, what it really gives, and what is said of it. So "verified" can be told from "verified rightly": a
 * model may judge well what it wrote and have calculated wrong. Reads both formats; texts may be anything.
 */
import { sameNumbers } from "../../tasks/countdown/expression.js";
import { arithmeticValue, numbersIn } from "../../tasks/countdown/paper-arithmetic.js";
import type { Prompt } from "./format.js";

/** One judgement. */
export interface Verdict {
  readonly verdict: "works" | "not";
  /** The attempt as written in front of its last `=`. */
  readonly expression: string;
  /** What the model says that it gives. */
  readonly claimed: number;
  readonly claimIsTarget: boolean;
  /** What it does give; undefined where it is no calculation. Divisions may leave a rest, whatever the format. */
  readonly value: number | undefined;
  /** Whether it gives the target with the task's numbers, each once; undefined where it is no calculation. */
  readonly isRight: boolean | undefined;
}

/** A claimed result, at the end of what stands in front of a judgement. */
export const CLAIM = /=\s*(-?\d{1,15}(?:\.\d{1,15})?)$/;

/** What follows a result; both formats have these words. */
const JUDGED = / \((not|this)\b/g;

/** How far values may lie from the target: as in the released reward. */
const TOLERANCE = 1e-5;

/** The judgements of a text, in order: each ` (not` or ` (this` that stands right behind `= number`, in the same line. */
export function verdictsOf(text: string, { numbers, target }: Prompt["task"]): Verdict[] {
  return text.split("\n").flatMap((line) =>
    [...line.matchAll(JUDGED)].flatMap(({ index, 1: word }): Verdict[] => {
      const claim = CLAIM.exec(line.slice(0, index));
      if (!claim) return [];
      const expression = line
        .slice(0, claim.index)
        .replace(/^\s*- /, "")
        .trim();
      const claimed = Number(claim[1]);
      const value = arithmeticValue(expression);
      const reaches = value !== undefined && isClose(value, target) && sameNumbers(numbersIn(expression), numbers);
      return [
        {
          verdict: word === "this" ? "works" : "not",
          expression,
          claimed,
          claimIsTarget: isClose(claimed, target),
          value,
          isRight: value === undefined ? undefined : reaches,
        },
      ];
    }),
  );
}

function isClose(value: number, target: number): boolean {
  return Math.abs(value - target) < TOLERANCE;
}
