/**
 * @file Attention of a sweep's rows. A variant's queries see the base's keys where the variant does not differ from it, and its own
 * where it does; variants of a pair that differ at the same positions are computed together.
 */
import { must } from "../../base/errors.js";
import { sizeOf, type TensorData } from "../../base/tensor.js";
import type { Place } from "../../models/address.js";
import { PREFIX_INPUTS, type KeyKinds } from "../../models/prefix-attention.js";
import type { AttentionSpec } from "../../models/spec.js";
import type { Feed, Held } from "../session.js";
import type { Change, Stage } from "../stage.js";
import { changeEdges, type Edges } from "./change-edges.js";
import type { Rows } from "./rows.js";
import type { Scratch } from "./scratch.js";
import type { Schedule } from "./variants.js";

/** Queries, keys and values of a layer, row by row, and whose they are. */
export interface AttentionInput {
  readonly attention: AttentionSpec;
  /** Rows of keys and values: positions at which variants differ in front of attention. */
  readonly before: Rows;
  /** Rows of queries: positions that are computed behind it. */
  readonly after: Rows;
  readonly q: TensorData;
  readonly k: TensorData;
  readonly v: TensorData;
  readonly schedule: Schedule;
  /** Places among scores and pattern of the layer that are edited. */
  readonly places: readonly Place[];
  /** Whether any of these edits takes its values from base or source. */
  readonly takesEdges: boolean;
  /** Whether a variant's attention is left out, since its output is held at the base's. */
  readonly isFrozen: (variant: number) => boolean;
  readonly stageFor: (kinds: KeyKinds) => Stage;
  readonly scratch: Scratch;
  /** Told of edges that somebody reads. */
  readonly onEdges: ((variant: number, edges: Edges, values: ReadonlyMap<string, TensorData>) => void) | undefined;
}

/** Elements of scores computed at once: 64 MiB. */
const MOST_EDGES = 1 << 24;

/** z of every row of `after`: row, head, d_head; and how many multiply-adds × 2 it took. */
export async function attend(input: AttentionInput): Promise<{ z: Float32Array; flops: number }> {
  const { attention, after, schedule, isFrozen, scratch } = input;
  const width = attention.heads * attention.dHead;
  const z = scratch.take(after.count * width);
  const known = new Map<number, ReadonlyMap<string, Edges>>();
  let flops = 0;
  for (const group of groupsOf(input)) flops += await runGroup(group, { input, z, known });
  schedule.variants.forEach(({ base }, variant) => {
    if (!isFrozen(variant)) return;
    after.of(variant).forEach((position, i) => {
      const from = after.find(base, position) * width;
      z.copyWithin((after.starts[variant]! + i) * width, from, from + width);
    });
  });
  return { z, flops };
}

/** Neighbouring variants of one pair with the same rows, and the same kinds of edit. */
interface Group {
  readonly first: number;
  readonly count: number;
  readonly stops: readonly string[];
}

function groupsOf(input: AttentionInput): Group[] {
  const { before, after, schedule, isFrozen } = input;
  const groups: Group[] = [];
  for (let variant = 0; variant < schedule.variants.length; variant++) {
    if (isFrozen(variant) || after.of(variant).length === 0) continue;
    const stops = stopsOf(input, variant);
    const last = groups.at(-1);
    const { base, cell } = schedule.variants[variant]!;
    // Base and source begin a group each, since patches find their edges by its first variant.
    const isNext = cell && last !== undefined && last.first + last.count === variant && schedule.variants[last.first]!.base === base;
    const isAlike =
      isNext &&
      String(last.stops) === String(stops) &&
      sameList(before.of(last.first), before.of(variant)) &&
      sameList(after.of(last.first), after.of(variant)) &&
      last.count < Math.max(1, Math.floor(MOST_EDGES / edgesOf(input, variant)));
    if (isAlike) groups[groups.length - 1] = { ...last, count: last.count + 1 };
    else groups.push({ first: variant, count: 1, stops });
  }
  return groups;
}

function edgesOf({ attention, before, after }: AttentionInput, variant: number): number {
  const queries = after.of(variant);
  return attention.heads * queries.length * ((queries.at(-1) ?? 0) + 1 + before.of(variant).length);
}

/** The points among scores and pattern at which a variant is edited. */
function stopsOf({ schedule, places }: AttentionInput, variant: number): string[] {
  return places.filter(({ address }) => schedule.isEdited(variant, address)).map(({ point }) => point);
}

