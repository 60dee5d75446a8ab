/**
 * @file One pass over a batch of rows: token ids, each token's position in its row, and what the blocks are fed besides the
 * residual stream. Rows are padded on the right; a padding token sees nothing but itself and nobody sees it, so that rows
 * never touch each other.
 */
import { must } from "../base/errors.js";
import type { TensorData } from "../base/tensor.js";
import { rotaryTables } from "../models/rotary.js";
import type { AttentionSpec, ModelSpec } from "../models/spec.js";
import type { Feed, Feeds, Held, Resident } from "./session.js";

/** Position of a padding slot among the keys. */
export const PADDING = -1;

/** Cached keys and values of one layer, perhaps on the device: batch, kv_head, key, d_head. */
export interface LayerCache {
  readonly k: Held | Resident;
  readonly v: Held | Resident;
}

/** What earlier passes left behind. */
export interface Cache {
  readonly layers: readonly LayerCache[];
  /** Position of each cached key in its row, `PADDING` where there is none: one array a row. */
  readonly positions: readonly Int32Array[];
}

/** Gives the memory of cached keys and values back. */
export function releaseCache(cache: Cache | undefined): void {
  for (const { k, v } of cache?.layers ?? []) {
    k.release();
    v.release();
  }
}

export interface Pass {
  readonly rows: readonly (readonly number[])[];
  /** Tokens in the longest row of this pass. */
  readonly width: number;
  /** Position of each token of this pass; padding repeats the last one. */
  readonly positions: readonly Int32Array[];
  /** Positions of all keys that this pass sees, cached ones first. */
  readonly keyPositions: readonly Int32Array[];
  /** Length of each row after this pass. */
  readonly totals: readonly number[];
  readonly cache: Cache | undefined;
}

/** A pass of `rows`, each behind what is cached of it. */
export function makePass(rows: readonly (readonly number[])[], cache?: Cache): Pass {
  const width = Math.max(...rows.map((row) => row.length));
  const starts = rows.map((_, row) => (cache ? nextPosition(must(cache.positions[row], `cached row ${row}`)) : 0));
  const positions = rows.map((tokens, row) =>
    Int32Array.from({ length: width }, (_, i) => starts[row]! + Math.min(i, Math.max(tokens.length - 1, 0))),
  );
  const keyPositions = rows.map((tokens, row) => {
    const past = cache?.positions[row] ?? new Int32Array(0);
    const all = new Int32Array(past.length + width).fill(PADDING);
    all.set(past);
    for (let i = 0; i < tokens.length; i++) all[past.length + i] = starts[row]! + i;
    return all;
  });
  return { rows, width, positions, keyPositions, totals: rows.map((tokens, row) => starts[row]! + tokens.length), cache };
}

function nextPosition(positions: Int32Array): number {
  return positions.reduce((highest, position) => Math.max(highest, position), -1) + 1;
}

/** Whether every row of a pass has its full width. */
export function isFull({ rows, width }: Pass): boolean {
  return rows.every((row) => row.length === width);
}

/**
 * Puts a value of a pass without a cache in place of another, but for the padding, whose computed values stay: zeros there could
 * divide by a norm's scale, and what is not a number spreads even through weights of 0. `isEdges`: batch, head, query, key.
 */
export function overwrite(target: TensorData, value: TensorData, { rows, width }: Pass, isEdges: boolean): void {
  const step = isEdges ? width : target.length / (rows.length * width);
  const heads = isEdges ? target.length / (rows.length * width * width) : 1;
  rows.forEach((tokens, row) => {
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < tokens.length; i++) {
        const at = ((row * heads + head) * width + i) * step;
        target.set(value.subarray(at, at + (isEdges ? tokens.length : step)), at);
      }
    }
  });
}

/** What a layer is fed of what is cached; nothing in the first pass. */
export function cachedFeeds({ cache }: Pass, layer: number): Feeds {
  const cached = cache?.layers[layer];
  return cached ? { past_k: cached.k, past_v: cached.v } : {};
}

/** Token ids and positions for the embedding graph, flattened: token. */
export function embeddingFeeds({ rows, width, positions }: Pass): Record<"tokens" | "positions", Feed> {
  const tokens = new BigInt64Array(rows.length * width);
  const places = new BigInt64Array(rows.length * width);
  rows.forEach((row, batch) => {
    for (let i = 0; i < width; i++) {
      tokens[batch * width + i] = BigInt(row[i] ?? 0);
      places[batch * width + i] = BigInt(positions[batch]![i]!);
    }
  });
  const dims = [rows.length * width];
  return { tokens: { data: tokens, dims }, positions: { data: places, dims } };
}

