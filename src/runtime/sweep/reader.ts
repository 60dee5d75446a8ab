/**
 * @file What a sweep reads: a variant's own rows, and its base's where it has none, put together as if each variant had been run whole.
 * Zeros stand past a prompt's measured position; scores nobody sees are −∞.
 */
import { must } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor, type TensorData } from "../../base/tensor.js";
import type { Place } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import { axisLength } from "../../models/sizes.js";
import type { ModelSpec } from "../../models/spec.js";
import { edgesAt, seenKeys, type Edges } from "./change-edges.js";
import type { Rows } from "./rows.js";
import type { Variant } from "./variants.js";

/** The whole of a sweep's result at one address: counterfactual, pair, then the point's axes without its batch. */
interface Target {
  readonly data: TensorData;
  readonly shape: readonly number[];
}

export interface ReaderOptions {
  readonly spec: ModelSpec;
  readonly places: readonly Place[];
  readonly counterfactuals: number;
  /** Positions of each pair's edited prompt. */
  readonly lengths: readonly number[];
}

export class Reader {
  readonly #places: readonly Place[];
  readonly #targets: ReadonlyMap<string, Target>;
  #variants: readonly Variant[] = [];

  constructor({ spec, places, counterfactuals, lengths }: ReaderOptions) {
    this.#places = places;
    this.#targets = new Map(
      places.map((place) => {
        const { axes, dtype } = pointRow(place.point);
        const longest = Math.max(...lengths);
        const own = axes.slice(1).map((axis) => (["pos", "query", "key"].includes(axis) ? longest : axisLength(spec, axis, place.layer)));
        const shape = [counterfactuals, lengths.length, ...own];
        return [
          place.address,
          { shape, data: dtype === "int32" ? new Int32Array(sizeOf(shape)) : new Float32Array(sizeOf(shape)) },
        ] as const;
      }),
    );
  }

  /** Whose rows the next values are. */
  follow(variants: readonly Variant[]): void {
    this.#variants = variants;
  }

  placesIn(layer: number | undefined): readonly Place[] {
    return this.#places.filter((place) => place.layer === layer);
  }

  wants({ address }: Place): boolean {
    return this.#targets.has(address);
  }

  /** Takes a value that has one part a row. */
  takeRows(place: Place, rows: Rows, data: TensorData): void {
    const { data: into, shape } = must(this.#targets.get(place.address), place.address);
    const width = sizeOf(shape.slice(3));
    this.#variants.forEach(({ cell, pair, base }, variant) => {
      if (!cell) return;
      const start = (cell.counterfactual * shape[1]! + pair) * shape[2]!;
      const put = (row: number, position: number): void =>
        into.set(data.subarray(row * width, (row + 1) * width), (start + position) * width);
      rows.of(base).forEach((position, i) => put(rows.starts[base]! + i, position));
      rows.of(variant).forEach((position, i) => put(rows.starts[variant]! + i, position));
    });
  }

  /** Takes scores or pattern of one variant; its base's come before its own. */
  takeEdges(place: Place, variant: number, edges: Edges): void {
    const { cell, base } = must(this.#variants[variant], "a variant");
    const followers = cell
      ? [variant]
      : this.#variants.flatMap((other, i) => (base === variant && other.base === base && other.cell ? [i] : []));
    for (const follower of followers) this.#putEdges(place, must(this.#variants[follower], "a variant"), edges);
  }

  #putEdges(place: Place, { cell, pair }: Variant, edges: Edges): void {
    const { data: into, shape } = must(this.#targets.get(place.address), place.address);
    const [, pairs = 0, heads = 0, longest = 0] = shape;
    const start = (must(cell, "a cell").counterfactual * pairs + pair) * heads;
    edges.queries.forEach((query, i) => {
      for (let head = 0; head < heads; head++) {
        const target = into.subarray(((start + head) * longest + query) * longest).subarray(0, longest);
        target.fill(place.point === "attn_scores" ? -Infinity : 0);
        const values = edgesAt(edges, head, i);
        for (const { place: at, position } of seenKeys(edges, query)) target[position] = values[at]!;
      }
    });
  }

  /** One tensor an address. */
  finish(): Record<string, Tensor> {
    return Object.fromEntries(
      this.#places.map((place) => {
        const { data, shape } = must(this.#targets.get(place.address), place.address);
        return [place.address, tensor(data, shape, ["counterfactual", "pair", ...pointRow(place.point).axes.slice(1)])];
      }),
    );
  }
}
