/**
 * @file Addresses: `resid_post.5`, `embed`; in requests also `resid_post.*` and `all`. An address that a model lacks is
 * refused with the reason.
 */
import { refuse, SextantError } from "../base/errors.js";
import { nearestNames } from "../base/nearest.js";
import { describeJson, quote } from "../formats/json.js";
import { expandForeignName, translateForeignName } from "./foreign-names.js";
import { isPointName, POINT_NAMES, pointRow, type Address, type PointName } from "./points.js";
import { absenceInLayer, absenceInModel } from "./presence.js";
import type { ModelSpec } from "./spec.js";

/** An address in its parts; `layer` is absent for points outside the layers. */
export interface Place {
  readonly address: Address;
  readonly point: PointName;
  readonly layer?: number;
}

/** The place that an address names in this model; other frameworks' names are translated. */
export function parseAddress(spec: ModelSpec, text: string): Place {
  if (typeof text !== "string")
    throw new SextantError("request", `an address must be a text such as resid_post.0, got ${describeJson(text)}`);
  const own = translateForeignName(text.trim(), spec);
  const match = /^([a-z0-9_]+)(?:\.(-?\d+))?$/.exec(own);
  const name = match?.[1] ?? "";
  if (!match || !isPointName(name)) throw unknown(text);
  if (pointRow(name).scope === "model") {
    if (match[2] !== undefined) throw new SextantError("request", `${text}: ${name} stands outside the layers, write it without a number`);
    return checked(spec, { address: name as Address, point: name });
  }
  if (match[2] === undefined)
    throw new SextantError("request", `${text}: which layer? Write ${name}.0 to ${name}.${spec.layers.length - 1}, or ${name}.* in a list`);
  return placeAt(spec, name, Number(match[2]));
}

/** The places that a list of addresses names, in forward order and without repetition. `*` and `all` skip what a layer lacks. */
export function expandAddresses(spec: ModelSpec, texts: readonly string[]): Place[] {
  if (!Array.isArray(texts)) throw new SextantError("request", `read must be a list of addresses, got ${describeJson(texts)}`);
  const places = new Map<string, Place>();
  for (const text of texts) for (const place of expandOne(spec, text)) places.set(place.address, place);
  return [...places.values()].sort(inForwardOrder);
}

/** Every place that a model has, in forward order. */
export function allPlaces(spec: ModelSpec): Place[] {
  return POINT_NAMES.flatMap((point) => everywhere(spec, point)).sort(inForwardOrder);
}

/** Orders places as a forward pass meets them. */
export function inForwardOrder(a: Place, b: Place): number {
  return stageOf(a) - stageOf(b) || POINT_NAMES.indexOf(a.point) - POINT_NAMES.indexOf(b.point);
}

/** The layer of a place; −1 before the first layer, ∞ after the last. */
export function stageOf({ point, layer }: Place): number {
  if (layer !== undefined) return layer;
  return point === "embed" || point === "pos_embed" ? -1 : Infinity;
}

function expandOne(spec: ModelSpec, written: string): Place[] {
  if (typeof written !== "string") return [parseAddress(spec, written)];
  const text = written.trim();
  if (text === "all") return allPlaces(spec);
  const starred = /^([a-z0-9_]+)\.\*$/.exec(text)?.[1];
  if (starred === undefined || !isPointName(starred)) return expandForeignName(text, spec).map((own) => parseAddress(spec, own));
  const found = everywhere(spec, starred);
  if (found.length > 0) return found;
  throw refused(starred, starred, absenceOf(spec, starred, 0) ?? { why: "no layer has it" });
}

function everywhere(spec: ModelSpec, point: PointName): Place[] {
  if (pointRow(point).scope === "model") return absenceInModel(spec, point) ? [] : [{ address: point as Address, point }];
  return spec.layers.flatMap((layer, index) =>
    absenceInLayer(layer, point) ? [] : [{ address: `${point}.${index}` as Address, point, layer: index }],
  );
}

function placeAt(spec: ModelSpec, point: PointName, layer: number): Place {
  const count = spec.layers.length;
  if (layer >= count || layer < -count) throw new SextantError("request", `${point}.${layer}: the model has layers 0 to ${count - 1}`);
  const index = layer < 0 ? layer + count : layer;
  return checked(spec, { address: `${point}.${index}` as Address, point, layer: index });
}

function absenceOf(spec: ModelSpec, point: PointName, layer: number | undefined): ReturnType<typeof absenceInModel> {
  const block = layer === undefined ? undefined : spec.layers[layer];
  return block && pointRow(point).scope === "layer" ? absenceInLayer(block, point) : absenceInModel(spec, point);
}

function checked(spec: ModelSpec, place: Place): Place {
  const absence = absenceOf(spec, place.point, place.layer);
  if (absence) throw refused(place.address, place.point, absence);
  return place;
}

function refused(address: string, point: string, absence: { why: string; instead?: string }): SextantError {
  const layer = /\.\d+$/.exec(address)?.[0] ?? "";
  const instead =
    absence.instead &&
    (absence.instead.includes(" ") || point === address
      ? absence.instead
      : `${absence.instead}${absence.instead.includes(".") ? "" : layer}`);
  return refuse({ what: `there is no ${address}`, why: absence.why, ...(instead && { instead }) });
}

function unknown(text: string): SextantError {
  const [name = ""] = text.split(".");
  const alike = POINT_NAMES.filter((other) => text.includes(other) || (name !== "" && other.includes(name)));
  const near = [...new Set([...nearestNames(name, POINT_NAMES), ...alike])].slice(0, 3);
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : `; the points are ${POINT_NAMES.join(", ")}`;
  return new SextantError("request", `${quote(text)} is not the address of a point${hint}`);
}
