/** @file What becomes of verification when something is changed where the model judges: continuations, their outcomes, and shares of them. */
import { continueSearches } from "../../analyses/verification/continuation.js";
import type { Edit } from "../../runtime/edit.js";
import type { Control, Finding } from "../../store/finding.js";
import { shareFinding } from "../finding-of.js";
import type { StepContext } from "../study.js";
import type { Outcome } from "./format.js";
import { formatNamed } from "./formats/table.js";
import type { SelfVerificationParameters } from "./parameters.js";
import type { CaseState, SearchesState } from "./state.js";

/** The edits of a pass, or how they are made for its rows. */
export type Change = readonly Edit[] | ((rows: readonly (readonly number[])[]) => Promise<readonly Edit[]>);

/** A condition: what is changed, under a name. */
export interface Condition {
  /** A name for identifiers: letters, digits, `_` and dots. */
  readonly id: string;
  readonly label: string;
  readonly change: Change;
}

/** What came of a condition. */
export interface ConditionResult {
  readonly id: string;
  readonly label: string;
  readonly texts: readonly string[];
  readonly outcomes: readonly Outcome[];
}

export const OUTCOMES: readonly Outcome[] = ["disabled", "partial", "verifies", "unknown"];

/** Goes on from each case under each condition. What was finished before a stop is not done again. */
export async function runConditions(
  context: StepContext<SelfVerificationParameters>,
  {
    searches,
    cases,
    conditions,
  }: { readonly searches: SearchesState; readonly cases: readonly CaseState[]; readonly conditions: readonly Condition[] },
): Promise<ConditionResult[]> {
  const format = formatNamed(context.parameters.format);
  const { model, tokenizer } = context.subject;
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  const results: ConditionResult[] = [];
  const known = new Map<string, readonly string[]>();
  for (const { id, label, change } of conditions) {
    const key = typeof change === "function" ? id : JSON.stringify(change);
    const texts =
      known.get(key) ??
      (await context.piece(id, async () => {
        const written = await continueSearches(
          model,
          {
            rows: cases.map(({ tokens }) => tokens),
            open: searches.words.open,
            edits: change,
            maxNew: format.most.continuation,
            stopTokens: searches.stopTokens,
            stopStrings: format.stop.continuation,
            batch: context.parameters.ablation.batch,
          },
          { signal: context.signal, decode },
        );
        return written.map(decode);
      }));
    known.set(key, texts);
    results.push({ id, label, texts, outcomes: texts.map((text) => format.outcomeOf(text)) });
    context.progress(results.length, conditions.length);
  }
  return results;
}

/** The share of cases with an outcome, under the condition's label: what other conditions are read beside. */
export function asControl(result: ConditionResult, outcome: Outcome): Control {
  return { name: result.label, value: countOf(result, outcome) / result.outcomes.length };
}

/** How often an outcome came. */
export function countOf({ outcomes }: Pick<ConditionResult, "outcomes">, outcome: Outcome): number {
  return outcomes.filter((own) => own === outcome).length;
}

/** The share of cases in which the right result was called wrong. */
export function disabledFinding(result: ConditionResult, rest: Partial<Pick<Finding, "controls" | "published" | "note">> = {}): Finding {
  return shareFinding(`${result.id}.disabled`, `right results that are called wrong: ${result.label}`, {
    hits: countOf(result, "disabled"),
    n: result.outcomes.length,
    tolerance: { absolute: 0.03, relative: 0 },
    ...rest,
  });
}

/** The share of cases in which it was called right. */
export function verifiesFinding(result: ConditionResult, rest: Partial<Pick<Finding, "controls" | "published" | "note">> = {}): Finding {
  return shareFinding(`${result.id}.verifies`, `right results that are called right: ${result.label}`, {
    hits: countOf(result, "verifies"),
    n: result.outcomes.length,
    tolerance: { absolute: 0.03, relative: 0 },
    ...rest,
  });
}
