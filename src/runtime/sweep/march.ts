/**
 * @file One march through the blocks with all variants of a part of a sweep at once. A patch at layer L and position p changes only
 * layers from L on and positions from p on, so a variant joins the batch at the very point where it is edited, with the rows that
 * differ there and no others, and takes everything else from its base, which marches along. At the last block only the measured
 * position goes on behind attention. What a full run of every variant would compute again is never computed.
 */
import { must } from "../../base/errors.js";
import type { TensorData } from "../../base/tensor.js";
import type { Place } from "../../models/address.js";
import { STREAM } from "../../models/block.js";
import { POINT_NAMES, type PointName } from "../../models/points.js";
import { axisSizes } from "../../models/sizes.js";
import { throwIfAborted, type Engine } from "../engine.js";
import { outputFlops, projectionFlops } from "../forecast.js";
import type { Chain, Link, Stage } from "../stage.js";
import { attend } from "./attend.js";
import { Batch } from "./batch.js";
import { Carried } from "./carried.js";
import { changeRows } from "./change-rows.js";
import { anchoredRows, embedRows } from "./embed-rows.js";
import { feedRotary } from "./feed-rotary.js";
import type { Reader } from "./reader.js";
import { regroup, union, type Rows } from "./rows.js";
import { Scratch } from "./scratch.js";
import type { Schedule } from "./variants.js";

/** What a march needs to know. */
export interface MarchPlan {
  readonly engine: Engine;
  readonly schedule: Schedule;
  /** First block that is not run. */
  readonly until: number;
  /** Whether only the logits of the measured position matter. */
  readonly measuredOnly: boolean;
  readonly reader: Reader;
  /** The stream of base and source rows in front of a block, where an earlier march left it. */
  readonly from?: { readonly layer: number; readonly stream: Float32Array } | undefined;
  /** Layers in front of which the stream of base and source rows is to be kept. */
  readonly keepAt?: ReadonlySet<number>;
  readonly signal?: AbortSignal | undefined;
  readonly onLayer?: () => void;
}

/** Name of the stream among a batch's values. */
const RESID = STREAM.in;
const EDGES: readonly PointName[] = ["attn_scores", "pattern"];
const isBefore = ({ point }: Place, than: PointName): boolean => POINT_NAMES.indexOf(point) < POINT_NAMES.indexOf(than);

export class March {
  readonly #plan: MarchPlan;
  readonly #carried: Carried;
  /** Streams of base and source rows that were to be kept, by layer. */
  readonly kept = new Map<number, Float32Array>();
  readonly #scratch = new Scratch();
  /** Multiply-adds × 2 so far. */
  flops = 0;

  constructor(plan: MarchPlan) {
    this.#plan = plan;
    this.#carried = new Carried({ ...plan, spec: plan.engine.spec });
  }

  /** The rows behind the last block that is run; their stream is the value `resid`. */
  async run(): Promise<Batch> {
    const { engine, from, until, signal, onLayer } = this.#plan;
    let batch = from ? this.#resumed(from.stream) : await embedRows({ ...this.#plan, scratch: this.#scratch });
    for (let layer = from?.layer ?? 0; layer < until; layer++) {
      throwIfAborted(signal);
      engine.readAhead(layer + 1, until);
      batch = await this.#block(layer, batch);
      onLayer?.();
    }
    this.#carried.settle(batch, until);
    return batch;
  }

  #resumed(stream: Float32Array): Batch {
    const { schedule, engine } = this.#plan;
    const rows = anchoredRows(schedule, () => new Int32Array(0));
    const batch = new Batch(rows, this.#scratch);
    batch.put(RESID, stream.slice(), { tail: [engine.spec.dModel] });
    return batch;
  }

