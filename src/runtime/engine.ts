/**
 * @file A model's graphs as stages, and one pass through them: embedding, a fold of the residual stream over the blocks, last
 * norm, logits. Reads are taken and edits applied on the way. Everything that runs a model goes through `runPass`.
 */
import { internal, must, SextantError } from "../base/errors.js";
import { heed } from "../base/interruption.js";
import { sizeOf, type TensorData } from "../base/tensor.js";
import { parseAddress, type Place } from "../models/address.js";
import { buildBlock, buildEmbedding, buildFinalNorm, buildHeadOut, buildUnembedding, STREAM } from "../models/block.js";
import { CACHE } from "../models/parts/attention.js";
import { pointRow, type PointName } from "../models/points.js";
import { axisSizes } from "../models/sizes.js";
import { buildPrefixAttention, type KeyKinds } from "../models/prefix-attention.js";
import type { ModelSpec } from "../models/spec.js";
import { vocabSlices } from "../models/vocab-slices.js";
import { applyEdit } from "./apply-edit.js";
import type { Collector } from "./collect.js";
import type { Device } from "./device.js";
import { putColumns, type LogitSlice } from "./logit-slices.js";
import { cachedFeeds, embeddingFeeds, overwrite, PassInputs, type Cache, type LayerCache, type Pass } from "./pass.js";
import type { PreparedEdit } from "./prepare-edits.js";
import type { GraphHost } from "./graph-host.js";
import type { Residence } from "./residence.js";
import type { Feed, Held, Resident } from "./session.js";
import { SessionPool } from "./session-pool.js";
import { Stage, type Change } from "./stage.js";

/** What a pass is to do. */
export interface Plan {
  readonly reads: readonly Place[];
  readonly edits: readonly PreparedEdit[];
  readonly collector: Collector;
  /** Keep keys and values for a pass that continues the rows. */
  readonly keepCache: boolean;
  /** First block to run, and the stream in front of it; default: from the embedding. */
  readonly from?: { readonly layer: number; readonly stream: Held };
  /** First block that is not run; default: all are. */
  readonly until?: number;
  /** A value to put in place of what is computed at an address. */
  readonly replace?: { readonly address: string; readonly data: TensorData } | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBlock?: ((done: number, total: number) => void) | undefined;
}

/** The residual stream behind the last block that was run, and the cache. */
export interface PassResult {
  readonly stream: Held;
  readonly cache: Cache | undefined;
}

/** The residual stream behind a block, where the device left it, and the block's keys and values. */
interface BlockResult {
  readonly stream: Held | Resident;
  readonly cache: LayerCache | undefined;
}

/** Named values of a block. */
type Values = Readonly<Record<string, Held | Resident>>;

/** One pass under way. */
interface Run {
  readonly pass: Pass;
  readonly plan: Plan;
  readonly inputs: PassInputs;
}

export interface EngineOptions {
  /** Most bytes of weights that open sessions may hold. */
  readonly weightLimit: number;
  /** What stays where not all weights fit. Default: everything does. */
  readonly residence?: Residence | undefined;
}

/** What blocks hand to blocks, in this pass and the next: it may stay on the device. */
const HANDED_ON = ["resid_post", CACHE.presentK, CACHE.presentV];

export class Engine {
  readonly spec: ModelSpec;
  readonly device: Device;
  /** Whether blocks may leave the stream and their keys and values on the device. */
  readonly leaves: boolean;
  readonly embedding: Stage;
  readonly blocks: readonly Stage[];
  readonly finalNorm: Stage | undefined;
  /** One slice, unless the unembedding is too large for the memory. */
  readonly unembedding: readonly LogitSlice[];
  readonly #residence: Residence | undefined;
  readonly #headOut: readonly Stage[];
  readonly #kept = new Map<string, Stage>();
  readonly #stage: (graphOf: ConstructorParameters<typeof Stage>[0]) => Stage;

