/**
 * @file The values of a sweep's rows between the links of a chain. When rows join or leave, every value follows; when a link runs, it
 * is fed some of the rows at a time, so that what it needs inside stays small and warm.
 */
import { internal, must } from "../../base/errors.js";
import { sizeOf, type TensorData } from "../../base/tensor.js";
import type { Axes } from "../../graph/graph.js";
import type { Feed, Held, Place } from "../session.js";
import type { Link, Stage } from "../stage.js";
import { gatherRows, type Regrouped, type Rows } from "./rows.js";
import type { Scratch } from "./scratch.js";

/** A value with one part a row. `lead`: whether rows are its first axis, or its second behind a batch of one. */
interface RowValue {
  readonly lead: "token" | "batch";
  readonly tail: readonly number[];
  readonly data: TensorData;
  readonly release: () => void;
}

/** Most rows that a link is run on at once: where matrix products are at full speed and their results still in the cache. */
const MOST_ROWS = 1024;

/** Sizes behind the row axis of what a link computes: known once it has run. */
const TAILS = new WeakMap<Link, Map<string, readonly number[]>>();

export class Batch {
  rows: Rows;
  readonly #scratch: Scratch;
  readonly #values = new Map<string, RowValue>();
  /** Ids of values that hold the numbers of batch and positions themselves. */
  readonly #shapes = new Set<string>();

  constructor(rows: Rows, scratch: Scratch) {
    this.rows = rows;
    this.#scratch = scratch;
  }

  /** Puts a value in, row-major over rows and `tail`; `isOwn` where its memory came from the scratch and goes back there. */
  put(id: string, data: TensorData, options: { tail: readonly number[]; lead?: RowValue["lead"]; isOwn?: boolean }): void {
    const { tail, lead = "batch", isOwn = false } = options;
    if (this.rows.count * sizeOf(tail) !== data.length)
      throw internal(`${id} has ${data.length} elements for ${this.rows.count} rows of [${tail.join(", ")}]`);
    const release = (): void => {
      if (isOwn && data instanceof Float32Array) this.#scratch.give(data);
    };
    this.#values.set(id, { lead, tail, data, release });
  }