  /** One block: the batch in front of it becomes the batch behind it. */
  async #block(layer: number, batch: Batch): Promise<Batch> {
    const { engine, schedule, reader, keepAt } = this.#plan;
    const spec = must(engine.spec.layers[layer], `layer ${layer}`);
    if (keepAt?.has(layer)) this.#keep(layer, batch);
    this.#carried.settle(batch, layer);
    this.#edit(batch, this.#place("resid_pre", layer), RESID);
    const places = schedule
      .placesIn(layer)
      .filter((place) => !isStream(place) && schedule.at(place.address).some((i) => !this.#carried.has(i)));
    const inFront = inOrder(places.filter((place) => isBefore(place, "attn_scores")));
    const behind = inOrder(places.filter((place) => !isBefore(place, "head_out")));
    const stage = must(engine.blocks[layer], `block ${layer}`);
    const stops = [...inFront.map(({ point }) => [point]), ["rot_q", "rot_k", "v"], ["z"], ...behind.map(({ point }) => [point])];
    const chain =
      reader.placesIn(layer).length > 0 ? stage.chain(stops) : stage.chain(stops, { only: ["resid_post"], flat: flatFor(inFront) });
    const step: Step = { layer, batch, stage, chain };
    feedRotary(batch, layer, { spec: engine.spec, schedule });
    this.flops += batch.rows.count * projectionFlops(spec.attention);
    for (const [index, place] of inFront.entries()) await this.#link(step, index, place);
    await this.#link(step, inFront.length, undefined);
    await this.#attend(step, { at: inFront.length + 1, places: places.filter(({ point }) => EDGES.includes(point)) });
    this.flops += batch.rows.count * outputFlops(spec);
    for (const [i, place] of behind.entries()) await this.#link(step, inFront.length + 2 + i, place);
    await this.#link(step, chain.length - 1, undefined);
    const after = new Batch(batch.rows, this.#scratch);
    batch.move(idOf(chain, "resid_post"), after, RESID);
    batch.keepOnly(new Set());
    const post = this.#place("resid_post", layer);
    this.#edit(after, post, RESID, this.#isNarrow(layer));
    if (reader.wants(post)) reader.takeRows(post, after.rows, after.data(RESID));
    return after;
  }

  /** Runs a link, then lets variants join, edits, and reads what it computed. */
  async #link({ batch, stage, chain, layer }: Step, index: number, place: Place | undefined): Promise<void> {
    const { reader } = this.#plan;
    const link = must(chain[index], `link ${index}`);
    const read = reader.placesIn(layer).filter(({ point }) => link.graph.named.has(point) && point !== "resid_post" && point !== "z");
    const readIds = new Set(read.map(({ point }) => link.graph.named.get(point)));
    const last = chain.length - 1;
    const isResult = (id: string): boolean => index === last && id === idOf(chain, "resid_post");
    const fetches = link.results.filter((id) => link.handedOn.has(id) || readIds.has(id) || isResult(id));
    const later = new Set(chain.slice(index + 1).flatMap((next) => next.graph.inputs.map(({ id }) => id)));
    await batch.run(stage, link, { fetches, later });
    if (place) this.#edit(batch, place, idOf(chain, place.point), this.#isNarrow(layer) && !isBefore(place, "z"));
    for (const one of read) reader.takeRows(one, batch.rows, batch.data(idOf(chain, one.point)));
    if (index === last) later.add(idOf(chain, "resid_post"));
    batch.keepOnly(later);
  }

  /** Attention, and what joins at its output. `at`: the link that it takes the place of. */
  async #attend(step: Step, { at, places }: { at: number; places: readonly Place[] }): Promise<void> {
    const { batch, chain, layer } = step;
    const { engine, schedule, reader } = this.#plan;
    const { attention } = must(engine.spec.layers[layer], `layer ${layer}`);
    const before = batch.rows;
    const isFrozen = (variant: number): boolean => this.#skipsAttention(variant, layer);
    const next = regroup(before, (variant) => this.#queries(variant, { layer, before, places }), schedule.baseOf);
    const [k, v] = [batch.data(idOf(chain, "rot_k")), batch.data(idOf(chain, "v"))];
    const needed = new Set(chain.slice(at + 1).flatMap(({ graph }) => graph.inputs.map(({ id }) => id)));
    const queries = new Batch(before, this.#scratch);
    const rotQ = batch.data(idOf(chain, "rot_q"));
    queries.put("q", rotQ, { tail: [attention.heads, attention.dHead] });
    queries.follow(next);
    const readEdges = reader.placesIn(layer).filter(({ point }) => EDGES.includes(point));
    const { z, flops } = await attend({
      attention,
      before,
      after: next.rows,
      q: queries.data("q"),
      k,
      v,
      scratch: this.#scratch,
      schedule,
      places,
      takesEdges: places.some(({ address }) => schedule.takes(address)),
      isFrozen,
      stageFor: (kinds) => engine.prefixAttention(layer, kinds),
      onEdges:
        readEdges.length === 0
          ? undefined
          : (variant, edges, values) => {
              for (const place of readEdges)
                reader.takeEdges(place, variant, { ...edges, data: must(values.get(place.point), place.address) });
            },
    });
    this.flops += flops;
    queries.keepOnly(new Set());
    batch.keepOnly(needed);
    batch.follow(next);
    const zId = idOf(chain, "z");
    batch.put(zId, z, { tail: [attention.heads, attention.dHead], isOwn: true });
    const place = this.#place("z", layer);
    this.#edit(batch, place, zId, this.#isNarrow(layer));
    if (reader.wants(place)) reader.takeRows(place, batch.rows, batch.data(zId));
  }

  /** The positions that a variant has behind attention: all that see one that differs, and those whose edges are edited. */
  #queries(variant: number, at: { layer: number; before: Rows; places: readonly Place[] }): Int32Array {
    const { layer, before, places } = at;
    const { schedule } = this.#plan;
    const own = before.of(variant);
    if (!schedule.variant(variant).cell) return own;
    const { attention } = must(this.#plan.engine.spec.layers[layer], `layer ${layer}`);
    const end = schedule.measuredAt(variant) + 1;
    const edited = places.flatMap(({ address }) => schedule.joining(variant, address));
    const all = this.#skipsAttention(variant, layer) ? own : union(seeing(own, end, attention.window), edited);
    return this.#isNarrow(layer) ? all.filter((position) => position === end - 1) : all;
  }

  /** Whether a variant's attention is left out: its output is held at the base's, and nobody reads what leads to it. */
  #skipsAttention(variant: number, layer: number): boolean {
    return this.#plan.schedule.variant(variant).frozen?.attention.has(layer) === true && this.#plan.reader.placesIn(layer).length === 0;
  }

  /** Whether behind attention of a layer only the measured position is needed. */
  #isNarrow(layer: number): boolean {
    return this.#plan.measuredOnly && layer === this.#plan.engine.spec.layers.length - 1;
  }