  constructor(spec: ModelSpec, host: GraphHost, { weightLimit, residence }: EngineOptions) {
    const pool = new SessionPool(residence?.room ?? weightLimit, { isStrict: residence !== undefined });
    const stage = (graphOf: ConstructorParameters<typeof Stage>[0], stays = false): Stage =>
      new Stage(graphOf, host, { pool, stays: residence !== undefined && stays });
    const { blocks = spec.layers.length, slices = 1, keptSlices = slices } = residence ?? {};
    this.#stage = stage;
    this.#residence = residence;
    this.spec = spec;
    this.device = host.device ?? "cpu";
    // Of a streamed model the sessions come and go, and each block has one only.
    this.leaves = residence === undefined && host.leaves === true;
    this.embedding = stage(() => buildEmbedding(spec), true);
    this.blocks = spec.layers.map((_, layer) => stage((form) => buildBlock(spec, layer, form), layer < blocks));
    this.#headOut = spec.layers.map((_, layer) => stage(() => buildHeadOut(spec, layer)));
    this.finalNorm = spec.head.norm && stage((form) => must(buildFinalNorm(spec, form), "the last norm"), true);
    this.unembedding = vocabSlices(spec, slices).map(({ from, spec: part }, index) => ({
      stage: stage(() => buildUnembedding(part), index < keptSlices),
      from,
      count: part.vocabOut,
    }));
  }

  /** Every stage once; some hold no session yet. */
  stages(): Stage[] {
    const norm = this.finalNorm ? [this.finalNorm] : [];
    return [
      ...this.unembedding.map(({ stage }) => stage),
      ...this.blocks,
      ...norm,
      this.embedding,
      ...this.#headOut,
      ...this.#kept.values(),
    ];
  }

  /**
   * The stages whose sessions stay, to be made one after another, the unembedding's first: while a session is made its largest weight is in
   * memory twice, and that one is the largest of all. Where blocks leave values on the device, which session one needs is known when it runs.
   */
  staying(): Stage[] {
    const { blocks, keptSlices } = this.#residence ?? {};
    const slices = this.unembedding.slice(0, keptSlices).map(({ stage }) => stage);
    const early = this.leaves ? [] : this.blocks.slice(0, blocks);
    return [...slices, ...early, ...(this.finalNorm ? [this.finalNorm] : []), this.embedding];
  }

  /**
   * Starts to read the weights of a block, or behind the last one of the unembedding, where they do not stay in memory. `until`: the first
   * block that will not run.
   */
  readAhead(layer: number, until = this.blocks.length): void {
    if (!this.#residence || (layer >= until && until < this.blocks.length)) return;
    (this.blocks[layer] ?? this.unembedding[0]?.stage)?.readAhead();
  }

  /** Attention over variants of a row (`prefix-attention.ts`); one stage for all layers whose attention is alike. */
  prefixAttention(layer: number, kinds: KeyKinds): Stage {
    const { attention } = must(this.spec.layers[layer], `layer ${layer}`);
    const { heads, kvHeads, dHead, scale, softcap, alibi, sinks } = attention;
    const key = JSON.stringify([kinds, heads, kvHeads, dHead, scale, softcap, alibi, sinks]);
    return this.keptStage(key, () => buildPrefixAttention(attention, kinds));
  }

  /** A stage for a graph that only some analyses need, kept under a key of theirs. */
  keptStage(key: string, graphOf: ConstructorParameters<typeof Stage>[0]): Stage {
    const made = this.#kept.get(key) ?? this.#stage(graphOf);
    this.#kept.set(key, made);
    return made;
  }

  /** One pass from the embedding, or from `plan.from`, through the blocks. */
  async runPass(pass: Pass, plan: Plan): Promise<PassResult> {
    const until = plan.until ?? this.spec.layers.length;
    const inputs = new PassInputs(this.spec, pass);
    const caches: LayerCache[] = [];
    const first = plan.from?.layer ?? 0;
    this.readAhead(first, until);
    let stream: Held | Resident = plan.from?.stream ?? (await this.#embed(pass, plan));
    for (let layer = first; layer < until; layer++) {
      throwIfAborted(plan.signal);
      this.readAhead(layer + 1, until);
      const done: BlockResult = await this.#runBlock(layer, stream, { pass, plan, inputs });
      stream = done.stream;
      if (done.cache) caches.push(done.cache);
      plan.onBlock?.(layer + 1 - first, until - first);
    }
    return { stream: await brought(stream), cache: plan.keepCache ? { layers: caches, positions: pass.keyPositions } : undefined };
  }

  async #embed(pass: Pass, plan: Plan): Promise<Held> {
    const at = layerOf(undefined);
    const wanted = [
      ...plan.reads
        .filter(at)
        .filter(({ point }) => isEmbedding(point))
        .map(({ point }) => point),
      STREAM.embedded,
    ];
    const changes = this.#changes(plan, (place) => at(place) && isEmbedding(place.point), pass);
    const made = await this.embedding.run({ feeds: usedFeeds(this.spec, embeddingFeeds(pass)), wanted, changes });
    for (const place of plan.reads) if (isEmbedding(place.point)) this.#take(place, pass, made[place.point], plan);
    return must(made[STREAM.embedded], "the embedded stream");
  }

  /** One block: reads and edits of its layer, the stream behind it, its keys and values. */
  async #runBlock(layer: number, before: Held | Resident, run: Run): Promise<BlockResult> {
    const { pass, plan, inputs } = run;
    const isHere = layerOf(layer);
    const reads = plan.reads.filter(isHere);
    const edits = plan.edits.filter(({ place }) => isHere(place) && place.point === "resid_post");
    const stream = await this.#enter(layer, before, run);
    const feeds = { ...inputs.of(layer), ...cachedFeeds(pass, layer), [STREAM.in]: blockStream(stream, pass, this.spec.dModel) };
    const changes = this.#changes(plan, (place) => isHere(place) && !isBetweenBlocks(place), pass);
    const stage = must(this.blocks[layer], `block ${layer}`);
    const stays = this.leaves && changes.size === 0 && reads.every(isBetweenBlocks);
    const made: Values = stays
      ? await stage.runLeaving(feeds, HANDED_ON)
      : await stage.run({ feeds, wanted: wantedOf(reads, changes, plan.keepCache), changes });
    const left = must(made["resid_post"], "resid_post");
    const after = edits.length > 0 || reads.some(({ point }) => point === "resid_post") ? await brought(left) : left;
    for (const edit of edits) this.#apply(edit, hereOnly(after).data, pass);
    await this.#takeInside(layer, reads, { made: { ...made, resid_post: after }, run });
    if (!isTaken(plan, layer - 1)) before.release();
    return { stream: after, cache: cacheOf(made, plan) };
  }

