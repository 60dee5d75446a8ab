/** @file Step 9: what the units near the probe do at the bracket before and after the verification heads are switched off. */
import { collectAt } from "../../../analyses/collect.js";
import type { UnitPlace } from "../../../analyses/mechanism/nearest-units.js";
import { headsOff } from "../../../analyses/verification/switching-off.js";
import { seedFrom } from "../../../base/draws.js";
import { must } from "../../../base/errors.js";
import { mean } from "../../../base/statistics.js";
import type { Tensor } from "../../../base/tensor.js";
import { scatterSvg } from "../../../charts/scatter.js";
import type { Edit } from "../../../runtime/edit.js";
import type { Control, Finding } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { meanFinding, numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { AblationState, ChannelsState, SearchesState, UnitsState } from "../state.js";

/** A unit's mean value in front of the down projection, over cases. */
interface Activity extends UnitPlace {
  readonly group: "valid" | "invalid" | "other";
  readonly before: number;
  readonly after: number;
  /** One value a case: after minus before; of units near a verdict only. */
  readonly changes: readonly number[];
}

export const activityStep: Step<SelfVerificationParameters> = {
  name: "activity",
  title: "The units before and after",
  about:
    "At the bracket behind a right result, the value of each unit near the probe (in front of the down projection) is read with all heads on, and with the verification heads set to 0. Units of the same layers that are near neither verdict stand beside them, and the same units without as many random heads.",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const units = context.earlier<UnitsState>("units").state;
    const { verification } = context.earlier<ChannelsState>("channels").state;
    if (verification.length === 0) return { findings: [], skipped: "no head looks back at the target, so there is none to switch off" };
    const { cases, randomHeads } = context.earlier<AblationState>("ablation").state;
    const rows = cases.map(({ tokens }) => [...tokens, searches.words.open]);
    const [before, after] = [await readUnits(context, rows, units, []), await readUnits(context, rows, units, headsOff(verification))];
    const activities = activitiesOf(units, before, after);
    const draws: Activity[][] = [];
    for (const heads of randomHeads)
      draws.push(
        activitiesOf(units, before, await readUnits(context, rows, units, headsOff(heads))).filter(({ group }) => group !== "other"),
      );
    const seed = seedFrom(context.random("intervals"));
    return {
      findings: findingsOf(activities, draws, seed),
      tables: [tableFrom(activities.filter(({ group }) => group !== "other"))],
      figures: [figureOf(activities)],
    };
  },
};

async function readUnits(
  { subject, signal }: StepContext<SelfVerificationParameters>,
  rows: readonly (readonly number[])[],
  { intervention }: UnitsState,
  edits: readonly Edit[],
): Promise<Map<number, Tensor<Float32Array>>> {
  const layers = [...new Set(intervention.flat().map(({ layer }) => layer))].toSorted((a, b) => a - b);
  const sites = rows.map(({ length }, row) => ({ row, position: length - 1 }));
  const values = await collectAt(subject.model, { rows, sites, read: layers.map((layer) => `mlp_post.${layer}`), edits }, { signal });
  return new Map(layers.map((layer) => [layer, must(values[`mlp_post.${layer}`], `mlp_post.${layer}`)]));
}

function activitiesOf(
  { intervention: [invalid, valid] }: UnitsState,
  before: ReadonlyMap<number, Tensor<Float32Array>>,
  after: ReadonlyMap<number, Tensor<Float32Array>>,
): Activity[] {
  const near = (units: readonly UnitPlace[]): Set<string> => new Set(units.map(({ layer, unit }) => `${layer}.${unit}`));
  const [bad, good] = [near(invalid), near(valid)];
  return [...before].flatMap(([layer, own]) =>
    Array.from({ length: own.shape[1]! }, (_, unit): Activity => {
      const [was, is] = [columnOf(own, unit), columnOf(after.get(layer)!, unit)];
      const group = good.has(`${layer}.${unit}`) ? "valid" : bad.has(`${layer}.${unit}`) ? "invalid" : "other";
      const changes = group === "other" ? [] : is.map((value, i) => value - was[i]!);
      return { layer, unit, group, before: mean(was), after: mean(is), changes };
    }),
  );
}