/** What blocks of a pass are fed, made once for all layers that need the same. */
export class PassInputs {
  readonly #spec: ModelSpec;
  readonly #pass: Pass;
  readonly #made = new Map<string, Feed>();

  constructor(spec: ModelSpec, pass: Pass) {
    this.#spec = spec;
    this.#pass = pass;
  }

  /** All feeds of a layer but the residual stream and what is cached. */
  of(layer: number): Record<string, Feed> {
    const { attention } = must(this.#spec.layers[layer], `layer ${layer}`);
    const feeds: Record<string, Feed> = {
      mask: this.#once(`mask:${attention.window ?? "all"}`, () => maskOf(this.#pass, attention.window)),
      past_k: this.#empty(attention),
      past_v: this.#empty(attention),
    };
    if (attention.alibi) feeds["key_positions"] = this.#once("key_positions", () => keyPositionsOf(this.#pass));
    if (attention.rotary !== undefined) {
      const { rotary } = attention;
      feeds[`cos_${rotary}`] = this.#once(`cos_${rotary}`, () => this.#rotary(rotary, "cos"));
      feeds[`sin_${rotary}`] = this.#once(`sin_${rotary}`, () => this.#rotary(rotary, "sin"));
    }
    return feeds;
  }

  #once(key: string, make: () => Feed): Feed {
    const known = this.#made.get(key);
    if (known) return known;
    const made = make();
    this.#made.set(key, made);
    return made;
  }

  #empty({ kvHeads, dHead }: AttentionSpec): Feed {
    return this.#once(`empty:${kvHeads}x${dHead}`, () => ({
      data: new Float32Array(0),
      dims: [this.#pass.rows.length, kvHeads, 0, dHead],
    }));
  }

  #rotary(index: number, which: "cos" | "sin"): Feed {
    const spec = must(this.#spec.rotaries[index], `rotary ${index}`);
    const { positions, totals, width, rows } = this.#pass;
    const tables = rotaryTables(spec, positions, totals);
    const dims = [rows.length, width, spec.dims / 2];
    this.#made.set(`cos_${index}`, { data: tables.cos, dims });
    this.#made.set(`sin_${index}`, { data: tables.sin, dims });
    return { data: tables[which], dims };
  }
}

/**
 * 0 where a query sees a key, −∞ elsewhere: batch, one, query, key; one row for all where rows do not differ. A query sees
 * keys at its position and before, within the window, and no padding.
 */
export function maskOf(pass: Pass, window?: number): Feed {
  const { rows, width, positions, keyPositions } = pass;
  const keys = keyPositions[0]?.length ?? 0;
  const alike = isFull(pass) && keyPositions.every((row) => sameValues(row, keyPositions[0]!));
  const count = alike ? 1 : rows.length;
  const mask = new Float32Array(count * width * keys).fill(-Infinity);
  for (let row = 0; row < count; row++) {
    const seen = keyPositions[row]!;
    for (let query = 0; query < width; query++) {
      const at = (row * width + query) * keys;
      const isPadding = query >= rows[row]!.length;
      if (isPadding) {
        mask[at + keys - width + query] = 0;
        continue;
      }
      const position = positions[row]![query]!;
      const oldest = window === undefined ? 0 : Math.max(position - window + 1, 0);
      for (let key = 0; key < keys; key++) if (seen[key]! >= oldest && seen[key]! <= position) mask[at + key] = 0;
    }
  }
  return { data: mask, dims: [count, 1, width, keys] };
}

function sameValues(a: Int32Array, b: Int32Array): boolean {
  return a.every((value, index) => value === b[index]);
}

/** Key positions as numbers, for position bias: batch, one, one, key. */
function keyPositionsOf({ keyPositions, rows }: Pass): Feed {
  const keys = keyPositions[0]?.length ?? 0;
  const data = new Float32Array(rows.length * keys);
  keyPositions.forEach((row, batch) => row.forEach((position, key) => (data[batch * keys + key] = Math.max(position, 0))));
  return { data, dims: [rows.length, 1, 1, keys] };
}
