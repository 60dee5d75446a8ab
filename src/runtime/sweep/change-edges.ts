/** @file Edits of a sweep at attention scores and patterns. */
import { must } from "../../base/errors.js";
import type { TensorData } from "../../base/tensor.js";
import type { CellEdit } from "./cells.js";

/** Edges of some variants: kv_head, variant, group, query, key, with the base's keys first and then the variants' own. */
export interface Edges {
  readonly kvHeads: number;
  /** Query heads a key head serves. */
  readonly group: number;
  /** Variants. */
  readonly count: number;
  /** The variant that is meant. */
  readonly index: number;
  /** Positions. */
  readonly queries: Int32Array;
  readonly shared: Int32Array;
  readonly own: Int32Array;
  readonly window: number;
  readonly data: TensorData;
}

/** The keys' values for one head and query (by its place among the queries). */
export function edgesAt({ kvHeads, group, count, index, queries, shared, own, data }: Edges, head: number, query: number): TensorData {
  const width = shared.length + own.length;
  const [kvHead, member] = [Math.floor(head / group), head % group];
  if (kvHead >= kvHeads) throw new RangeError("head");
  const start = (((kvHead * count + index) * group + member) * queries.length + query) * width;
  return data.subarray(start, start + width);
}

/** Where the keys that a query sees stand on the last axis, and their positions. */
export function seenKeys({ shared, own, window }: Edges, query: number): { place: number; position: number }[] {
  const differs = new Set(own);
  const sees = (key: number): boolean => key <= query && key > query - window;
  const old = [...shared].map((position, place) => ({ place, position })).filter(({ position }) => !differs.has(position));
  const fresh = [...own].map((position, place) => ({ place: shared.length + place, position }));
  return [...old, ...fresh].filter(({ position }) => sees(position));
}

/** Applies an edit to one variant's edges, in place. `other` gives the edges of the run that a patch takes values from. */
export function changeEdges(edges: Edges, edit: CellEdit, at: { pair: number; other: (run: "base" | "source") => Edges }): void {
  const { change } = edit;
  const { positions } = must(edit.selected[at.pair], "a pair");
  const wanted = edit.keys[at.pair];
  const heads = edit.heads ?? Array.from({ length: edges.kvHeads * edges.group }, (_, head) => head);
  for (const position of positions) {
    const query = edges.queries.indexOf(position);
    if (query < 0) continue;
    const keys = seenKeys(edges, position).filter((key) => !wanted || wanted.has(key.position));
    if (keys.length === 0) continue;
    const positionAt = new Map(keys.map((key) => [key.place, key.position]));
    for (const head of heads) {
      const x = edgesAt(edges, head, query);
      if (change.kind === "operation") {
        const places = keys.map(({ place }) => place);
        change.operation(x, { row: at.pair, position, head }, places, (place) => must(positionAt.get(place), "a key"));
      } else {
        const source = at.other(change.run);
        const values = edgesAt({ ...source, index: 0 }, head, source.queries.indexOf(position));
        for (const { place, position: key } of keys) x[place] = values[source.own.indexOf(key)]!;
      }
    }
  }
}
