/** @file Step 8: units and heads switched off behind a right result, and random heads beside. */
import { headsOf, type HeadPlace } from "../../../analyses/heads.js";
import type { UnitPlace } from "../../../analyses/mechanism/nearest-units.js";
import { headsOff, unitsOff } from "../../../analyses/verification/switching-off.js";
import { shuffled } from "../../../base/draws.js";
import type { Random } from "../../../base/random.js";
import { mean } from "../../../base/statistics.js";
import { wilson } from "../../../base/wilson.js";
import { curveSvg } from "../../../charts/curve.js";
import type { JsonObject } from "../../../formats/json.js";
import type { Control, Finding, Published } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import { rightAttempts } from "../cases.js";
import type { Outcome } from "../format.js";
import { outcomeFigure, outcomeLines, outcomeTable } from "../outcome-table.js";
import {
  asControl,
  countOf,
  disabledFinding,
  runConditions,
  verifiesFinding,
  type Condition,
  type ConditionResult,
} from "../conditions.js";
import { PAPER } from "../paper.js";
import { HEAD_ORDERS, type HeadOrder, type SelfVerificationParameters } from "../parameters.js";
import { drawHeads } from "../random-heads.js";
import type { AblationState, ChannelsState, SearchesState, UnitsState } from "../state.js";

type Context = StepContext<SelfVerificationParameters>;

export const ablationStep: Step<SelfVerificationParameters> = {
  name: "ablation",
  title: "Units and heads switched off",
  about:
    "The model goes on behind a right result. In the pass that judges, heads are set to 0 at all positions, or units at the last, and what it then says is put into one of four classes. Random heads are drawn from those that do not look back at the target, as many as are switched off, or as many as there are.",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const units = context.earlier<UnitsState>("units").state;
    const heads = context.earlier<ChannelsState>("channels").state;
    const cases = rightAttempts(searches, context.parameters.ablation.cases);
    const { ranked, verification } = heads;
    const draws = context.parameters.ablation.randomDraws;
    const drawn = (name: string, count: number): (readonly HeadPlace[])[] =>
      drawHeads(context.subject.model, { looking: ranked, count, draws, name }, context.random);
    const topDraws = drawn(TOP_DRAW, verification.length);
    const plan = [
      ...conditionsOf(context, units, heads),
      ...topDraws.map((own, i) => randomHeads(`${TOP_DRAW}${i + 1}`, own)),
      ...drawn(ALL_DRAW, ranked.length).map((own, i) => randomHeads(`${ALL_DRAW}${i + 1}`, own)),
    ];
    const results = await runConditions(context, { searches, cases, conditions: plan });
    const found = new Map(results.map((result) => [result.id, result]));
    const outcomes = Object.fromEntries(results.map(({ id, outcomes: own }) => [id, own]));
    const state: AblationState = { cases, outcomes, randomHeads: topDraws };
    return {
      findings: findingsOf(found, heads, headsOf(context.subject.model).length),
      state: state as unknown as JsonObject,
      tables: [outcomeTable("outcomes", "What became of verification, by what was switched off", results)],
      generations: { continuations: outcomeLines(results, cases) },
      figures: [
        outcomeFigure("outcomes", "Outcomes by what is switched off", {
          results: results.filter(({ id }) => isMain(id)),
          table: "outcomes",
        }),
        curveFigure(found, heads),
      ],
      notes: [
        "Cases are right results that the model verified when it searched. The same cases chose the heads (attention, and the effect on units), so what their loss does to other cases may be a little less.",
      ],
    };
  },
};

/** Draws of random heads, as many as the first few, and as many as look back. */
const TOP_DRAW = "ablation.random_";
const ALL_DRAW = "ablation.random_all_";

function isDraw(id: string): boolean {
  return id.startsWith(TOP_DRAW);
}

function isMain(id: string): boolean {
  return !isDraw(id) && !id.includes("curve_");
}

