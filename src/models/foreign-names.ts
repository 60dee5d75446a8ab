/**
 * @file Names of other frameworks as addresses: `blocks.5.hook_resid_pre` and `layers_input[5]` are `resid_pre.5`. Which names
 * there are is in `foreign-tables.ts`; one that is not exactly one of our points is refused with the reason, one that is in no
 * table comes back as it was.
 */
import { refuse, SextantError } from "../base/errors.js";
import type { Answer, Untranslated } from "./foreign-rules.js";
import { FOREIGN, type ForeignRow } from "./foreign-tables.js";
import { moduleName } from "./module-names.js";
import { isPointName, pointRow } from "./points.js";
import { absenceInLayer } from "./presence.js";
import type { LayerSpec, ModelSpec } from "./spec.js";

/** A name found in the table; `layer` is its number as written, absent for names outside the layers. */
interface Found {
  readonly name: string;
  readonly row: ForeignRow;
  readonly layer?: string;
}

/** The address that another framework's name stands for in this model, or the name itself where no framework has it. */
export function translateForeignName(name: string, spec: ModelSpec): string {
  const found = find(name);
  return found && found.layer !== "*" ? addressOf(found, spec) : name;
}

/**
 * The addresses that a name in a list stands for. A layer's number may be `*`: `blocks.*.hook_resid_mid` gives one address a
 * layer that has the point. Any other name gives one, as `translateForeignName`.
 */
export function expandForeignName(name: string, spec: ModelSpec): readonly string[] {
  const found = find(name);
  if (found?.layer !== "*") return [translateForeignName(name, spec)];
  const everywhere = spec.layers.map((_, layer): Found => ({
    name: name.replace("*", String(layer)),
    row: found.row,
    layer: String(layer),
  }));
  const there = everywhere.filter((one) => isThere(answer(one, spec), layerOf(one, spec)));
  return (there.length > 0 ? there : everywhere.slice(0, 1)).map((one) => addressOf(one, spec));
}

/** The address that a name stands for in every model; undefined where that depends on the model, or no framework has the name. */
export function fixedForeignName(name: string): string | undefined {
  const found = find(name);
  const to = found?.row.to;
  if (typeof to !== "string" || found?.layer === "*") return undefined;
  return pointRow(to).scope === "layer" ? `${to}.${found?.layer}` : to;
}

/** The row of a name, a path of a module taken as nnterp's name of it: its first number, or `*`, is the layer, a second one an expert; `[5]` is the same as `.5`. */
function find(name: string): Found | undefined {
  const numbers: string[] = [];
  const key = moduleName(name)
    .replaceAll(/\[(-?\d+|\*)\]/g, ".$1")
    .replaceAll(/(?<=\.)(?:-?\d+|\*)(?=\.|$)/g, (number) => (numbers.push(number) === 1 ? "*" : "#"));
  const row = Object.hasOwn(FOREIGN, key) ? FOREIGN[key] : undefined;
  if (!row) return undefined;
  return numbers[0] === undefined ? { name, row } : { name, row, layer: numbers[0] };
}

function addressOf(found: Found, spec: ModelSpec): string {
  const given = answer(found, spec);
  if (typeof given !== "string") throw noCounterpart(found, given);
  return isPointName(given) && pointRow(given).scope === "layer" ? `${given}.${found.layer}` : given;
}

function answer(found: Found, spec: ModelSpec): Answer {
  const { to } = found.row;
  if (typeof to === "string" || !("answer" in to)) return to;
  return to.answer(layerOf(found, spec), spec);
}

function layerOf({ name, layer }: Found, { layers }: ModelSpec): LayerSpec {
  const block = layers.at(Number(layer ?? -1));
  if (!block) throw new SextantError("request", `${name}: the model has layers 0 to ${layers.length - 1}`);
  return block;
}

function isThere(given: Answer, layer: LayerSpec): boolean {
  return typeof given === "string" && !(isPointName(given) && absenceInLayer(layer, given));
}

function noCounterpart({ name, layer }: Found, { why, instead }: Untranslated): SextantError {
  const placed = (text: string): string => text.replaceAll(".*", `.${layer}`);
  return refuse({ what: `${name} is none of our points`, why: placed(why), ...(instead && { instead: placed(instead) }) });
}
