/**
 * @file One graph of the model, run whole or as a chain of segments. A chain is cut where values are to be changed; the
 * changes are functions on typed arrays between the segments. Sessions are made when first needed, and kept as long as there is room.
 */
import { must } from "../base/errors.js";
import type { Graph } from "../graph/graph.js";
import { emitOnnx, type WeightLocation } from "../graph/emit.js";
import { forWebGpu } from "../graph/for-webgpu.js";
import { cutGraph, onlyFor, pruneGraph, type Segment } from "../graph/segments.js";
import { differentiate, seedName } from "../graph/vjp.js";
import type { Form } from "../models/block.js";
import { POINT_NAMES, type PointName } from "../models/points.js";
import type { Feed, Feeds, Held, Place, Resident, Session } from "./session.js";
import type { SessionPool } from "./session-pool.js";
import type { GraphHost } from "./graph-host.js";
import { packedWeights, sessionBytes } from "./weight-bytes.js";

/** A change of a named value: gets it, and gives back what takes its place (the same object after a change in place). */
export type Change = (value: Held) => Held;

export interface StageRun {
  readonly feeds: Feeds;
  /** Named values to return. */
  readonly wanted: readonly string[];
  readonly changes?: ReadonlyMap<string, Change>;
  /** Compute no other named values than those wanted, in sessions made for that. */
  readonly lean?: boolean;
  /** Arrays that values are to be written to, by name. */
  readonly into?: Readonly<Record<string, Place>>;
}

/** What a way back through a link starts from. */
export interface BackwardRun {
  /** Gradients by some of the link's results, by id. */
  readonly seeds: Readonly<Record<string, Feed>>;
  readonly targets: readonly string[];
  /** Values inside the link as it ran, by id: these need not be computed again. */
  readonly known?: ReadonlyMap<string, Feed>;
}

const NOTHING: ReadonlyMap<string, Feed> = new Map();

/** Values alive between the segments of a chain, by id. */
type Live = Map<string, Feed | Resident>;

export interface StageOptions {
  readonly pool: SessionPool;
  /** Whether the session of the whole graph is closed only when there is no other way. */
  readonly stays?: boolean;
}

export class Stage {
  readonly #graphOf: (form: Form) => Graph;
  readonly #host: GraphHost;
  readonly #pool: SessionPool;
  readonly #stays: boolean;
  /** The reading of the weights that is under way, for the session that will be made next. */
  #ahead: Promise<void> | undefined;
  readonly #chains = new Map<string, Chain>();
  readonly #backward = new Map<string, Backward>();
  readonly #pruned = new Map<string, Graph>();

  constructor(graphOf: (form: Form) => Graph, host: GraphHost, { pool, stays = false }: StageOptions) {
    this.#graphOf = graphOf;
    this.#host = host;
    this.#pool = pool;
    this.#stays = stays;
  }

  /** The named values asked for; those changed as they are after the change. */
  async run({ feeds, wanted, changes, lean = false, into = {} }: StageRun): Promise<Record<string, Held>> {
    const stops = inOrder(changes ? [...changes.keys()] : []);
    const chain = this.chain(
      stops.map((stop) => [stop]),
      lean ? { only: wanted } : {},
    );
    const live: Live = new Map(Object.entries(feeds));
    const results: Record<string, Held> = {};
    for (const [index, link] of chain.entries()) {
      await this.#runLink(link, { live, wanted, results, into });
      const stop = stops[index];
      const id = stop === undefined ? undefined : link.graph.named.get(stop);
      if (stop === undefined || id === undefined) continue;
      const changed = must(changes?.get(stop), `the change of ${stop}`)(live.get(id) as Held);
      live.set(id, changed);
      if (wanted.includes(stop)) results[stop] = changed;
    }
    releaseAll(live, results, feeds);
    return results;
  }

  /**
   * Named values, left on the device where that can be. They have a session of their own, since what is left must be the same at every run: of other
   * results than before ONNX Runtime's binding (1.30) says "Output count mismatch".
   */
  async runLeaving(feeds: Feeds, names: readonly string[]): Promise<Record<string, Held | Resident>> {
    const { graph, ids, key } = this.#leaving(names);
    const session = await this.#session({ graph, outputs: ids, key }, { leaves: true });
    const made = await must(session.runLeaving, "a session that leaves its results")(feedsOf(graph, new Map(Object.entries(feeds))), ids);
    return Object.fromEntries(names.map((name, i) => [name, must(made[must(ids[i], name)], name)] as const));
  }