function conditionsOf(context: Context, units: UnitsState, { ranked, verification, orders }: ChannelsState): Condition[] {
  const counts = Array.from({ length: Math.min(context.parameters.ablation.curve, ranked.length) }, (_, i) => i + 1);
  const curves = HEAD_ORDERS.flatMap((order) =>
    counts.map((count) => ({
      id: `ablation.curve_${order}_${count}`,
      label: `${count} heads off, by ${order}`,
      change: headsOff(orders[order].slice(0, count)),
    })),
  );
  return [
    { id: "ablation.none", label: "nothing off", change: [] },
    ...unitConditions(context, units),
    { id: "ablation.heads_all", label: `all ${ranked.length} heads that look back off`, change: headsOff(ranked) },
    { id: "ablation.heads_top", label: `the first ${verification.length} heads off`, change: headsOff(verification) },
    ...curves,
  ].filter(({ change, id }) => change.length > 0 || id === "ablation.none");
}

/** Units near the verdicts, each pool beside as many random ones of the same layers. */
function unitConditions({ subject, random }: Context, { intervention: [invalid, valid], larger }: UnitsState): Condition[] {
  const both = distinct([...valid, ...invalid]);
  const pools = [
    { name: "valid", where: "near `this`", units: valid },
    { name: "both", where: "near either verdict", units: both },
    ...larger.map(({ times, units: [not, works] }) => ({
      name: `both_x${times}`,
      where: "near either verdict",
      units: distinct([...works, ...not]),
    })),
  ];
  return pools.flatMap(({ name, where, units }) => {
    const placebo = randomUnits(subject.model.spec, units, random(`units ${name}`));
    return [
      { id: `ablation.units_${name}`, label: `${units.length} units ${where} off`, change: unitsOff(units) },
      { id: placeboOf(name), label: `${placebo.length} random units of these layers off`, change: unitsOff(placebo) },
    ];
  });
}

/** The condition beside a pool of units. */
function placeboOf(pool: string): string {
  return pool === "valid" ? "ablation.units_random" : `ablation.units_random_${pool}`;
}

/** Named one by one, so that a draw that happens to hold a head that matters can be told. */
function randomHeads(id: string, heads: readonly HeadPlace[]): Condition {
  const names = heads.map(({ layer, head }) => `${layer}.${head}`).join(", ");
  return { id, label: `random heads ${names} off`, change: headsOff(heads) };
}

function distinct(units: readonly UnitPlace[]): UnitPlace[] {
  return [...new Map(units.map((unit) => [`${unit.layer}.${unit.unit}`, unit])).values()];
}

/** As many units of each layer as are switched off there, others than those; fewer where not so many are left. */
function randomUnits(spec: Context["subject"]["model"]["spec"], units: readonly UnitPlace[], draw: Random): UnitPlace[] {
  return spec.layers.flatMap(({ mlp }, layer) => {
    const own = new Set(units.filter((unit) => unit.layer === layer).map(({ unit }) => unit));
    const width = mlp && "dMlp" in mlp ? mlp.dMlp : 0;
    const others = Array.from({ length: width }, (_, unit) => unit).filter((unit) => !own.has(unit));
    return shuffled(others, draw)
      .slice(0, own.size)
      .map((unit) => ({ layer, unit }));
  });
}

/** What the paper reports of the same condition. */
const PUBLISHED: Readonly<Record<string, Published>> = {
  "ablation.none": PAPER.none,
  "ablation.units_valid": PAPER.unitsValid,
  "ablation.units_both": PAPER.unitsBoth,
  "ablation.heads_all": PAPER.allHeads,
  "ablation.heads_top": PAPER.topHeads,
};

