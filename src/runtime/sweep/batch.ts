/**
 * @file The values of a sweep's rows between the links of a chain. When rows join or leave, every value follows; when a link runs, it
 * is fed some of the rows at a time, so that what it needs inside stays small and warm.
 */
import { internal, must } from "../../base/errors.js";
import { sizeOf, type TensorData } from "../../base/tensor.js";
import type { Axes, Dtype } from "../../graph/graph.js";
import type { Feed, Held } from "../session.js";
import type { Link, Stage } from "../stage.js";
import { gatherRows, type Regrouped, type Rows } from "./rows.js";

/** A value with one part a row. `lead`: whether rows are its first axis, or its second behind a batch of one. */
interface RowValue {
  readonly lead: "token" | "batch";
  readonly tail: readonly number[];
  readonly held: Held;
}

/** Most rows that a link is run on at once: where matrix products are at full speed and their results still in the cache. */
const MOST_ROWS = 1024;

export class Batch {
  rows: Rows;
  readonly #values = new Map<string, RowValue>();
  /** Ids of values that hold the numbers of batch and positions themselves. */
  readonly #shapes = new Set<string>();

  constructor(rows: Rows) {
    this.rows = rows;
  }

  /** Takes a value of a graph: its dims begin with `1, rows` or with `rows`. */
  set(id: string, axes: Axes, held: Held): void {
    if (axes[0] === "axis") {
      this.#shapes.add(id);
      return;
    }
    const lead = axes[0] === "token" ? "token" : "batch";
    if (held.dims[lead === "token" ? 0 : 1] !== this.rows.count)
      throw internal(`${id} has dims [${held.dims.join(", ")}] for ${this.rows.count} rows`);
    this.#values.set(id, { lead, tail: held.dims.slice(lead === "token" ? 1 : 2), held });
  }

  /** Puts a value in that the caller made: row-major over rows and `tail`. */
  put(id: string, data: TensorData, options: { tail: readonly number[]; lead?: RowValue["lead"] }): void {
    const { tail, lead = "batch" } = options;
    const dims = lead === "batch" ? [1, this.rows.count, ...tail] : [this.rows.count, ...tail];
    if (sizeOf(dims) !== data.length) throw internal(`${id} has ${data.length} elements for [${dims.join(", ")}]`);
    this.#values.set(id, { lead, tail, held: { data, dims, release: () => undefined } });
  }

  /** The elements of a value, row after row. */
  data(id: string): TensorData {
    return must(this.#values.get(id), `the value ${id}`).held.data;
  }

  /** Gives back all values but those named. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const [id, value] of this.#values) {
      if (ids.has(id)) continue;
      value.held.release();
      this.#values.delete(id);
    }
  }

  /** Lets rows join and leave; every value follows. */
  follow({ rows, index }: Regrouped): void {
    this.rows = rows;
    if (!index) return;
    for (const [id, value] of this.#values) {
      const { lead, tail, held } = value;
      const data = gatherRows(held.data, sizeOf(tail), index);
      const dims = lead === "token" ? [rows.count, ...tail] : [1, rows.count, ...tail];
      held.release();
      this.#values.set(id, { lead, tail, held: { data, dims, release: () => undefined } });
    }
  }

  /** Runs a link on all rows and keeps the values fetched. */
  async run(stage: Stage, link: Link, fetches: readonly string[]): Promise<void> {
    const count = this.rows.count;
    const blocks = Math.max(1, Math.ceil(count / MOST_ROWS));
    const made: Record<string, Held>[] = [];
    for (let block = 0; block < blocks && count > 0; block++) {
      const [from, to] = [Math.floor((block * count) / blocks), Math.floor(((block + 1) * count) / blocks)];
      made.push(await stage.runLink(link, this.#feeds(link, from, to), fetches));
    }
    for (const id of fetches) {
      const { axes } = must(link.graph.values.get(id), `value ${id}`);
      const parts = made.map((results) => must(results[id], id));
      if (parts.length > 0) this.set(id, axes, axes[0] === "axis" ? parts[0]! : stacked(parts, axes[0] === "token" ? 0 : 1));
    }
  }

  #feeds(link: Link, from: number, to: number): Map<string, Feed> {
    const feeds = new Map<string, Feed>();
    for (const { id } of link.graph.inputs) {
      if (this.#shapes.has(id)) {
        feeds.set(id, { data: BigInt64Array.of(1n, BigInt(to - from)), dims: [2] });
        continue;
      }
      const { lead, tail, held } = must(this.#values.get(id), `the value ${id}`);
      const width = sizeOf(tail);
      const data = held.data.subarray(from * width, to * width);
      feeds.set(id, { data, dims: lead === "token" ? [to - from, ...tail] : [1, to - from, ...tail] });
    }
    return feeds;
  }
}

/** The parts one after another along the axis of their rows; a single part as it is. */
function stacked(parts: readonly Held[], axis: number): Held {
  const [first] = parts;
  if (parts.length === 1 && first) return first;
  const { dims, data: sample } = must(first, "a part");
  const length = parts.reduce((total, { data }) => total + data.length, 0);
  const data = sample instanceof Float32Array ? new Float32Array(length) : new Int32Array(length);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
    part.release();
  }
  const rows = parts.reduce((total, part) => total + part.dims[axis]!, 0);
  return { data, dims: dims.map((size, i) => (i === axis ? rows : size)), release: () => undefined };
}