  /** Lets variants join at a place, applies their edits there, and reads it where it is the stream in front of a block. */
  #edit(batch: Batch, place: Place, id: string, isNarrow = false): void {
    const { schedule, reader } = this.#plan;
    const isEdited = schedule.at(place.address).length > 0;
    if (isEdited) {
      const joining = (variant: number): Int32Array => {
        const fresh = schedule.joining(variant, place.address);
        const end = schedule.measuredAt(variant);
        return union(batch.rows.of(variant), isNarrow ? fresh.filter((position) => position === end) : fresh);
      };
      // What is carried past the block is held there, whatever its edits are.
      const joins = new Set(schedule.at(place.address).filter((variant) => !this.#carried.has(variant)));
      batch.follow(regroup(batch.rows, (variant) => (joins.has(variant) ? joining(variant) : batch.rows.of(variant)), schedule.baseOf));
      this.#change(batch, place, batch.data(id));
    }
    if (place.point === "resid_pre" && reader.wants(place)) reader.takeRows(place, batch.rows, batch.data(id));
  }

  #change(batch: Batch, place: Place, data: TensorData): void {
    changeRows(data, place, { rows: batch.rows, schedule: this.#plan.schedule, sizes: axisSizes(this.#plan.engine.spec, place) });
  }

  #place(point: "resid_pre" | "resid_post" | "z", layer: number): Place {
    return { address: `${point}.${layer}`, point, layer };
  }

  #keep(layer: number, batch: Batch): void {
    const anchors = regroup(
      batch.rows,
      (variant) => (this.#plan.schedule.variant(variant).cell ? new Int32Array(0) : batch.rows.of(variant)),
      this.#plan.schedule.baseOf,
    );
    const copy = new Batch(batch.rows, this.#scratch);
    copy.put(RESID, batch.data(RESID), { tail: [this.#plan.engine.spec.dModel] });
    copy.follow(anchors);
    this.kept.set(layer, (copy.data(RESID) as Float32Array).slice());
    copy.keepOnly(new Set());
  }
}

/** A block under way. */
interface Step {
  readonly layer: number;
  readonly batch: Batch;
  readonly stage: Stage;
  readonly chain: Chain;
}

/** What only attention reads, which is told of heads by itself: its inputs, but for such as are edited, and read by the next link. */
function flatFor(inFront: readonly Place[]): string[] {
  return inFront.length > 0 ? [] : ["rot_q", "rot_k", "v"];
}

/** The positions, before `end`, that see one of those given, within the window. */
function seeing(given: Int32Array, end: number, window = Infinity): Int32Array {
  const seen: number[] = [];
  let [i, newest] = [0, -Infinity];
  for (let position = 0; position < end; position++) {
    while (i < given.length && given[i]! <= position) newest = given[i++]!;
    if (newest > position - window) seen.push(position);
  }
  return Int32Array.from(seen);
}

function isStream({ point }: Place): boolean {
  return point === "resid_pre" || point === "resid_post";
}

function inOrder(places: readonly Place[]): Place[] {
  return places.toSorted((a, b) => POINT_NAMES.indexOf(a.point) - POINT_NAMES.indexOf(b.point));
}

/** The id of a named value of the chain's graph. */
function idOf(chain: Chain, name: string): string {
  const link = chain.find(({ graph }: Link) => graph.named.has(name));
  return must(link?.graph.named.get(name), name);
}
