/** @file Step 5: units of gated MLPs whose value vectors point along the probe. */
import { nearestUnits, randomTopCosines, type NearUnit, type NearestUnitsRequest } from "../../../analyses/mechanism/nearest-units.js";
import { vectorLens } from "../../../analyses/mechanism/vector-lens.js";
import { seedFrom } from "../../../base/draws.js";
import { mean } from "../../../base/statistics.js";
import type { Tensor } from "../../../base/tensor.js";
import { barsSvg } from "../../../charts/bars.js";
import type { JsonObject } from "../../../formats/json.js";
import type { Finding } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import type { SelfVerificationParameters } from "../parameters.js";
import { classVectors } from "../probe-vectors.js";
import type { UnitsState } from "../state.js";

type Context = StepContext<SelfVerificationParameters>;

/** A unit of a pool, with what its value vector decodes to. */
interface Listed extends NearUnit {
  readonly group: "this" | "not";
  readonly tokens: string;
  readonly antipode: string;
}

export const unitsStep: Step<SelfVerificationParameters> = {
  name: "units",
  title: "Units near the probe",
  about:
    "Every unit of a gated MLP writes one vector, by more or less. Units are ranked by the cosine of that vector with the probe's row of their own layer; the first of each layer, by verdict, are those that are switched off later. For ranking heads, rows of all layers are held against the units of all layers below, as in the released code. Random directions say how high a cosine is by chance.",
  async run(context) {
    const probe = context.earlier("probe").tensors["probe"]!;
    const { units } = context.parameters;
    const { model, weights } = context.subject;
    const request = (label: 0 | 1): NearestUnitsRequest => ({
      probes: classVectors(probe, label),
      layers: units.layers,
      perLayer: units.perLayer,
      pool: "same_layer",
    });
    const options = { signal: context.signal };
    const most = units.perLayer * Math.max(1, ...context.parameters.ablation.pools);
    const all = [
      await nearestUnits(weights, model.spec, { ...request(0), perLayer: most }, options),
      await nearestUnits(weights, model.spec, { ...request(1), perLayer: most }, options),
    ] as const;
    const poolsOf = (count: number): readonly [NearUnit[], NearUnit[]] => [firstOfLayers(all[0], count), firstOfLayers(all[1], count)];
    const [invalid, valid] = poolsOf(units.perLayer);
    const antipodes = await nearestUnits(weights, model.spec, { ...request(1), side: "antipode" }, options);
    const ranking = await nearestUnits(weights, model.spec, { ...request(1), pool: "all_below", count: units.ranking }, options);
    const seed = seedFrom(context.random("control"));
    const chance = await randomTopCosines(weights, model.spec, { ...request(1), seed, repeats: 50 }, options);
    const listed = await withTokens(context, [
      ...valid.map((unit) => ({ ...unit, group: "this" as const })),
      ...invalid.map((unit) => ({ ...unit, group: "not" as const })),
    ]);
    const state: UnitsState = {
      intervention: [invalid.map(placeOf), valid.map(placeOf)],
      larger: context.parameters.ablation.pools.map((times) => {
        const [not, works] = poolsOf(times * units.perLayer);
        return { times, units: [not.map(placeOf), works.map(placeOf)] as const };
      }),
      ranking: ranking.map(placeOf),
    };
    return {
      findings: findingsOf({ valid, invalid, antipodes, ranking }, chance),
      state: state as unknown as JsonObject,
      tables: [unitTable(listed), rankingTable(ranking)],
      figures: [figureOf(listed, chance)],
      notes: [
        `The paper's cosines for Qwen2.5-3B lie between 0.13 and 0.27 in 2048 dimensions, and about half of its valid units decode to nothing readable. What chance gives grows as dimensions get fewer; this model has ${model.spec.dModel}.`,
        "Random directions are a weak control: value vectors and probes share the few directions in which all streams are large. A unit near the probe is one that would write it, whether it is ever active or not.",
      ],
    };
  },
};

/** The first so many of each layer; the list is in order. */
function firstOfLayers(units: readonly NearUnit[], count: number): NearUnit[] {
  const taken = new Map<number, number>();
  return units.filter(({ layer }) => {
    const own = taken.get(layer) ?? 0;
    taken.set(layer, own + 1);
    return own < count;
  });
}

function placeOf({ layer, unit }: NearUnit): { layer: number; unit: number } {
  return { layer, unit };
}