function columnOf({ data, shape: [examples = 0, width = 0] }: Tensor<Float32Array>, unit: number): number[] {
  return Array.from({ length: examples }, (_, example) => data[example * width + unit]!);
}

const CHANGE_SIZE =
  "size of the change of a unit's mean over cases, mean over units; units that are near both verdicts count as near `this`";

function findingsOf(activities: readonly Activity[], draws: readonly (readonly Activity[])[], seed: number): Finding[] {
  const others = activities.filter(({ group }) => group === "other");
  return (["valid", "invalid"] as const).flatMap((group) => {
    const own = activities.filter((one) => one.group === group);
    const cases = own[0]?.changes.length ?? 0;
    const perCase = Array.from({ length: cases }, (_, i) => mean(own.map(({ changes }) => changes[i]!)));
    const drawn = (read: (units: readonly Activity[]) => number): Control[] =>
      own.length === 0 ? [] : randomControl(draws.map((draw) => read(draw.filter((one) => one.group === group))));
    const near = `near \`${group === "valid" ? "this" : "not"}\``;
    return [
      meanFinding(`activity.${group}.change`, `mean change of the ${own.length} units ${near} without the verification heads`, {
        values: perCase,
        unit: "activation",
        seed,
        controls: drawn(changeOf),
        tolerance: { absolute: 1e-3, relative: 0.02 },
      }),
      numberFinding(`activity.${group}.change_size`, `mean size of the change of a unit ${near}`, {
        value: own.length === 0 ? null : sizeOf(own),
        unit: "activation",
        n: cases,
        controls: [...(others.length === 0 ? [] : [{ name: "other units of these layers", value: sizeOf(others) }]), ...drawn(sizeOf)],
        tolerance: { absolute: 1e-3, relative: 0.02 },
        note: own.length === 0 ? "there is no such unit that is not near the other verdict, too" : CHANGE_SIZE,
      }),
    ];
  });
}

function changeOf(units: readonly Activity[]): number {
  return mean(units.map(({ before, after }) => after - before));
}

function sizeOf(units: readonly Activity[]): number {
  return mean(units.map(({ before, after }) => Math.abs(after - before)));
}

function randomControl(values: readonly number[]): Control[] {
  if (values.length === 0) return [];
  const interval = { low: Math.min(...values), high: Math.max(...values), level: 1, method: "range" as const };
  return [{ name: `without as many random heads that do not look back, draws: ${values.length}`, value: mean(values), interval }];
}

function tableFrom(activities: readonly Activity[]): Table {
  return tableOf(
    {
      name: "activity",
      title: "Mean value of units near the probe, with and without the verification heads",
      tolerance: { absolute: 1e-3, relative: 0.02 },
    },
    [
      { name: "layer", type: "int" },
      { name: "unit", type: "int" },
      { name: "near", type: "text" },
      { name: "before", type: "double", unit: "activation" },
      { name: "after", type: "double", unit: "activation" },
    ],
    activities.map(({ layer, unit, group, before, after }) => ({ layer, unit, near: group === "valid" ? "this" : "not", before, after })),
  );
}

function figureOf(activities: readonly Activity[]): Figure {
  return {
    name: "activity",
    title: "Units before and after",
    caption:
      "Each point is a unit: its mean value at the bracket behind a right result, with all heads (across) and without the verification heads (up).",
    svg: scatterSvg(
      activities
        .filter(({ group }) => group !== "other")
        .map(({ layer, unit, group, before, after }) => ({
          x: before,
          y: after,
          label: `${layer}.${unit}`,
          group: group === "valid" ? "near `this`" : "near `not`",
        })),
      { title: "units before and after", xLabel: "all heads on", yLabel: "verification heads off" },
    ),
    table: "activity",
  };
}
