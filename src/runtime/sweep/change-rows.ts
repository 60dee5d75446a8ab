/** @file Edits of a sweep, applied in place to values that stand row by row. Base and source are rows of the same value. */
import { must } from "../../base/errors.js";
import type { TensorData } from "../../base/tensor.js";
import type { Place } from "../../models/address.js";
import type { AxisSizes } from "../../models/sizes.js";
import { addComponents, dot } from "../apply-edit.js";
import type { CellEdit, Change } from "./cells.js";
import type { Rows } from "./rows.js";
import type { Schedule } from "./variants.js";

/** Applies what the variants do at a place to `data`: row, then heads (where it has them), then the last axis. */
export function changeRows(data: TensorData, place: Place, at: { rows: Rows; schedule: Schedule; sizes: AxisSizes }): void {
  for (const variant of at.schedule.at(place.address)) {
    for (const edit of at.schedule.editsOf(variant, place.address)) changeVariant(data, edit, { ...at, variant });
  }
}

function changeVariant(data: TensorData, edit: CellEdit, at: { rows: Rows; schedule: Schedule; sizes: AxisSizes; variant: number }): void {
  const { rows, schedule, sizes, variant } = at;
  const { heads = 1, last } = sizes;
  const { pair, base, source } = schedule.variant(variant);
  const { positions, from } = must(edit.selected[pair], "a pair");
  const { change } = edit;
  const units = edit.units ?? range(last);
  const chosenHeads = edit.heads ?? range(heads);
  positions.forEach((position, i) => {
    const row = rows.find(variant, position);
    if (row < 0) return;
    const other = change.kind === "patch" ? rows.find(change.run === "base" ? base : source, from[i]!) : row;
    for (const head of chosenHeads) {
      const x = vectorAt(data, row * heads + head, last);
      if (change.kind === "operation") change.operation(x, { row: pair, position, head }, units);
      else takeFrom(x, vectorAt(data, must(other < 0 ? undefined : other, "a row to take from") * heads + head, last), { change, units });
    }
  });
}

function vectorAt(data: TensorData, index: number, width: number): TensorData {
  return data.subarray(index * width, (index + 1) * width);
}

/** x becomes `other` at the units, or in a subspace. */
export function takeFrom(
  x: TensorData,
  other: TensorData,
  how: { change: Extract<Change, { kind: "patch" }>; units: readonly number[] },
): void {
  const { basis } = how.change;
  if (!basis) {
    for (const unit of how.units) x[unit] = other[unit]!;
    return;
  }
  const difference = Float64Array.from(x, (value, unit) => other[unit]! - value);
  addComponents(
    x,
    basis,
    basis.map((row) => dot(row, difference)),
  );
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
