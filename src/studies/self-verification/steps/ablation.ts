/** @file Step 8: units and heads switched off behind a right result, and random heads beside. */
import { headsOf, isSameHead, type HeadPlace } from "../../../analyses/heads.js";
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
import { outcomeFigure, outcomeLines, outcomeTable } from "../outcome-table.js";
import { countOf, disabledFinding, runConditions, verifiesFinding, type Condition, type ConditionResult } from "../conditions.js";
import { PAPER } from "../paper.js";
import { HEAD_ORDERS, type HeadOrder, type SelfVerificationParameters } from "../parameters.js";
import type { ChannelsState, SearchesState, UnitsState } from "../state.js";

type Context = StepContext<SelfVerificationParameters>;

export const ablationStep: Step<SelfVerificationParameters> = {
  name: "ablation",
  title: "Units and heads switched off",
  about:
    "The model goes on behind a right result. In the pass that judges, heads are set to 0 at all positions, or units at the last, and what it then says is put into one of four classes. Random heads are drawn from those that do not look back at the target, as many as are switched off.",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const units = context.earlier<UnitsState>("units").state;
    const heads = context.earlier<ChannelsState>("channels").state;
    const cases = rightAttempts(searches, context.parameters.ablation.cases);
    const plan = conditionsOf(context, units, heads);
    const results = await runConditions(context, { searches, cases, conditions: plan });
    const found = new Map(results.map((result) => [result.id, result]));
    return {
      findings: findingsOf(found, heads),
      state: { cases, outcomes: Object.fromEntries(results.map(({ id, outcomes }) => [id, outcomes])) } as unknown as JsonObject,
      tables: [outcomeTable("outcomes", "What became of verification, by what was switched off", results)],
      generations: { continuations: outcomeLines(results, cases) },
      figures: [
        outcomeFigure("outcomes", "Outcomes by what is switched off", {
          results: results.filter(({ id }) => isMain(id)),
          table: "outcomes",
        }),
        curveFigure(found, heads),
      ],
    };
  },
};

function isDraw(id: string): boolean {
  return id.startsWith("ablation.random_");
}

function isMain(id: string): boolean {
  return !isDraw(id) && !id.includes("curve_");
}

function conditionsOf(
  { subject, parameters, random }: Context,
  units: UnitsState,
  { ranked, verification, orders }: ChannelsState,
): Condition[] {
  const [invalid, valid] = units.intervention;
  const others = headsOf(subject.model).filter((head) => !ranked.some((own) => isSameHead(own, head)));
  const draw = random("heads");
  const anyUnits = randomUnits(subject.model.spec, valid, draw);
  const counts = Array.from({ length: Math.min(parameters.ablation.curve, ranked.length) }, (_, i) => i + 1);
  const curves = HEAD_ORDERS.flatMap((order) =>
    counts.map((count) => ({
      id: `ablation.curve_${order}_${count}`,
      label: `${count} heads off, by ${order}`,
      change: headsOff(orders[order].slice(0, count)),
    })),
  );
  return [
    { id: "ablation.none", label: "nothing off", change: [] },
    { id: "ablation.units_valid", label: `${valid.length} units near \`this\` off`, change: unitsOff(valid) },
    {
      id: "ablation.units_both",
      label: `${distinct([...valid, ...invalid]).length} units near either verdict off`,
      change: unitsOff(distinct([...valid, ...invalid])),
    },
    { id: "ablation.units_random", label: `${anyUnits.length} random units off`, change: unitsOff(anyUnits) },
    ...units.larger.flatMap(({ times, units: [not, works] }) => {
      const both = distinct([...works, ...not]);
      const random = randomUnits(subject.model.spec, both, draw);
      return [
        { id: `ablation.units_both_x${times}`, label: `${both.length} units near either verdict off`, change: unitsOff(both) },
        { id: `ablation.units_random_x${times}`, label: `${random.length} random units off`, change: unitsOff(random) },
      ];
    }),
    { id: "ablation.heads_all", label: `all ${ranked.length} heads that look back off`, change: headsOff(ranked) },
    { id: "ablation.heads_top", label: `the first ${verification.length} heads off`, change: headsOff(verification) },
    ...curves,
    ...Array.from({ length: parameters.ablation.randomDraws }, (_, i) =>
      randomHeads(i + 1, shuffled(others, draw).slice(0, verification.length)),
    ),
  ].filter(({ change, id }) => change.length > 0 || id === "ablation.none");
}

/** Named one by one, so that a draw that happens to hold a head that matters can be told. */
function randomHeads(drawn: number, heads: readonly HeadPlace[]): Condition {
  const names = heads.map(({ layer, head }) => `${layer}.${head}`).join(", ");
  return { id: `ablation.random_${drawn}`, label: `random heads ${names} off`, change: headsOff(heads) };
}

function distinct(units: readonly UnitPlace[]): UnitPlace[] {
  return [...new Map(units.map((unit) => [`${unit.layer}.${unit.unit}`, unit])).values()];
}

/** As many units of each layer as are switched off there, others than those. */
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

function findingsOf(results: ReadonlyMap<string, ConditionResult>, { ranked, verification }: ChannelsState): Finding[] {
  const draws = [...results.values()].filter(({ id }) => isDraw(id));
  const shares = draws.map((result) => countOf(result, "disabled") / result.outcomes.length);
  const range = { low: Math.min(...shares), high: Math.max(...shares), level: 1, method: "range" as const };
  const random: Control[] =
    shares.length > 0
      ? [{ name: `${verification.length} random heads, ${shares.length} draws`, value: mean(shares), interval: range }]
      : [];
  const controlsOf = (id: string): readonly Control[] => {
    if (id === "ablation.heads_top" || id === "ablation.heads_all") return random;
    const placebo = results.get(id.replace(/units_(valid|both)/, "units_random"));
    if (!placebo || placebo.id === id) return [];
    return [{ name: "as many random units of these layers", value: countOf(placebo, "disabled") / placebo.outcomes.length }];
  };
  const main = [...results.values()].filter(({ id }) => isMain(id));
  return [
    ...main.flatMap((result) => {
      const published = PUBLISHED[result.id];
      const rest = { controls: controlsOf(result.id), ...(published && { published }) };
      return [disabledFinding(result, rest), verifiesFinding(result)];
    }),
    ...HEAD_ORDERS.map((order) => fewestFinding(results, order, ranked.length)),
  ];
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
      tolerance: { absolute: 0, relative: 0 },
      ...(at < 0 && { note: `not reached with ${curve.length} of the ${looking} heads that look back` }),
    },
  );
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
    caption: `Share of right results that are no longer verified, as the ${ranked.length} heads that look back are switched off one after another, in the order of each score. Bands are 95 % intervals.`,
    svg: curveSvg(series, { title: "how few heads suffice", xLabel: "heads switched off", yLabel: "share not verified" }),
    table: "outcomes",
  };
}