function sameList(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

interface Work {
  readonly input: AttentionInput;
  readonly z: Float32Array;
  /** Edges of base and source variants, which patches take values from, by point. */
  readonly known: Map<number, ReadonlyMap<string, Edges>>;
}

async function runGroup(group: Group, work: Work): Promise<number> {
  const { input, z } = work;
  const { attention, after } = input;
  const edges = edgesFor(group, input);
  const kinds = edges.shared.length === 0 ? "own" : edges.own.length === 0 ? "shared" : "both";
  const isTaken = input.schedule.variants[group.first]!.cell === undefined && input.takesEdges;
  const named = input.onEdges || isTaken ? ["attn_scores", "pattern"] : [];
  const changes = new Map(group.stops.map((stop) => [stop, changeAt(stop, { group, edges, work })] as const));
  const { heads, dHead } = attention;
  const dims = [group.count, edges.queries.length, heads, dHead];
  const start = after.starts[group.first]! * heads * dHead;
  const made = await input.stageFor(kinds).run({
    feeds: feedsOf(group, edges, { input, kinds }),
    wanted: ["z", ...named],
    into: { z: { data: z.subarray(start, start + sizeOf(dims)), dims } },
    lean: true,
    ...(changes.size > 0 && { changes }),
  });
  if (isTaken) work.known.set(group.first, new Map(named.map((name) => [name, { ...edges, data: must(made[name], name).data.slice() }])));
  if (input.onEdges) {
    const values = new Map(named.map((name) => [name, must(made[name], name).data]));
    for (let i = 0; i < group.count; i++) input.onEdges(group.first + i, { ...edges, index: i }, values);
  }
  for (const value of Object.values(made)) value.release();
  return 4 * heads * dHead * group.count * edges.queries.length * (edges.shared.length + edges.own.length);
}

/** Which keys the queries of a group have, in the order of the last axis. */
function edgesFor({ first, count }: Group, { attention, before, after }: AttentionInput): Edges {
  const { heads, kvHeads, window = Infinity } = attention;
  const [own, queries] = [before.of(first), after.of(first)];
  const differs = new Set(own);
  let [from, to] = [Math.max(0, queries[0]! - window + 1), queries.at(-1)!];
  while (to >= from && differs.has(to)) to--;
  while (from <= to && differs.has(from)) from++;
  const shared = Int32Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return { kvHeads, group: heads / kvHeads, count, index: 0, queries, shared, own, window, data: new Float32Array(0) };
}

function feedsOf(
  { first, count }: Group,
  edges: Edges,
  { input, kinds }: { input: AttentionInput; kinds: KeyKinds },
): Record<string, Feed> {
  const { attention, before, after, q, k, v, schedule } = input;
  const { heads, kvHeads, dHead } = attention;
  const part = (data: TensorData, from: number, rows: number, width: number): Float32Array =>
    data.subarray(from * width, (from + rows) * width) as Float32Array;
  const [queries, own, shared] = [edges.queries.length, edges.own.length, edges.shared.length];
  const width = kvHeads * dHead;
  const start = before.starts[first]!;
  const base = before.starts[schedule.variants[first]!.base]! + (edges.shared[0] ?? 0);
  const keys = Float32Array.from([...edges.shared, ...edges.own]);
  return {
    [PREFIX_INPUTS.q]: { data: part(q, after.starts[first]!, count * queries, heads * dHead), dims: [count, queries, heads, dHead] },
    [PREFIX_INPUTS.mask]: { data: maskOf(edges), dims: [queries, shared + own] },
    ...(attention.alibi && { [PREFIX_INPUTS.keyPositions]: { data: keys, dims: [shared + own] } }),
    ...(kinds !== "shared" && {
      [PREFIX_INPUTS.ownK]: { data: part(k, start, count * own, width), dims: [count, own, kvHeads, dHead] },
      [PREFIX_INPUTS.ownV]: { data: part(v, start, count * own, width), dims: [count, own, kvHeads, dHead] },
    }),
    ...(kinds !== "own" && {
      [PREFIX_INPUTS.sharedK]: { data: part(k, base, shared, width), dims: [shared, kvHeads, dHead] },
      [PREFIX_INPUTS.sharedV]: { data: part(v, base, shared, width), dims: [shared, kvHeads, dHead] },
    }),
  };
}

/** 0 where a query sees a key, −∞ elsewhere: query, key. A shared key at a position that has an own one is not seen. */
function maskOf({ queries, shared, own, window }: Edges): Float32Array {
  const width = shared.length + own.length;
  const mask = new Float32Array(queries.length * width).fill(-Infinity);
  const differs = new Set(own);
  const sees = (query: number, key: number): boolean => key <= query && key > query - window;
  queries.forEach((query, i) => {
    shared.forEach((key, at) => {
      if (sees(query, key) && !differs.has(key)) mask[i * width + at] = 0;
    });
    own.forEach((key, at) => {
      if (sees(query, key)) mask[i * width + shared.length + at] = 0;
    });
  });
  return mask;
}

function changeAt(point: string, { group, edges, work }: { group: Group; edges: Edges; work: Work }): Change {
  const { schedule, places } = work.input;
  const { address } = must(
    places.find((place) => place.point === point),
    point,
  );
  return (value: Held) => {
    for (let index = 0; index < group.count; index++) {
      const variant = group.first + index;
      const { pair, base, source } = schedule.variants[variant]!;
      const other = (run: "base" | "source"): Edges =>
        must(work.known.get(run === "base" ? base : source)?.get(point), `the ${run}'s ${point}`);
      for (const edit of schedule.editsOf(variant, address)) changeEdges({ ...edges, index, data: value.data }, edit, { pair, other });
    }
    return value;
  };
}
