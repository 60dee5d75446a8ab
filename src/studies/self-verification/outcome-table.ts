/** @file Outcomes of conditions as a table, as generations and as a picture. */
import { wilson } from "../../base/wilson.js";
import { stackedSharesSvg } from "../../charts/stacked-shares.js";
import type { JsonObject } from "../../formats/json.js";
import type { Figure } from "../../store/step-output.js";
import { tableOf, type Table } from "../../store/table.js";
import { countOf, OUTCOMES, type ConditionResult } from "./conditions.js";
import type { CaseState } from "./state.js";

/** One row a condition. */
export function outcomeTable(name: string, title: string, results: readonly ConditionResult[]): Table {
  const share = (column: string) => ({ name: column, type: "double", unit: "share" }) as const;
  return tableOf(
    { name, title, tolerance: { absolute: 0.03, relative: 0 } },
    [
      { name: "condition", type: "text" },
      { name: "meaning", type: "text" },
      ...OUTCOMES.map(share),
      share("disabled_low"),
      share("disabled_high"),
      { name: "cases", type: "int" },
    ],
    results.map((result) => {
      const n = result.outcomes.length;
      const interval = n > 0 ? wilson(countOf(result, "disabled"), n) : undefined;
      return {
        condition: result.id,
        meaning: result.label,
        ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome, n > 0 ? countOf(result, outcome) / n : null])),
        disabled_low: interval?.low ?? null,
        disabled_high: interval?.high ?? null,
        cases: n,
      };
    }),
  );
}

/** One line a case and condition. */
export function outcomeLines(results: readonly ConditionResult[], cases: readonly CaseState[]): JsonObject[] {
  return results.flatMap(({ id, texts, outcomes }) =>
    texts.map((text, i) => ({ condition: id, search: cases[i]!.search, continuation: text, outcome: outcomes[i] })),
  );
}

/** One bar a condition. */
export function outcomeFigure(
  name: string,
  title: string,
  { results, table }: { results: readonly ConditionResult[]; table: string },
): Figure {
  return {
    name,
    title,
    caption:
      "Disabled: the right result is called wrong. Partial: it is not judged, but the answer is given. Verifies: it is called right. Unknown: none of these, such as brackets without a verdict.",
    svg: stackedSharesSvg(
      results
        .filter(({ outcomes }) => outcomes.length > 0)
        .map((result) => ({
          label: result.label,
          parts: OUTCOMES.map((outcome) => ({ name: outcome, share: countOf(result, outcome) / result.outcomes.length })),
        })),
      { title },
    ),
    table,
  };
}
