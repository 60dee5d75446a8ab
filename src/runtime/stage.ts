/**
 * @file One graph of the model, run whole or as a chain of segments. A chain is cut where values are to be changed; the
 * changes are functions on typed arrays between the segments. Sessions are made when first needed and kept.
 */
import { must } from "../base/errors.js";
import type { Graph } from "../graph/graph.js";
import { emitOnnx, type WeightLocation } from "../graph/emit.js";
import { cutGraph, type Segment } from "../graph/segments.js";
import type { Form } from "../models/block.js";
import { POINT_NAMES, type PointName } from "../models/points.js";
import { openSession, type Feed, type Held, type Session, type SessionOptions } from "./session.js";
import type { WeightFiles } from "./weight-files.js";

/** A change of a named value: gets it, and gives back what takes its place (the same object after a change in place). */
export type Change = (value: Held) => Held;

export interface StageRun {
  readonly feeds: Readonly<Record<string, Feed>>;
  /** Named values to return. */
  readonly wanted: readonly string[];
  readonly changes?: ReadonlyMap<string, Change>;
}

/** Values alive between the segments of a chain, by id. */
type Live = Map<string, Feed>;

export class Stage {
  readonly #graphOf: (form: Form) => Graph;
  readonly #files: WeightFiles;
  readonly #options: SessionOptions;
  readonly #chains = new Map<string, Chain>();
  readonly #sessions = new Map<string, Promise<OpenSegment>>();

  constructor(graphOf: (form: Form) => Graph, files: WeightFiles, options: { threads?: number }) {
    this.#graphOf = graphOf;
    this.#files = files;
    this.#options = { folder: files.folder, ...options };
  }

  /** The named values asked for; those changed as they are after the change. */
  async run({ feeds, wanted, changes }: StageRun): Promise<Record<string, Held>> {
    const stops = inOrder(changes ? [...changes.keys()] : []);
    const chain = this.#chain(stops);
    const live: Live = new Map(Object.entries(feeds));
    const results: Record<string, Held> = {};
    for (const [index, link] of chain.entries()) {
      await this.#runLink(chain, index, { live, wanted, results });
      const stop = stops[index];
      if (stop === undefined || link.stopId === undefined) continue;
      const changed = must(changes?.get(stop), `the change of ${stop}`)(live.get(link.stopId) as Held);
      live.set(link.stopId, changed);
      if (wanted.includes(stop)) results[stop] = changed;
    }
    releaseAll(live, results, feeds);
    return results;
  }

  /** Makes the session of the whole graph, so that the first run does not wait for it. */
  async warm(): Promise<void> {
    await this.#open(must(this.#chain([])[0], "the whole graph"));
  }

  async close(): Promise<void> {
    const open = await Promise.all(this.#sessions.values());
    this.#sessions.clear();
    await Promise.all(open.map(({ session }) => session.close()));
  }

  async #runLink(
    chain: Chain,
    index: number,
    run: { live: Live; wanted: readonly string[]; results: Record<string, Held> },
  ): Promise<void> {
    const { live, wanted, results } = run;
    const link = must(chain[index], `segment ${index}`);
    const wantedIds = new Map<string, string>();
    for (const name of wanted) {
      const id = link.graph.named.get(name);
      if (id !== undefined) wantedIds.set(id, name);
    }
    const fetches = link.outputs.filter((id) => link.handedOn.has(id) || wantedIds.has(id));
    if (fetches.length === 0) return;
    const feeds: Record<string, Feed> = {};
    for (const { id } of link.graph.inputs) feeds[id] = must(live.get(id), `the value ${id}`);
    const { session } = await this.#open(link);
    const made = await session.run(feeds, fetches);
    for (const [id, value] of Object.entries(made)) {
      live.set(id, value);
      const name = wantedIds.get(id);
      if (name !== undefined) results[name] = value;
    }
  }

  #open(link: Link): Promise<OpenSegment> {
    const known = this.#sessions.get(link.key);
    if (known) return known;
    const locate = (id: string): WeightLocation => this.#files.locate(must(link.graph.weights.get(id), `the weight ${id}`));
    const opening = openSession(emitOnnx(link.graph, link.outputs, locate), this.#options).then((session) => ({ session }));
    this.#sessions.set(link.key, opening);
    opening.catch(() => this.#sessions.delete(link.key));
    return opening;
  }

  /** The chain cut at the stops; without any, the whole graph as one link. */
  #chain(stops: readonly string[]): Chain {
    const key = stops.join(",");
    const known = this.#chains.get(key);
    if (known) return known;
    const form = formFor(stops);
    const graph = this.#graphOf(form);
    const segments = cutGraph(
      graph,
      stops.map((stop) => [stop]),
      [...graph.named.keys()],
    );
    const links = segments.map((segment, index): Link => {
      const handedOn = new Set(segments.slice(index + 1).flatMap((later) => later.graph.inputs.map(({ id }) => id)));
      const stopId = graph.named.get(stops[index] ?? "");
      if (stopId !== undefined) handedOn.add(stopId);
      return { ...segment, handedOn, stopId, key: `${form.norms},${form.heads}|${stops.slice(0, index).join(",")}→${stops[index] ?? ""}` };
    });
    this.#chains.set(key, links);
    return links;
  }
}

interface OpenSegment {
  readonly session: Session;
}

interface Link extends Segment {
  /** Ids that later links read, and the stop itself. */
  readonly handedOn: ReadonlySet<string>;
  readonly stopId: string | undefined;
  /** What the link's session is kept under: equal keys are equal graphs. */
  readonly key: string;
}

type Chain = readonly Link[];

/** The form in which every stop is part of the computation. */
function formFor(stops: readonly string[]): Form {
  return {
    norms: stops.some((stop) => stop.endsWith("_scale")) ? "steps" : "fused",
    heads: stops.includes("head_out") ? "apart" : "fused",
  };
}

function inOrder(names: readonly string[]): string[] {
  const place = (name: string): number => POINT_NAMES.indexOf(name as PointName);
  return names.toSorted((a, b) => place(a) - place(b));
}

/** Gives back all values but the results and what the caller fed. */
function releaseAll(live: Live, results: Record<string, Held>, feeds: Readonly<Record<string, Feed>>): void {
  const kept = new Set<unknown>([...Object.values(results), ...Object.values(feeds)]);
  for (const value of live.values()) if (!kept.has(value) && "release" in value) value.release();
}
