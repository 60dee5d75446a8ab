/**
 * @file Variants that a block passes by: where both its sublayers are held at the base's outputs and the block only adds to the stream,
 * the variant's stream differs from its base's behind the block as it did in front of it. So it is taken out, and its difference kept.
 */
import { STREAM } from "../../models/block.js";
import type { LayerSpec, ModelSpec } from "../../models/spec.js";
import type { Batch } from "./batch.js";
import type { Reader } from "./reader.js";
import { regroup } from "./rows.js";
import type { Schedule, Variant } from "./variants.js";

interface Difference {
  readonly positions: Int32Array;
  /** Row-major over positions and d_model. */
  readonly delta: Float32Array;
}

export class Carried {
  readonly #spec: ModelSpec;
  readonly #schedule: Schedule;
  readonly #reader: Reader;
  readonly #differences = new Map<number, Difference>();

  constructor({ spec, schedule, reader }: { spec: ModelSpec; schedule: Schedule; reader: Reader }) {
    this.#spec = spec;
    this.#schedule = schedule;
    this.#reader = reader;
  }

  has(variant: number): boolean {
    return this.#differences.has(variant);
  }

  /** Takes the variants that a block passes by out of the batch in front of it, and brings the others back. */
  settle(batch: Batch, layer: number): void {
    const { variants, baseOf } = this.#schedule;
    const goes = new Set(variants.flatMap((_, i) => (batch.rows.of(i).length > 0 && this.#isPassedBy(layer, i) ? [i] : [])));
    const back = [...this.#differences].filter(([variant]) => !this.#isPassedBy(layer, variant));
    if (goes.size === 0 && back.length === 0) return;
    for (const variant of goes) this.#differences.set(variant, this.#differenceOf(batch, variant));
    const returning = new Map(back);
    for (const [variant] of back) this.#differences.delete(variant);
    const positionsOf = (variant: number): Int32Array =>
      goes.has(variant) ? new Int32Array(0) : (returning.get(variant)?.positions ?? batch.rows.of(variant));
    batch.follow(regroup(batch.rows, positionsOf, baseOf));
    const stream = batch.data(STREAM.in);
    for (const [variant, { delta }] of returning) {
      const start = batch.rows.starts[variant]! * this.#spec.dModel;
      delta.forEach((value, i) => (stream[start + i] = stream[start + i]! + value));
    }
  }

  #differenceOf(batch: Batch, variant: number): Difference {
    const { dModel } = this.#spec;
    const { rows } = batch;
    const stream = batch.data(STREAM.in);
    const positions = rows.of(variant).slice();
    const delta = new Float32Array(positions.length * dModel);
    positions.forEach((position, i) => {
      const [own, base] = [rows.starts[variant]! + i, rows.find(this.#schedule.baseOf(variant), position)];
      for (let unit = 0; unit < dModel; unit++) delta[i * dModel + unit] = stream[own * dModel + unit]! - stream[base * dModel + unit]!;
    });
    return { positions, delta };
  }

  /** Whether a block passes a variant by, and nobody looks. */
  #isPassedBy(layer: number, variant: number): boolean {
    const block = this.#spec.layers[layer];
    const isSeen = this.#reader.placesIn(layer).length > 0;
    return block !== undefined && !isSeen && addsAlike(this.#schedule.variant(variant), layer, block);
  }
}

/** Whether a block adds to a variant's stream what it adds to its base's: both its sublayers are frozen, and nothing else is edited. */
function addsAlike({ cell, frozen, edits }: Variant, layer: number, block: LayerSpec): boolean {
  if (!cell || !frozen?.attention.has(layer) || (block.mlp && !frozen.mlp.has(layer))) return false;
  if (block.streamNorms || block.residualFromNorm) return false;
  return edits.every(({ place }) => place.layer !== layer || place.point === "attn_out" || place.point === "mlp_out");
}