function findingsOf(results: ReadonlyMap<string, ConditionResult>, { ranked, verification }: ChannelsState, allHeads: number): Finding[] {
  const draws = [...results.values()].filter(({ id }) => isDraw(id));
  const drawnOf = (isAll: boolean, heads: readonly HeadPlace[]): Control[] =>
    drawnControl(
      draws.filter(({ id }) => id.startsWith(ALL_DRAW) === isAll),
      Math.min(heads.length, allHeads - ranked.length),
    );
  const controlsOf = (id: string): readonly Control[] => {
    if (id === "ablation.heads_top") return drawnOf(false, verification);
    if (id === "ablation.heads_all") return drawnOf(true, ranked);
    const pool = /^ablation\.units_(valid|both.*)$/.exec(id)?.[1];
    const placebo = pool === undefined ? undefined : results.get(placeboOf(pool));
    return placebo ? [asControl(placebo, "disabled")] : [];
  };
  const main = [...results.values()].filter(({ id }) => isMain(id));
  return [
    ...main.flatMap((result) => {
      const published = PUBLISHED[result.id];
      const note = result.id === "ablation.none" ? { note: CHOSEN_AS_VERIFIED } : {};
      const rest = { controls: controlsOf(result.id), ...(published && { published }), ...note };
      return [disabledFinding(result, rest), verifiesFinding(result, note)];
    }),
    ...HEAD_ORDERS.map((order) => fewestFinding(results, order, ranked.length)),
  ];
}

const CHOSEN_AS_VERIFIED =
  "cases are results that were verified in the searches: of searches that this model wrote, this holds by choice and checks the protocol only";

/** The mean over draws of random heads, with their range. */
function drawnControl(draws: readonly ConditionResult[], heads: number): Control[] {
  if (draws.length === 0) return [];
  const shares = draws.map((result) => countOf(result, "disabled") / result.outcomes.length);
  const interval = { low: Math.min(...shares), high: Math.max(...shares), level: 1, method: "range" as const };
  return [{ name: `${heads} random heads that do not look back off, draws: ${shares.length}`, value: mean(shares), interval }];
}

/** How few heads, taken in an order, leave no right result verified in nine of ten cases. */
function fewestFinding(results: ReadonlyMap<string, ConditionResult>, order: HeadOrder, looking: number): Finding {
  const curve = curveOf(results, order);
  const at = curve.findIndex((result) => countOf(result, "verifies") / result.outcomes.length <= 0.1);
  return numberFinding(
    `ablation.fewest_heads.${order}`,
    `fewest heads, by ${order}, without which nine of ten right results are not verified`,
    {
      value: at < 0 ? null : at + 1,
      unit: "heads",
      n: results.get("ablation.none")!.outcomes.length,
      tolerance: { absolute: 0, relative: 0 },
      note:
        at < 0
          ? `not reached with ${curve.length} of the ${looking} heads that look back`
          : `the first number at which nine of ten were met, on the cases by which heads were chosen; ${percent(curve[at]!, "disabled")} are then called wrong, ${percent(curve[at]!, "verifies")} right, the others are not judged`,
    },
  );
}

function percent(result: ConditionResult, outcome: Outcome): string {
  return `${((100 * countOf(result, outcome)) / result.outcomes.length).toFixed(0)} %`;
}

function curveOf(results: ReadonlyMap<string, ConditionResult>, order: HeadOrder): ConditionResult[] {
  return [...results.values()].filter(({ id }) => id.startsWith(`ablation.curve_${order}_`));
}

function curveFigure(results: ReadonlyMap<string, ConditionResult>, { ranked }: ChannelsState): Figure {
  const none = results.get("ablation.none")!;
  const lost = (result: ConditionResult): number => result.outcomes.length - countOf(result, "verifies");
  const series = HEAD_ORDERS.map((order) => {
    const curve = [none, ...curveOf(results, order)];
    const bounds = curve.map((result) => wilson(lost(result), result.outcomes.length));
    return {
      name: `by ${order}`,
      x: curve.map((_, count) => count),
      y: bounds.map(({ share }) => share),
      low: bounds.map(({ low }) => low),
      high: bounds.map(({ high }) => high),
      markers: true,
    };
  });
  return {
    name: "curve",
    title: "How few heads suffice",
    caption: `Share of right results that are not called right (called wrong, or not judged any more), as the ${ranked.length} heads that look back are switched off one after another, in the order of each score. Bands are 95 % intervals.`,
    svg: curveSvg(series, { title: "how few heads suffice", xLabel: "heads switched off", yLabel: "share not called right" }),
    table: "outcomes",
  };
}