  /** The stream with the edits in front of a block, read as `resid_pre`; a copy where edited, since others may have read it. */
  async #enter(layer: number, before: Held | Resident, { pass, plan }: Run): Promise<Held | Resident> {
    const isHere = (place: Place): boolean => place.point === "resid_pre" && place.layer === layer;
    const edits = plan.edits.filter(({ place }) => isHere(place));
    const reads = plan.reads.filter(isHere);
    if (edits.length + reads.length === 0) return before;
    const here = await brought(before);
    const stream = edits.length === 0 ? here : copyOf(here);
    for (const edit of edits) this.#apply(edit, stream.data, pass);
    for (const place of reads) plan.collector.take(place.address, pass, stream.data.slice());
    return stream;
  }

  /** Hands a block's values to the collector. */
  async #takeInside(layer: number, reads: readonly Place[], { made, run }: { made: Values; run: Run }): Promise<void> {
    for (const place of reads) {
      if (place.point === "resid_pre") continue;
      const isDerived = place.point === "head_out" && !made["head_out"];
      const value = isDerived ? await this.#headTerms(layer, must(made["z"], "z")) : made[place.point];
      this.#take(place, run.pass, value, run.plan);
    }
    if (made["z"] && !reads.some(({ point }) => point === "z")) made["z"].release();
  }

  /** Rows of the stream through the last norm, with reads and edits when they are all rows of a pass. */
  async normalise(rows: Held, run?: { pass: Pass; plan: Plan }): Promise<Held> {
    if (!this.finalNorm) return rows;
    const isFinal = ({ point }: Place): boolean => point === "final_normalized" || point === "final_scale";
    const reads = run ? run.plan.reads.filter(isFinal) : [];
    const wanted = [...new Set([...reads.map(({ point }) => point as string), "final_normalized"])];
    const changes = run && this.#changes(run.plan, isFinal, run.pass);
    const made = await this.finalNorm.run({ feeds: { [STREAM.in]: rows }, wanted, ...(changes && { changes }) });
    for (const place of reads) this.#take(place, must(run, "a pass").pass, made[place.point], must(run, "a pass").plan);
    return must(made["final_normalized"], "final_normalized");
  }

  /** Logits of normalised rows: token, vocab. */
  async unembed(rows: Held): Promise<Held> {
    const [only, ...others] = this.unembedding;
    if (only && others.length === 0) return logitsFrom(only.stage, rows);
    const dims = [rows.dims[0] ?? 0, this.spec.vocabOut];
    const all = new Float32Array(sizeOf(dims));
    for (const [index, slice] of this.unembedding.entries()) {
      this.unembedding[index + 1]?.stage.readAhead();
      const made = await logitsFrom(slice.stage, rows);
      putColumns(all, this.spec.vocabOut, made.data as Float32Array, slice);
      made.release();
    }
    return ownValue(all, dims);
  }

  async close(): Promise<void> {
    await Promise.all(this.stages().map((stage) => stage.close()));
  }

  /** The changes that the plan makes at the places of one graph: values put in, then edits in their order. */
  #changes(plan: Plan, isHere: (place: Place) => boolean, pass: Pass): Map<string, Change> {
    const steps = new Map<string, ((data: TensorData) => void)[]>();
    const step = (point: string, work: (data: TensorData) => void): unknown => steps.set(point, [...(steps.get(point) ?? []), work]);
    const { replace } = plan;
    if (replace) {
      const place = parseAddress(this.spec, replace.address);
      const isEdges = pointRow(place.point).axes.includes("key");
      if (isHere(place)) step(place.point, (data) => overwrite(data, replace.data, pass, isEdges));
    }
    for (const edit of plan.edits) if (isHere(edit.place)) step(edit.place.point, (data) => this.#apply(edit, data, pass));
    const run = (works: readonly ((data: TensorData) => void)[]): Change => {
      return (value) => {
        for (const work of works) work(value.data);
        return value;
      };
    };
    return new Map([...steps].map(([point, works]) => [point, run(works)]));
  }

  #apply(edit: PreparedEdit, data: TensorData, pass: Pass): void {
    applyEdit(edit, data, pass, axisSizes(this.spec, edit.place));
  }

  async #headTerms(layer: number, z: Feed | Resident): Promise<Held> {
    const made = await must(this.#headOut[layer], `block ${layer}`).run({ feeds: { z }, wanted: ["head_out"] });
    return must(made["head_out"], "head_out");
  }

  #take(place: Place, pass: Pass, value: Held | Resident | undefined, plan: Plan): void {
    plan.collector.take(place.address, pass, hereOnly(must(value, place.address)).data);
  }
}

