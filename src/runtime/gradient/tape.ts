/**
 * @file One graph of the model as it ran, and the way back through it. Kept are the values in front of each of its links, what
 * edits found, and values inside that were asked to be kept; everything else is computed anew on the way back.
 */
import { must } from "../../base/errors.js";
import type { TensorData } from "../../base/tensor.js";
import type { Value } from "../../graph/graph.js";
import { POINT_NAMES, type PointName } from "../../models/points.js";
import type { AxisSizes } from "../../models/sizes.js";
import { applyEdit } from "../apply-edit.js";
import type { Pass } from "../pass.js";
import type { PreparedEdit } from "../prepare-edits.js";
import type { Feed, Held } from "../session.js";
import type { Chain, Link, Stage } from "../stage.js";

/** An edit that was made, and what it found where its way back asks for that. */
export interface MadeEdit {
  readonly edit: PreparedEdit;
  readonly before: TensorData | undefined;
}

/** A graph that has run. */
export interface Recorded {
  readonly stage: Stage;
  readonly chain: Chain;
  readonly stops: readonly string[];
  /** What the links were fed, by id. */
  readonly live: ReadonlyMap<string, Feed>;
  readonly edits: ReadonlyMap<string, readonly MadeEdit[]>;
  /** Named values that were wanted. */
  readonly made: Readonly<Record<string, Held>>;
  /** Named values inside that the way back need not compute, as no edit has changed them. */
  readonly kept: ReadonlyMap<string, Held>;
}

export interface Recording {
  readonly feeds: Readonly<Record<string, Feed>>;
  /** Named values to return, the edited ones as they are after the edits. */
  readonly wanted: readonly string[];
  /** Points to stop at, with the edits made there. */
  readonly stops: ReadonlyMap<string, readonly PreparedEdit[]>;
  /** Points whose gradients will be wanted. */
  readonly asked: readonly string[];
  /** Named values to keep for the way back, where the graph has them. */
  readonly keep: readonly string[];
  readonly pass: Pass;
  readonly sizesAt: (edit: PreparedEdit) => AxisSizes;
}

/**
 * Runs the stage, cut at the stops, and keeps what the way back needs. Without stops the way back is from what the graph was fed alone, and
 * may be through the graph in another form than the one that ran.
 */
export async function record(stage: Stage, { feeds, wanted, stops, asked, keep, pass, sizesAt }: Recording): Promise<Recorded> {
  const names = [...stops.keys()].toSorted((a, b) => POINT_NAMES.indexOf(a as PointName) - POINT_NAMES.indexOf(b as PointName));
  const cuts = names.map((name) => [name]);
  const chain = stage.chain(cuts, { inside: [...wanted, ...asked] });
  const ahead = names.length === 0 ? stage.chain([], { inside: wanted }) : chain;
  const live = new Map<string, Feed>(Object.entries(feeds));
  const made: Record<string, Held> = {};
  const kept = new Map<string, Held>();
  const edits = new Map<string, readonly MadeEdit[]>();
  for (const [index, link] of ahead.entries()) {
    const stop = names[index];
    const idsOf = (list: readonly string[]): Map<string, string> =>
      new Map(namedIn(link, new Map(list.map((name) => [name, name] as const))));
    const wantedHere = idsOf(wanted);
    const keptHere = idsOf(keep.filter((name) => name !== stop));
    const fetches = link.results.filter((id) => link.handedOn.has(id) || wantedHere.has(id) || keptHere.has(id));
    const results = await stage.runLink(link, live, { fetches });
    for (const [id, value] of Object.entries(results)) {
      live.set(id, value);
      const name = wantedHere.get(id);
      if (name !== undefined) made[name] = value;
      const keptAs = keptHere.get(id);
      if (keptAs !== undefined) kept.set(keptAs, value);
    }
    if (stop === undefined) continue;
    const value = must(live.get(must(link.graph.named.get(stop), stop)), stop) as Held;
    edits.set(stop, makeEdits(must(stops.get(stop), stop), value.data, pass, sizesAt));
  }
  return { stage, chain, stops: names, live, edits, made, kept };
}

/** Makes edits in place, and keeps what those found whose way back depends on it. */
export function makeEdits(
  edits: readonly PreparedEdit[],
  data: TensorData,
  pass: Pass,
  sizesAt: (edit: PreparedEdit) => AxisSizes,
): MadeEdit[] {
  return edits.map((edit) => {
    const before = edit.op === "clamp" || edit.op === "rotate" ? data.slice() : undefined;
    applyEdit(edit, data, pass, sizesAt(edit));
    return { edit, before };
  });
}

/** Takes a gradient back through edits, in place, the last one first. */
export function undoEdits(made: readonly MadeEdit[], grad: Float32Array, pass: Pass, sizesAt: (edit: PreparedEdit) => AxisSizes): void {
  for (const { edit, before = grad } of made.toReversed()) {
    const { pullback } = edit;
    const operation: PreparedEdit["operation"] = (part, _, units) => {
      const start = (part.byteOffset - grad.byteOffset) / grad.BYTES_PER_ELEMENT;
      pullback(part, before.subarray(start, start + part.length), units);
    };
    applyEdit({ ...edit, operation }, grad, pass, sizesAt(edit));
  }
}