async function withTokens(
  { subject, parameters, signal }: Context,
  units: readonly (NearUnit & { group: "this" | "not" })[],
): Promise<Listed[]> {
  const downs = new Map<number, Tensor<Float32Array>>();
  const vectorOf = ({ layer, unit }: NearUnit): Float32Array => {
    const down = downs.get(layer) ?? subject.weights.down(layer);
    downs.set(layer, down);
    const width = down.shape[1]!;
    return down.data.subarray(unit * width, (unit + 1) * width);
  };
  const readings = await vectorLens(subject.weights, units.map(vectorOf), { top: parameters.lens.top, signal });
  const text = (tokens: readonly { token: number }[]): string => tokens.map(({ token }) => subject.tokenizer.token(token)).join(" · ");
  return units.map((unit, i) => ({ ...unit, tokens: text(readings[i]!.top), antipode: text(readings[i]!.bottom) }));
}

function findingsOf(
  pools: {
    readonly valid: readonly NearUnit[];
    readonly invalid: readonly NearUnit[];
    readonly antipodes: readonly NearUnit[];
    readonly ranking: readonly NearUnit[];
  },
  chance: readonly number[],
): Finding[] {
  const controls = [
    {
      name: `nearest unit to a random direction, ${chance.length} draws`,
      value: mean(chance),
      interval: { low: chance[0]!, high: chance.at(-1)!, level: 1, method: "range" as const },
    },
  ];
  // The antipode of a random direction is one, too.
  const opposite = controls.map(({ name, value, interval: { low, high, ...how } }) => ({
    name: `${name}, to its antipode`,
    value: -value,
    interval: { low: -high, high: -low, ...how },
  }));
  const tolerance = { absolute: 0.02, relative: 0 };
  const best = (units: readonly NearUnit[]): number | null => units[0]?.cosine ?? null;
  return [
    numberFinding("units.this.cosine_max", "highest cosine of a unit's value vector with the probe's row for `this`", {
      value: best(pools.valid),
      unit: "cosine",
      controls,
      tolerance,
    }),
    numberFinding("units.not.cosine_max", "highest cosine of a unit's value vector with the probe's row for `not`", {
      value: best(pools.invalid),
      unit: "cosine",
      controls,
      tolerance,
    }),
    numberFinding("units.this.cosine_min", "lowest cosine with the row for `this`: units that write its antipode", {
      value: best(pools.antipodes),
      unit: "cosine",
      controls: opposite,
      tolerance,
    }),
    numberFinding("units.ranking.cosine_last", `cosine of the last of the ${pools.ranking.length} units that heads are ranked by`, {
      value: pools.ranking.at(-1)?.cosine ?? null,
      unit: "cosine",
      tolerance,
    }),
  ];
}

function unitTable(listed: readonly Listed[]): Table {
  return tableOf(
    { name: "units", title: "Units near the probe's row of their layer, by verdict", tolerance: { absolute: 0.02, relative: 0 } },
    [
      { name: "near", type: "text" },
      { name: "layer", type: "int" },
      { name: "unit", type: "int" },
      { name: "cosine", type: "double", unit: "cosine" },
      { name: "tokens", type: "text" },
      { name: "antipode_tokens", type: "text" },
    ],
    listed.map(({ group, layer, unit, cosine, tokens, antipode }) => ({
      near: group,
      layer,
      unit,
      cosine,
      tokens,
      antipode_tokens: antipode,
    })),
  );
}

function rankingTable(ranking: readonly NearUnit[]): Table {
  return tableOf(
    { name: "ranking_units", title: "Units that heads are ranked by", tolerance: { absolute: 0.02, relative: 0 } },
    [
      { name: "layer", type: "int" },
      { name: "unit", type: "int" },
      { name: "probe_layer", type: "int" },
      { name: "cosine", type: "double", unit: "cosine" },
    ],
    ranking.map(({ layer, unit, probe, cosine }) => ({ layer, unit, probe_layer: probe, cosine })),
  );
}

function figureOf(listed: readonly Listed[], chance: readonly number[]): Figure {
  const shown = listed.toSorted((a, b) => b.cosine - a.cosine).slice(0, 24);
  return {
    name: "units",
    title: "The units nearest to the probe",
    caption:
      "Cosine of value vectors with the probe's row of their layer; the line is what the nearest unit to a random direction has on average.",
    svg: barsSvg(
      shown.map(({ group, layer, unit, cosine, tokens }) => ({
        label: `${layer}.${unit}`,
        value: cosine,
        group: `near ${group}`,
        note: tokens,
      })),
      { title: "units near the probe", xLabel: "cosine", references: [{ label: "chance", value: mean(chance) }] },
    ),
    table: "units",
  };
}