  #leaving(names: readonly string[]): { graph: Graph; ids: readonly string[]; key: string } {
    const key = `leaving|${names.join(",")}`;
    const graph = this.#pruned.get(key) ?? pruneGraph(this.#graphOf(formFor([])), names);
    this.#pruned.set(key, graph);
    return { graph, ids: names.map((name) => must(graph.named.get(name), name)), key };
  }

  /** Makes the session of the whole graph, so that the first run does not wait for it. */
  async warm(): Promise<void> {
    await this.#session(this.#whole());
  }

  /**
   * Starts to read the weights, unless the session of the whole graph is open, so that the disk works while something else is computed. What
   * fails is told by the run that needs the weights.
   */
  readAhead(): void {
    const { key, graph } = this.#whole();
    if (this.#ahead || this.#pool.has(this, key)) return;
    this.#ahead = this.#host.readAhead?.(packedWeights(graph));
    this.#ahead?.catch(() => undefined);
  }

  /** Closes the sessions that the stage has open; the next run makes them anew. */
  async close(): Promise<void> {
    await this.#takeAhead().catch(() => undefined);
    await this.#pool.close(this);
  }

  #whole(): Link {
    return must(this.chain([])[0], "the whole graph");
  }

  async #takeAhead(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    await ahead;
  }

  /** The graph as a chain of links, cut at named values, in forward order; without stops, the whole graph as one link. */
  chain(stops: readonly (readonly string[])[], { only, flat = [], inside = [] }: ChainOptions = {}): Chain {
    const keys = stops.map((names) => names.join("+"));
    const form = formFor([...stops.flat(), ...inside]);
    const name = `${form.norms},${form.heads};${only ? `${only.join("+")}=${flat.join("+")}` : ""};${keys.join(",")}`;
    const known = this.#chains.get(name);
    if (known) return known;
    const whole = this.#graphOf(form);
    const graph = only ? pruneGraph(whole, [...stops.flat(), ...only]) : whole;
    const segments = cutGraph(graph, stops, [...graph.named.keys()]);
    const flatIds = new Set(flat.map((one) => must(graph.named.get(one), one)));
    const links = segments.map((segment, index): Link => {
      const handedOn = new Set(segments.slice(index + 1).flatMap((later) => later.graph.inputs.map(({ id }) => id)));
      for (const stop of stops[index] ?? []) handedOn.add(must(graph.named.get(stop), stop));
      const place = `${form.norms},${form.heads}|${keys.slice(0, index).join(",")}→${keys[index] ?? ""}`;
      if (!only) return { ...segment, results: segment.outputs, handedOn, views: new Map(), key: place };
      const views = viewsIn(segment, flatIds);
      const outputs = [...new Set(segment.outputs.map((id) => views.get(id) ?? id))].filter((id) => !isInput(segment, id));
      return { ...segment, outputs, results: segment.outputs, handedOn, views, key: `${place}|${outputs.join(",")}` };
    });
    this.#chains.set(name, links);
    return links;
  }

  /** Computes values of one link, by id, from those that are fed to it; `into` says where some are to be written. */
  async runLink(
    link: Link,
    live: ReadonlyMap<string, Feed | Resident>,
    { fetches, into }: { readonly fetches: readonly string[]; readonly into?: Readonly<Record<string, Place>> },
  ): Promise<Record<string, Held>> {
    if (fetches.length === 0) return {};
    return (await this.#session(link)).run(feedsOf(link.graph, live), fetches, into);
  }

  /**
   * The gradients of a number by values of one link (inputs, values inside, or weights, by id), from those by some of its results. What the
   * link is fed is fed again: its forward values are computed anew, but for those in `known`. Targets that no seed depends on are left out.
   */
  async runBackward(
    link: Link,
    live: ReadonlyMap<string, Feed | Resident>,
    { seeds, targets, known = NOTHING }: BackwardRun,
  ): Promise<Record<string, Feed>> {
    const key = `∂${link.key}|${Object.keys(seeds).join(",")}|${targets.join(",")}|${[...known.keys()].join(",")}`;
    const back = this.#backward.get(key) ?? backwardOf(link, { seeds: Object.keys(seeds), targets, known: new Set(known.keys()) }, key);
    this.#backward.set(key, back);
    const feeds: Record<string, Feed> = {};
    for (const [id, seed] of Object.entries(seeds)) feeds[seedName(id)] = seed;
    const needed = Object.fromEntries(
      back.link.graph.inputs.map(({ id }) => [id, must(feeds[id] ?? known.get(id) ?? live.get(id), `the value ${id}`)] as const),
    );
    const made = back.link.outputs.length > 0 ? await (await this.#session(back.link)).run(needed, back.link.outputs) : {};
    return Object.fromEntries([...back.gradients].map(([id, grad]) => [id, must(made[grad] ?? feeds[grad], `the gradient of ${id}`)]));
  }

  async #runLink(
    link: Link,
    run: Pick<Required<StageRun>, "wanted" | "into"> & { live: Live; results: Record<string, Held> },
  ): Promise<void> {
    const { live, wanted, results, into } = run;
    const wantedIds = new Map<string, string>();
    const places: Record<string, Place> = {};
    for (const name of wanted) {
      const id = link.graph.named.get(name);
      if (id === undefined) continue;
      wantedIds.set(id, name);
      if (into[name]) places[id] = into[name];
    }
    const fetches = link.results.filter((id) => link.handedOn.has(id) || wantedIds.has(id));
    for (const [id, value] of Object.entries(await this.runLink(link, live, { fetches, into: places }))) {
      live.set(id, value);
      const name = wantedIds.get(id);
      if (name !== undefined) results[name] = value;
    }
  }

  #session(link: Pick<Link, "graph" | "outputs" | "key">, options: Parameters<GraphHost["open"]>[2] = {}): Promise<Session> {
    const locate = (id: string): WeightLocation => this.#host.locate(must(link.graph.weights.get(id), `the weight ${id}`));
    const graph = this.#host.device === "webgpu" ? forWebGpu(link.graph, link.outputs) : link.graph;
    const make = async (): Promise<Session> => {
      await this.#takeAhead();
      return this.#host.open(emitOnnx(graph, link.outputs, locate), [...link.graph.weights.values()], options);
    };
    const stays = this.#stays && link.key === this.#whole().key;
    return this.#pool.open({ owner: this, key: link.key, bytes: sessionBytes(link.graph), stays, make });
  }
}