  /** The elements of a value, row after row. */
  data(id: string): TensorData {
    return must(this.#values.get(id), `the value ${id}`).data;
  }

  /** Hands a value over to another batch of the same rows. */
  move(id: string, to: Batch, name: string): void {
    to.#values.set(name, { ...must(this.#values.get(id), `the value ${id}`), lead: "batch" });
    this.#values.delete(id);
  }

  /** Gives back all values but those named. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const [id, value] of this.#values) {
      if (ids.has(id)) continue;
      value.release();
      this.#values.delete(id);
    }
  }

  /** Lets rows join and leave; every value follows. */
  follow({ rows, index }: Regrouped): void {
    this.rows = rows;
    if (!index) return;
    for (const [id, { lead, tail, data, release }] of this.#values) {
      const moved = gatherRows(data, sizeOf(tail), { index, scratch: this.#scratch });
      release();
      this.put(id, moved, { tail, lead, isOwn: true });
    }
  }

  /** Runs a link on all rows and keeps the values fetched. `later`: ids that links behind it read. */
  async run(stage: Stage, link: Link, { fetches, later }: { fetches: readonly string[]; later: ReadonlySet<string> }): Promise<void> {
    const { rows } = this;
    const computed = [...new Set(fetches.map((id) => link.views.get(id) ?? id))].filter((id) => link.outputs.includes(id));
    const tails = await this.#tails(stage, link, computed);
    const values = computed.filter((id) => axesOf(link, id)[0] !== "axis");
    for (const id of computed) if (!values.includes(id)) this.#shapes.add(id);
    const places = new Map<string, Float32Array>();
    for (const id of values) {
      const tail = must(tails.get(id), `the shape of ${id}`);
      if (link.graph.values.get(id)?.dtype === "float32") places.set(id, this.#scratch.take(rows.count * sizeOf(tail)));
    }
    const whole = await this.#compute(stage, link, { values, places, tails });
    for (const id of values) {
      const lead = axesOf(link, id)[0] === "token" ? "token" : "batch";
      this.put(id, must(whole.get(id), id), { tail: must(tails.get(id), id), lead, isOwn: places.has(id) });
    }
    this.#see(link, fetches, later);
  }

  /** The values of all rows, some rows at a time. */
  async #compute(
    stage: Stage,
    link: Link,
    {
      values,
      places,
      tails,
    }: { values: readonly string[]; places: ReadonlyMap<string, Float32Array>; tails: ReadonlyMap<string, readonly number[]> },
  ): Promise<Map<string, TensorData>> {
    const { count } = this.rows;
    const blocks = Math.max(1, Math.ceil(count / MOST_ROWS));
    const whole = new Map<string, TensorData>(places);
    for (let block = 0; block < blocks; block++) {
      const [from, to] = [Math.floor((block * count) / blocks), Math.floor(((block + 1) * count) / blocks)];
      const into = Object.fromEntries(
        [...places].map(([id, data]) => [id, blockOf(data, { count, from, to }, dimsOf(link, id, { tails, rows: to - from }))]),
      );
      const made = await stage.runLink(link, this.#feeds(link, from, to), { fetches: values, into });
      for (const id of values) if (!places.has(id)) whole.set(id, appended(whole.get(id), must(made[id], id)));
    }
    return whole;
  }

  /** Gives views their ids: the value itself, or a copy where somebody else goes on with it. */
  #see(link: Link, fetches: readonly string[], later: ReadonlySet<string>): void {
    const seen = fetches.filter((id) => link.views.has(id));
    for (const [i, id] of seen.entries()) {
      const source = must(link.views.get(id), id);
      const value = must(this.#values.get(source), `the value ${source}`);
      const lead = axesOf(link, id)[0] === "token" ? "token" : "batch";
      const isShared = later.has(source) || fetches.includes(source) || seen.slice(i + 1).some((other) => link.views.get(other) === source);
      if (isShared) this.put(id, value.data.slice(), { tail: value.tail, lead });
      else {
        this.#values.set(id, { ...value, lead });
        this.#values.delete(source);
      }
    }
  }

  /** The shapes of what a link computes; it is run on one row to see those that are not known yet. */
  async #tails(stage: Stage, link: Link, fetches: readonly string[]): Promise<ReadonlyMap<string, readonly number[]>> {
    const tails = TAILS.get(link) ?? new Map<string, readonly number[]>();
    const unknown = fetches.filter((id) => !tails.has(id));
    if (unknown.length === 0) return tails;
    const made = await stage.runLink(link, this.#feeds(link, 0, 1), { fetches: unknown });
    for (const [id, value] of Object.entries(made)) {
      tails.set(id, value.dims.slice(axesOf(link, id)[0] === "token" ? 1 : 2));
      value.release();
    }
    TAILS.set(link, tails);
    return tails;
  }

  #feeds(link: Link, from: number, to: number): Map<string, Feed> {
    const feeds = new Map<string, Feed>();
    for (const { id } of link.graph.inputs) {
      if (this.#shapes.has(id)) {
        feeds.set(id, { data: BigInt64Array.of(1n, BigInt(to - from)), dims: [2] });
        continue;
      }
      const { lead, tail, data } = must(this.#values.get(id), `the value ${id}`);
      const width = sizeOf(tail);
      const dims = lead === "token" ? [to - from, ...tail] : [1, to - from, ...tail];
      feeds.set(id, { data: data.subarray(from * width, to * width), dims });
    }
    return feeds;
  }
}

function axesOf(link: Link, id: string): Axes {
  return must(link.graph.values.get(id), `value ${id}`).axes;
}

function dimsOf(link: Link, id: string, { tails, rows }: { tails: ReadonlyMap<string, readonly number[]>; rows: number }): number[] {
  const tail = must(tails.get(id), `the shape of ${id}`);
  return axesOf(link, id)[0] === "token" ? [rows, ...tail] : [1, rows, ...tail];
}

/** The part of a value that some of its rows are. */
function blockOf(data: Float32Array, { count, from, to }: { count: number; from: number; to: number }, dims: readonly number[]): Place {
  const width = data.length / count;
  return { data: data.subarray(from * width, to * width), dims };
}

/** Whole numbers, which a session does not write to where they are wanted. */
function appended(before: TensorData | undefined, part: Held): TensorData {
  const all = Int32Array.from([...(before ?? []), ...part.data]);
  part.release();
  return all;
}
