/** @file Edits that switch heads or units off, and that give heads back what they had in another run. */
import { must } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import type { Edit } from "../../runtime/edit.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import type { HeadPlace } from "../heads.js";
import type { UnitPlace } from "../mechanism/nearest-units.js";

/** The heads' z set to 0, at all positions or at those given (negative from each row's end). */
export function headsOff(heads: readonly HeadPlace[], positions?: readonly number[]): Edit[] {
  return [...byLayer(heads)].map(([layer, members]) => ({
    at: `z.${layer}`,
    op: "set",
    value: 0,
    heads: members.map(({ head }) => head),
    ...(positions && { positions }),
  }));
}

/** What units write set to 0 (their value in front of the down projection), at each row's last position or at those given. */
export function unitsOff(units: readonly UnitPlace[], positions: readonly number[] = [-1]): Edit[] {
  return [...byLayer(units)].map(([layer, members]) => ({
    at: `mlp_post.${layer}`,
    op: "set",
    value: 0,
    units: members.map(({ unit }) => unit),
    positions,
  }));
}

/** The heads' z set to what it is in an untouched run of the same rows: everywhere, or at each row's last position only and 0 before it. */
export async function headsAsBefore(
  model: Model,
  rows: readonly (readonly number[])[],
  heads: readonly HeadPlace[],
  { onlyLast = false, ...options }: RunOptions & { readonly onlyLast?: boolean } = {},
): Promise<Edit[]> {
  if (heads.length === 0) return [];
  const layers = byLayer(heads);
  const read = [...layers.keys()].map((layer) => `z.${layer}`);
  const { activations, lengths } = await model.forward({ tokens: rows, read, logits: false }, options);
  return [...layers].map(([layer, members]) => {
    const z = must(activations[`z.${layer}`], `z.${layer}`) as Tensor<Float32Array>;
    return { at: `z.${layer}`, op: "set", value: onlyLast ? lastOnly(z, lengths) : z, heads: members.map(({ head }) => head) };
  });
}

/** The values at each row's last position, and 0 elsewhere. */
function lastOnly({ data, shape, axes }: Tensor<Float32Array>, lengths: readonly number[]): Tensor<Float32Array> {
  const [, positions = 0, ...rest] = shape;
  const width = sizeOf(rest);
  const out = new Float32Array(data.length);
  for (const [row, length] of lengths.entries()) {
    const start = (row * positions + length - 1) * width;
    out.set(data.subarray(start, start + width), start);
  }
  return tensor(out, shape, axes);
}

function byLayer<T extends { readonly layer: number }>(places: readonly T[]): Map<number, T[]> {
  const layers = new Map<number, T[]>();
  for (const place of places.toSorted((a, b) => a.layer - b.layer)) layers.set(place.layer, [...(layers.get(place.layer) ?? []), place]);
  return layers;
}
