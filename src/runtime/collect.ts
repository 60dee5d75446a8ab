/**
 * @file Values of passes → tensors by address, as requests return them: padding removed, each value at its own position, zeros
 * past a row's end. A single pass over full rows hands its arrays over without a copy.
 */
import { must } from "../base/errors.js";
import { sizeOf, tensor, type Tensor, type TensorData } from "../base/tensor.js";
import type { Place } from "../models/address.js";
import { pointRow } from "../models/points.js";
import { axisLength } from "../models/sizes.js";
import type { ModelSpec } from "../models/spec.js";
import { isFull, type Pass } from "./pass.js";

interface Captured {
  readonly pass: Pass;
  readonly data: TensorData;
}

/** Gathers what passes over the same rows read. */
export class Collector {
  readonly #spec: ModelSpec;
  readonly #places: readonly Place[];
  readonly #captured = new Map<string, Captured[]>();

  constructor(spec: ModelSpec, places: readonly Place[]) {
    this.#spec = spec;
    this.#places = places;
  }

  take(address: string, pass: Pass, data: TensorData): void {
    const list = this.#captured.get(address) ?? [];
    list.push({ pass, data });
    this.#captured.set(address, list);
  }

  /** One tensor a place that was read. `lengths`: positions of each row in the result. */
  finish(lengths: readonly number[]): Record<string, Tensor> {
    const found = this.#places.filter(({ address }) => this.#captured.has(address));
    return Object.fromEntries(found.map((place) => [place.address, this.#assemble(place, lengths)]));
  }

  #assemble(place: Place, lengths: readonly number[]): Tensor {
    const captured = must(this.#captured.get(place.address), place.address);
    const { axes, dtype } = pointRow(place.point);
    const positions = Math.max(...lengths);
    const shape = axes.map((axis) => {
      if (axis === "batch") return lengths.length;
      return axis === "pos" || axis === "query" || axis === "key" ? positions : axisLength(this.#spec, axis, place.layer);
    });
    const [only] = captured;
    if (captured.length === 1 && only && isFull(only.pass) && !only.pass.cache) return tensor(only.data, shape, axes);
    const out = dtype === "int32" ? new Int32Array(sizeOf(shape)) : new Float32Array(sizeOf(shape));
    for (const part of captured) {
      if (axes.includes("key"))
        placeEdges(part, out, { heads: shape[1] ?? 1, positions, unseen: place.point === "attn_scores" ? -Infinity : 0 });
      else placeVectors(part, out, { width: sizeOf(shape.slice(2)), positions });
    }
    return tensor(out, shape, axes);
  }
}

function placeVectors({ pass, data }: Captured, out: TensorData, { width, positions }: { width: number; positions: number }): void {
  pass.rows.forEach((tokens, row) => {
    for (let i = 0; i < tokens.length; i++) {
      const from = (row * pass.width + i) * width;
      const to = (row * positions + pass.positions[row]![i]!) * width;
      out.set(data.subarray(from, from + width), to);
    }
  });
}

interface Edges {
  readonly heads: number;
  readonly positions: number;
  /** The value at keys that a pass did not have yet. */
  readonly unseen: number;
}

function placeEdges({ pass, data }: Captured, out: TensorData, { heads, positions, unseen }: Edges): void {
  pass.rows.forEach((tokens, row) => {
    const keyPositions = must(pass.keyPositions[row], `keys of row ${row}`);
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < tokens.length; i++) {
        const from = ((row * heads + head) * pass.width + i) * keyPositions.length;
        const to = ((row * heads + head) * positions + pass.positions[row]![i]!) * positions;
        const target = out.subarray(to, to + positions).fill(unseen);
        keyPositions.forEach((position, key) => {
          if (position >= 0) target[position] = data[from + key]!;
        });
      }
    }
  });
}
