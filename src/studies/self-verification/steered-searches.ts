/** @file Whole searches, steered wherever they judge. */
import { continueSearches } from "../../analyses/verification/continuation.js";
import type { JsonObject } from "../../formats/json.js";
import type { Edit } from "../../runtime/edit.js";
import type { Control, Finding } from "../../store/finding.js";
import { shareFinding } from "../finding-of.js";
import { formatNamed } from "./formats/table.js";
import { prefixOf } from "./judged.js";
import type { SearchesState, StepState } from "./state.js";
import { editsAlong, type Work } from "./steering.js";
import { verdictsOf } from "./verdicts.js";

/** Searches steered at each bracket from a judgement of given number on: do they accept what is wrong? */
export async function steeredSearches(
  { context, searches, vectors, cases }: Work,
  strength: number,
): Promise<{ findings: Finding[]; lines: JsonObject[] }> {
  const { fromJudgement, cases: most } = context.parameters.steer;
  const starts = cases.filter(({ attempt, label }) => attempt === fromJudgement - 1 && label === 0).slice(0, most);
  const rows = starts.map((step) => prefixOf(searches, step));
  const format = formatNamed(context.parameters.format);
  const { tokenizer, model } = context.subject;
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  const request = {
    rows,
    open: searches.words.open,
    maxNew: format.most.search,
    stopTokens: searches.stopTokens,
    stopStrings: format.stop.search,
  };
  const write = (name: string, edits: readonly Edit[]): Promise<readonly string[]> =>
    context.piece(`searches ${name}`, async () =>
      rows.length === 0 ? [] : (await continueSearches(model, { ...request, edits }, { signal: context.signal, decode })).map(decode),
    );
  const texts = {
    plain: await write("plain", []),
    steered: await write("steered", editsAlong(vectors.layers, vectors.real, strength)),
    placebo: await write("placebo", editsAlong(vectors.layers, vectors.placebos[0]!, strength)),
  };
  const accepts = (written: readonly string[]): number =>
    written.filter((text, i) => acceptsWrong(searches, starts[i]!, { text, decode })).length;
  const n = rows.length;
  const controls: Control[] =
    n === 0
      ? []
      : [
          { name: "not steered", value: accepts(texts.plain) / n },
          { name: "a random direction as long", value: accepts(texts.placebo) / n },
        ];
  return {
    findings: [
      shareFinding(
        "steer.searches.accept_wrong",
        `searches that call a wrong value right when steered from judgement ${fromJudgement} on (step ${strength})`,
        {
          hits: accepts(texts.steered),
          n,
          controls,
          tolerance: { absolute: 0.05, relative: 0 },
        },
      ),
    ],
    lines: starts.map((step, i) => ({
      search: step.search,
      from: step.open,
      plain: texts.plain[i],
      steered: texts.steered[i],
      placebo: texts.placebo[i],
    })),
  };
}

/** Whether a search calls a value right that is not the target, at a judgement or behind it. */
function acceptsWrong(
  { searches }: SearchesState,
  { search, open, attempt }: StepState,
  { text, decode }: { readonly text: string; readonly decode: (ids: readonly number[]) => string },
): boolean {
  const { tokens, asked, target } = searches[search]!;
  const whole = decode(tokens.slice(asked, open + 1)) + text;
  const judged = verdictsOf(whole, { numbers: [], target }).slice(attempt);
  return judged.some(({ verdict, claimIsTarget }) => verdict === "works" && !claimIsTarget);
}
