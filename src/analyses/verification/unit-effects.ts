/**
 * @file What single heads do to units, measured: each head alone is switched off, and the units' values in front of the down projection are read at each
 * row's last position. Unlike scores of weights it counts where the head looks, the norms in between and what later heads make up for.
 *
 * When it misleads: heads that stand in for each other have small effects one by one and a large one together.
 */
import { must, SextantError } from "../../base/errors.js";
import { mean } from "../../base/statistics.js";
import type { Edit } from "../../runtime/edit.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { collectAt } from "../collect.js";
import type { HeadPlace } from "../heads.js";
import type { UnitPlace } from "../mechanism/nearest-units.js";
import { headsOff } from "./switching-off.js";

export interface UnitEffectRequest {
  readonly rows: readonly (readonly number[])[];
  readonly heads: readonly HeadPlace[];
  readonly units: readonly UnitPlace[];
}

/** For each head, in their order: how much higher the units' mean value is with the head than without it, over rows and units. */
export async function headEffectsOnUnits(model: Model, request: UnitEffectRequest, options: RunOptions = {}): Promise<number[]> {
  const { rows, heads, units } = request;
  if (rows.length === 0 || units.length === 0) throw new SextantError("request", "effects on units need at least one row and one unit");
  const before = await meanOfUnits(model, request, [], options);
  const effects: number[] = [];
  for (const head of heads) {
    effects.push(before - (await meanOfUnits(model, request, headsOff([head]), options)));
    options.onProgress?.({ stage: "heads", done: effects.length, total: heads.length });
  }
  return effects;
}

async function meanOfUnits(
  model: Model,
  { rows, units }: UnitEffectRequest,
  edits: readonly Edit[],
  { signal }: RunOptions,
): Promise<number> {
  const layers = [...new Set(units.map(({ layer }) => layer))];
  const sites = rows.map(({ length }, row) => ({ row, position: length - 1 }));
  const read = layers.map((layer) => `mlp_post.${layer}`);
  const values = await collectAt(model, { rows, sites, read, edits }, signal ? { signal } : {});
  return mean(
    units.flatMap(({ layer, unit }) => {
      const { data, shape } = must(values[`mlp_post.${layer}`], `mlp_post.${layer}`);
      return rows.map((_, row) => data[row * shape[1]! + unit]!);
    }),
  );
}