/** What is wanted of the way back through a graph. */
export interface WayBack {
  readonly recorded: Recorded;
  /** Gradients by named values, added to what comes from behind them. */
  readonly seeds: ReadonlyMap<string, Float32Array>;
  /** Named values whose gradients are wanted. */
  readonly asked: readonly string[];
  /** An input of the graph whose gradient is wanted. */
  readonly input: string | undefined;
  /** Whether the gradients by the graph's weights are wanted, by id. */
  readonly weights: (id: string) => boolean;
  /** The length of an axis that the model fixes. */
  readonly lengthOf: (axis: string) => number;
  readonly pass: Pass;
  readonly sizesAt: (edit: PreparedEdit) => AxisSizes;
}

export interface Gradients {
  readonly points: ReadonlyMap<string, Float32Array>;
  readonly input: Float32Array | undefined;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Goes back through a recorded graph. */
export async function goBack(way: WayBack): Promise<Gradients> {
  const { recorded, seeds, asked, input } = way;
  const grads = new Map<string, Feed>();
  const points = new Map<string, Float32Array>();
  const weights = new Map<string, Float32Array>();
  for (let index = recorded.chain.length - 1; index >= 0; index--) {
    const link = must(recorded.chain[index], `link ${index}`);
    const stop = recorded.stops[index];
    for (const [id, data] of namedIn(link, seeds)) addTo(grads, id, { data, dims: dimsOf(link.graph.values.get(id), way) });
    if (stop !== undefined) passStop(way, { grads, points, id: must(link.graph.named.get(stop), stop), stop });
    const found = await linkBack(way, { link, grads, stop });
    for (const [id, grad] of Object.entries(found)) {
      if (link.graph.weights.has(id)) weights.set(id, grad.data as Float32Array);
      else if (link.graph.inputs.some((one) => one.id === id)) addTo(grads, id, grad);
    }
    notePoints(points, { link, stop, asked, found });
  }
  return { points, input: input === undefined ? undefined : (grads.get(input)?.data as Float32Array | undefined), weights };
}

/** What belongs to named values that a link computes, by their ids. */
function namedIn<T>({ graph }: Link, byName: ReadonlyMap<string, T>): (readonly [string, T])[] {
  return [...byName].flatMap(([name, value]) => {
    const id = graph.named.get(name);
    return id === undefined ? [] : [[id, value] as const];
  });
}

/** Notes the gradients by values inside a link; one that nothing depends on has no elements. */
function notePoints(
  points: Map<string, Float32Array>,
  { link, stop, asked, found }: { link: Link; stop: string | undefined; asked: readonly string[]; found: Readonly<Record<string, Feed>> },
): void {
  const names = new Map(asked.filter((name) => name !== stop).map((name) => [name, name] as const));
  for (const [id, name] of namedIn(link, names)) points.set(name, (found[id]?.data as Float32Array | undefined) ?? new Float32Array(0));
}

/** Notes the gradient by the value behind the edits of a stop, and takes it to the front of them. */
function passStop(
  { recorded, asked, pass, sizesAt }: WayBack,
  { grads, points, id, stop }: { grads: Map<string, Feed>; points: Map<string, Float32Array>; id: string; stop: string },
): void {
  const grad = grads.get(id);
  const behind = grad?.data as Float32Array | undefined;
  if (asked.includes(stop)) points.set(stop, behind ?? new Float32Array(0));
  const made = recorded.edits.get(stop) ?? [];
  if (!grad || !behind || made.length === 0) return;
  const front = behind.slice();
  undoEdits(made, front, pass, sizesAt);
  grads.set(id, { data: front, dims: grad.dims });
}

function linkBack(
  { recorded, asked, input, weights }: WayBack,
  { link, grads, stop }: { link: Link; grads: ReadonlyMap<string, Feed>; stop: string | undefined },
): Promise<Record<string, Feed>> {
  const made = new Set([...link.results, ...link.graph.named.values()]);
  const seeds = Object.fromEntries([...grads].filter(([id]) => made.has(id)));
  const inputs = link.graph.inputs.filter(({ id, dtype }) => dtype === "float32" && (id === input || isComputed(recorded, id)));
  const names = asked.filter((name) => name !== stop).flatMap((name) => link.graph.named.get(name) ?? []);
  const targets = [...inputs.map(({ id }) => id), ...names, ...[...link.graph.weights.keys()].filter(weights)];
  if (Object.keys(seeds).length === 0 || targets.length === 0) return Promise.resolve({});
  const known = new Map(namedIn(link, recorded.kept));
  return recorded.stage.runBackward(link, recorded.live, { seeds, targets, known });
}

/** Whether a link of the chain computes the value. */
function isComputed({ chain }: Recorded, id: string): boolean {
  return chain.some((link) => link.results.includes(id));
}

function addTo(grads: Map<string, Feed>, id: string, grad: Feed): void {
  const known = grads.get(id)?.data as Float32Array | undefined;
  if (!known) {
    grads.set(id, grad);
    return;
  }
  const total = known.slice();
  const more = grad.data as Float32Array;
  for (let i = 0; i < total.length; i++) total[i]! += more[i]!;
  grads.set(id, { data: total, dims: grad.dims });
}

/** The sizes of a value of a pass; its tokens may stand in one axis or in two. */
function dimsOf(value: Value | undefined, { pass: { rows, width }, lengthOf }: Pick<WayBack, "pass" | "lengthOf">): number[] {
  const own: Readonly<Record<string, number>> = { batch: rows.length, pos: width, query: width, key: width, token: rows.length * width };
  return must(value, "a value").axes.map((axis) => own[axis] ?? lengthOf(axis));
}