async function logitsFrom(stage: Stage, rows: Held): Promise<Held> {
  const made = await stage.run({ feeds: { [STREAM.in]: rows }, wanted: ["logits"] });
  return must(made["logits"], "logits");
}

/** A copy that the caller owns. */
export function copyOf({ data, dims }: Held): Held {
  return { data: data.slice(), dims, release: () => undefined };
}

/** A value that needs no release. */
export function ownValue(data: TensorData, dims: readonly number[]): Held {
  if (sizeOf(dims) !== data.length)
    throw new SextantError("internal", `internal: ${data.length} elements do not fill [${dims.join(", ")}]`);
  return { data, dims, release: () => undefined };
}

/** Throws when the caller aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  heed(signal, "the run");
}

function layerOf(layer: number | undefined): (place: Place) => boolean {
  return (place) => place.layer === layer;
}

function isBetweenBlocks({ point }: Place): boolean {
  return point === "resid_pre" || point === "resid_post";
}

function isEmbedding(point: PointName): boolean {
  return point === "embed" || point === "pos_embed";
}

function usedFeeds(spec: ModelSpec, feeds: Record<"tokens" | "positions", Feed>): Record<string, Feed> {
  return spec.embedding.positions ? feeds : { tokens: feeds.tokens };
}

function wantedOf(reads: readonly Place[], changes: ReadonlyMap<string, Change>, keepCache: boolean): string[] {
  const wanted = new Set<string>(reads.map(({ point }) => point));
  wanted.delete("resid_pre");
  if (wanted.has("head_out") && !changes.has("head_out")) {
    wanted.delete("head_out");
    wanted.add("z");
  }
  if (keepCache) wanted.add(CACHE.presentK).add(CACHE.presentV);
  return [...wanted.add("resid_post")];
}

/** The stream as a block takes it: batch, pos, d_model. */
function blockStream(stream: Held | Resident, pass: Pass, dModel: number): Feed | Resident {
  return { ...stream, dims: [pass.rows.length, pass.width, dModel] };
}

/** The value with its elements here; taken from the device where it was left there. */
async function brought(value: Held | Resident): Promise<Held> {
  return "data" in value ? value : value.bring();
}

/** A value that nothing left on the device. */
function hereOnly(value: Held | Resident): Held {
  if ("data" in value) return value;
  throw internal("a value was left on the device that is wanted here");
}

/** A block's keys and values where the plan keeps them; given back where not. */
function cacheOf(made: Values, { keepCache }: Plan): LayerCache | undefined {
  const [k, v] = [made[CACHE.presentK], made[CACHE.presentV]];
  if (keepCache) return { k: must(k, "keys"), v: must(v, "values") };
  k?.release();
  v?.release();
  return undefined;
}

/** Whether the stream behind a block was handed to the caller. */
function isTaken({ reads }: Plan, layer: number): boolean {
  return reads.some((place) => place.point === "resid_post" && place.layer === layer);
}