/** How a graph is computed, besides where it is cut. */
export interface ChainOptions {
  /** No named value is computed but the stops and these: each output of a graph is an array of its own to be filled. */
  readonly only?: readonly string[];
  /**
   * With `only`: names of values whose last axes nobody needs apart. They, and what is seen with the same axes, are had without a copy where
   * they are views of another value.
   */
  readonly flat?: readonly string[];
  /** Names of values that must be part of the computation, without a cut there. */
  readonly inside?: readonly string[];
}

/** One link of a chain. */
export interface Link extends Segment {
  /** Ids that later links need or somebody wants; `outputs` are those that are computed, the others being views. */
  readonly results: readonly string[];
  /** Results that are other values seen with other axes: the id of what they are a view of, another output or an input. */
  readonly views: ReadonlyMap<string, string>;
  /** Ids that later links read, and the stop itself. */
  readonly handedOn: ReadonlySet<string>;
  /** What the link's session is kept under: equal keys are equal graphs. */
  readonly key: string;
}

export type Chain = readonly Link[];

/** The gradient graph of a link, as a link of its own, and which of its values, or of its seeds, is whose gradient. */
interface Backward {
  readonly link: Pick<Link, "graph" | "outputs" | "key">;
  readonly gradients: ReadonlyMap<string, string>;
}

function backwardOf(
  { graph }: Link,
  { seeds, targets, known }: { seeds: readonly string[]; targets: readonly string[]; known: ReadonlySet<string> },
  key: string,
): Backward {
  const whole = differentiate(graph, { seeds, targets });
  const inputs = new Set(whole.graph.inputs.map(({ id }) => id));
  const outputs = [...new Set(whole.gradients.values())].filter((id) => !inputs.has(id));
  return { link: { graph: onlyFor(whole.graph, outputs, known), outputs, key }, gradients: whole.gradients };
}

function feedsOf({ inputs }: Graph, live: ReadonlyMap<string, Feed | Resident>): Feeds {
  return Object.fromEntries(inputs.map(({ id }) => [id, must(live.get(id), `the value ${id}`)] as const));
}

function isInput({ graph }: Segment, id: string): boolean {
  return graph.inputs.some((input) => input.id === id);
}

/** The results that are reshaped from another value of the segment and may be had as it is. */
function viewsIn({ graph, outputs }: Segment, flat: ReadonlySet<string>): Map<string, string> {
  const shaped = new Map(
    graph.nodes.flatMap(({ op, inputs, outputs: [out] }) => (op === "Reshape" && out ? [[out, inputs[0]!] as const] : [])),
  );
  const lastOf = (id: string): string | undefined => graph.values.get(id)?.axes.at(-1);
  const views = new Map<string, string>();
  for (const id of outputs) {
    let source = id;
    for (let next = shaped.get(source); next !== undefined && graph.values.has(next); next = shaped.get(source)) source = next;
    const isSame = lastOf(source) === lastOf(id) && (graph.values.get(id)?.axes.length ?? 0) <= 3;
    if (source !== id && (flat.has(id) || isSame)) views.set(id, source);
  }
  return views;
}

/** The form in which every stop is part of the computation. */
function formFor(stops: readonly string[]): Form {
  return {
    norms: stops.some((stop) => stop.endsWith("_scale")) ? "steps" : "fused",
    heads: stops.includes("head_out") ? "apart" : "fused",
    past: "fed",
  };
}

function inOrder(names: readonly string[]): string[] {
  const place = (name: string): number => POINT_NAMES.indexOf(name as PointName);
  return names.toSorted((a, b) => place(a) - place(b));
}

/** Gives back all values but the results and what the caller fed. */
function releaseAll(live: Live, results: Record<string, Held>, feeds: Feeds): void {
  const kept = new Set<unknown>([...Object.values(results), ...Object.values(feeds)]);
  for (const value of live.values()) if (!kept.has(value) && "release" in value) value.release();
}
