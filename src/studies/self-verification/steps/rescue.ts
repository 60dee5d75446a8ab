/** @file Step 10: are the heads sufficient? Everything that looks back is switched off, and some are given back what they had. */
import { isSameHead, type HeadPlace } from "../../../analyses/heads.js";
import { headsAsBefore, headsOff } from "../../../analyses/verification/switching-off.js";
import { shuffled } from "../../../base/draws.js";
import type { Step, StepContext } from "../../study.js";
import { asControl, runConditions, verifiesFinding, type Change, type Condition } from "../conditions.js";
import { outcomeFigure, outcomeLines, outcomeTable } from "../outcome-table.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { AblationState, ChannelsState, SearchesState } from "../state.js";

export const rescueStep: Step<SelfVerificationParameters> = {
  name: "rescue",
  title: "Rescue: heads given back",
  about:
    "All heads that look back at the target are set to 0, and in the same pass the output of a few is set to what it is in an untouched run: if verification comes back, of the heads that look back those few are enough. Beside it as many others are given back. Then the few alone are off, and have what they had at the last position only: is what they write there enough?",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const { ranked, verification } = context.earlier<ChannelsState>("channels").state;
    const { cases } = context.earlier<AblationState>("ablation").state;
    if (ranked.length === 0) return { findings: [], skipped: "no head looks back at the target, so none was switched off" };
    const results = await runConditions(context, { searches, cases, conditions: conditionsOf(context, ranked, verification) });
    const others = results.find(({ id }) => id === "rescue.others_back");
    return {
      findings: results.map((result) =>
        verifiesFinding(result, {
          controls: besideOf(result.id).flatMap((id) => {
            const beside = results.find((own) => own.id === id);
            return beside ? [asControl(beside, "verifies")] : [];
          }),
          ...(result.id === "rescue.top_back" && !others && { note: "nothing was left off, so this holds whatever the heads do" }),
        }),
      ),
      tables: [outcomeTable("rescue", "What became of verification when heads were given back", results)],
      generations: { rescued: outcomeLines(results, cases) },
      figures: [outcomeFigure("rescue", "Outcomes when heads are given back", { results, table: "rescue" })],
      notes: [
        "A head that is given back has its output of the untouched run, and later heads and units see it; a head that is merely left on would itself see what the others no longer write.",
        ...(others ? [] : [`Only the ${verification.length} verification heads look back, so there are no others to give back.`]),
      ],
    };
  },
};

/** What a condition is to be read beside: the same heads off and none given back, and others given back. */
function besideOf(id: string): readonly string[] {
  if (id === "rescue.top_back") return ["rescue.all_off", "rescue.others_back"];
  if (id === "rescue.others_back") return ["rescue.all_off"];
  return id === "rescue.top_off_last_back" ? ["rescue.top_off"] : [];
}

function conditionsOf(
  { subject: { model }, signal, random }: StepContext<SelfVerificationParameters>,
  ranked: readonly HeadPlace[],
  top: readonly HeadPlace[],
): Condition[] {
  const rest = ranked.slice(top.length);
  const others = shuffled(rest, random("others")).slice(0, top.length);
  const back =
    (off: readonly HeadPlace[], given: readonly HeadPlace[], onlyLast = false): Change =>
    async (rows) => [
      ...headsOff(off.filter((head) => !given.some((own) => isSameHead(own, head)))),
      ...(await headsAsBefore(model, rows, given, { signal, onlyLast })),
    ];
  return [
    { id: "rescue.all_off", label: `all ${ranked.length} heads that look back off`, change: headsOff(ranked) },
    { id: "rescue.top_back", label: `all off, the first ${top.length} given back`, change: back(ranked, top) },
    { id: "rescue.top_off", label: `the first ${top.length} off`, change: headsOff(top) },
    { id: "rescue.top_off_last_back", label: `the first ${top.length} off, given back at the bracket alone`, change: back(top, top, true) },
    ...(others.length > 0
      ? [{ id: "rescue.others_back", label: `all off, ${others.length} others given back`, change: back(ranked, others) }]
      : []),
  ];
}
