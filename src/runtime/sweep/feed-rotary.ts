/** @file The rotary tables of a batch's rows: each row turns by its own position, in a prompt of its own length. */
import { must } from "../../base/errors.js";
import { rotaryTables, type RotaryTables } from "../../models/rotary.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Batch } from "./batch.js";
import type { Schedule } from "./variants.js";

/** Puts the tables of a layer into the batch, where the layer has any. */
export function feedRotary(batch: Batch, layer: number, { spec, schedule }: { spec: ModelSpec; schedule: Schedule }): void {
  const rotary = spec.layers[layer]?.attention.rotary;
  if (rotary === undefined) return;
  const of = must(spec.rotaries[rotary], `rotary ${rotary}`);
  const half = of.dims / 2;
  const { rows } = batch;
  const [cos, sin] = [new Float32Array(rows.count * half), new Float32Array(rows.count * half)];
  const known = new Map<number, RotaryTables>();
  rows.forEach((row, variant, position) => {
    const length = schedule.lengthOf(variant);
    const tables = known.get(length) ?? rotaryTables(of, [Int32Array.from({ length }, (_, i) => i)], [length]);
    known.set(length, tables);
    cos.set(tables.cos.subarray(position * half, (position + 1) * half), row * half);
    sin.set(tables.sin.subarray(position * half, (position + 1) * half), row * half);
  });
  batch.put(`cos_${rotary}`, cos, { tail: [half] });
  batch.put(`sin_${rotary}`, sin, { tail: [half] });
}
