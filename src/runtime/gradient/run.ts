/**
 * @file Gradients of a metric: one pass forward, that keeps the stream in front of each block and some values inside, and one back, block by block. Edits made on
 * the way forward are passed on the way back.
 */
import { must } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { stageOf, type Place } from "../../models/address.js";
import { STREAM } from "../../models/block.js";
import { pointRow, type PointName } from "../../models/points.js";
import { axisLength, axisSizes } from "../../models/sizes.js";
import { Collector } from "../collect.js";
import { explainNonFinite, isFinite32 } from "../diagnose.js";
import { throwIfAborted } from "../engine.js";
import type { Runner } from "../forward.js";
import type { RunOptions } from "../model.js";
import { embeddingFeeds, PassInputs } from "../pass.js";
import type { PreparedEdit } from "../prepare-edits.js";
import type { Feed } from "../session.js";
import type { Stage } from "../stage.js";
import { forEachHead, sumOfHeads, withoutHeadTerms } from "./head-terms.js";
import { keptPoints } from "./kept.js";
import { ParameterSums } from "./parameters.js";
import { placesOf, readyRequest, type Ready } from "./ready.js";
import type { GradientRequest, GradientResult } from "./request.js";
import { goBack, makeEdits, record, undoEdits, type Gradients, type MadeEdit, type Recorded } from "./tape.js";
import { throughUnembedding } from "./unembedding.js";

/** The gradients that a request asks for. */
export async function gradient(runner: Runner, request: GradientRequest, options: RunOptions = {}): Promise<Omit<GradientResult, "cost">> {
  return new GradientRun(runner, request, options).run();
}

/** One run: what it has kept on the way forward, and what it has found on the way back. */
class GradientRun {
  readonly #runner: Runner;
  readonly #ready: Ready;
  readonly #options: RunOptions;
  readonly #collector: Collector;
  readonly #parameters: ParameterSums;
  readonly #values: Float64Array;
  readonly #found = new Map<string, Float32Array>();
  /** Edits between blocks, by address. */
  readonly #between = new Map<string, readonly MadeEdit[]>();
  readonly #recorded = new Map<number, Recorded>();
  readonly #inputs: PassInputs;
  readonly #sizesAt: (edit: PreparedEdit) => ReturnType<typeof axisSizes>;

  constructor(runner: Runner, request: GradientRequest, options: RunOptions) {
    this.#runner = runner;
    this.#ready = readyRequest(runner.spec, request);
    this.#options = options;
    this.#collector = new Collector(runner.spec, this.#ready.reads);
    this.#parameters = new ParameterSums(runner.spec, runner.checkpoint, request.parameters);
    this.#values = new Float64Array(request.tokens.length);
    this.#inputs = new PassInputs(runner.spec, this.#ready.pass);
    this.#sizesAt = (edit) => axisSizes(runner.spec, edit.place);
  }

  async run(): Promise<Omit<GradientResult, "cost">> {
    const { spec } = this.#runner;
    const { lengths, reads, metric } = this.#ready;
    const until = this.#until();
    const embedded = await this.#embed();
    let stream = embedded.stream;
    for (let layer = 0; layer < until; layer++) stream = await this.#forward(layer, stream);
    let grad = until === spec.layers.length && this.#needsEnd() ? await this.#end(stream) : undefined;
    const lowest = this.#lowest();
    for (let layer = until - 1; layer >= Math.max(lowest, 0); layer--) grad = await this.#back(layer, grad, layer > lowest);
    if (lowest < 0) await this.#backToEmbedding(embedded.recorded, grad);
    return {
      values: metric.kind === "seeds" ? [] : [...this.#values],
      gradients: this.#results(),
      activations: reads.length > 0 ? this.#collector.finish(lengths) : {},
      parameters: this.#parameters.finish(),
    };
  }

  /** How many blocks the metric and the reads need. */
  #until(): number {
    if (this.#needsEnd()) return this.#runner.spec.layers.length;
    return Math.max(0, ...[...placesOf(this.#ready.metric), ...this.#ready.reads].map((place) => stageOf(place) + 1));
  }

  #needsEnd(): boolean {
    return (
      this.#ready.logitRows.length > 0 ||
      [...placesOf(this.#ready.metric), ...this.#ready.reads].some((place) => stageOf(place) === Infinity)
    );
  }

  /** The first layer whose inside matters, −1 for the embedding. */
  #lowest(): number {
    if (this.#parameters.isWanted) return -1;
    return Math.min(this.#runner.spec.layers.length, ...this.#ready.at.map(stageOf));
  }

  async #embed(): Promise<{ recorded: Recorded; stream: Float32Array }> {
    const { engine, spec } = this.#runner;
    const feeds = embeddingFeeds(this.#ready.pass);
    const used: Record<string, Feed> = spec.embedding.positions ? feeds : { tokens: feeds.tokens };
    const recorded = await this.#record(engine.embedding, {
      isHere: ({ point }) => isEmbedding(point),
      feeds: used,
      result: STREAM.embedded,
    });
    return { recorded, stream: must(recorded.made[STREAM.embedded], "the embedded stream").data as Float32Array };
  }

  /** One block forward: edits in front of it, inside, and behind it. */
  async #forward(layer: number, before: Float32Array): Promise<Float32Array> {
    throwIfAborted(this.#options.signal);
    const { engine, spec } = this.#runner;
    const { pass } = this.#ready;
    engine.readAhead(layer + 1);
    const stream = this.#passBetween({ address: `resid_pre.${layer}`, point: "resid_pre", layer }, before);
    const feeds = { ...this.#inputs.of(layer), [STREAM.in]: { data: stream, dims: [pass.rows.length, pass.width, spec.dModel] } };
    const isHere = (place: Place): boolean => place.layer === layer && !isBetween(place);
    const recorded = await this.#record(must(engine.blocks[layer], `block ${layer}`), {
      isHere,
      feeds,
      result: "resid_post",
      keep: this.#keptAt(layer),
    });
    this.#recorded.set(layer, recorded);
    const after = must(recorded.made["resid_post"], "resid_post").data as Float32Array;
    this.#options.onProgress?.({ stage: "forward", done: layer + 1, total: spec.layers.length });
    return this.#passBetween({ address: `resid_post.${layer}`, point: "resid_post", layer }, after);
  }

  /** What is kept of a block for its way back. */
  #keptAt(layer: number): PointName[] {
    const first = Math.max(0, this.#lowest());
    if (layer < first) return [];
    const { spec } = this.#runner;
    const { pass } = this.#ready;
    return keptPoints(spec, layer, { tokens: pass.rows.length * pass.width, blocks: spec.layers.length - first });
  }

  /** The stream at a place between blocks: edited (a copy, since others may hold it), and read. */
  #passBetween(place: Place, stream: Float32Array): Float32Array {
    const { pass, edits, reads } = this.#ready;
    const here = edits.filter((edit) => edit.place.address === place.address);
    const passed = here.length > 0 ? stream.slice() : stream;
    if (here.length > 0) this.#between.set(place.address, makeEdits(here, passed, pass, this.#sizesAt));
    if (reads.some(({ address }) => address === place.address)) this.#collector.take(place.address, pass, passed.slice());
    this.#addValues(place, passed);
    return passed;
  }

  /** Runs one graph, takes its reads and the terms of the metric that it holds. */
  async #record(
    stage: Stage,
    {
      isHere,
      feeds,
      result,
      keep = [],
    }: { isHere: (place: Place) => boolean; feeds: Readonly<Record<string, Feed>>; result: string; keep?: readonly string[] },
  ): Promise<Recorded> {
    const { edits, at, reads, metric, pass } = this.#ready;
    const terms = placesOf(metric).filter(isHere);
    const readHere = reads.filter(isHere);
    const stops = new Map<string, PreparedEdit[]>();
    for (const edit of edits) if (isHere(edit.place)) stops.set(edit.place.point, [...(stops.get(edit.place.point) ?? []), edit]);
    const wanted = [...new Set([...readHere, ...terms].map(({ point }) => point as string)), result];
    const asked = [...this.#pointsOf(at.filter(isHere)), ...terms.map(({ point }) => point)];
    const recorded = await record(stage, { feeds, wanted, stops, asked, keep, pass, sizesAt: this.#sizesAt });
    for (const place of readHere) this.#collector.take(place.address, pass, must(recorded.made[place.point], place.address).data);
    for (const place of new Map(terms.map((term) => [term.address, term] as const)).values())
      this.#addValues(place, must(recorded.made[place.point], place.address).data as Float32Array);
    return recorded;
  }

  /** Adds the metric's terms at a place to the rows' values. */
  #addValues(place: Place, data: Float32Array): void {
    this.#eachTerm(place, (row, at, weight) => (this.#values[row]! += weight * data[at]!));
  }

  /** Calls `visit` with each term of the metric at a place: its row, where in the values its element stands, its weight. */
  #eachTerm(place: Place, visit: (row: number, at: number, weight: number) => void): void {
    const { metric } = this.#ready;
    if (metric.kind !== "terms") return;
    const sizes = this.#shapeOf(place);
    metric.rows.forEach((terms, row) => {
      for (const term of terms) {
        if (term.reading !== "place" || term.place.address !== place.address) continue;
        let at = row;
        term.index.forEach((index, axis) => (at = at * sizes[axis + 1]! + index));
        visit(row, at, term.weight);
      }
    });
  }

  /** What the metric itself adds to the gradient at a place; undefined where it does not read it. */
  #seedAt(place: Place): Float32Array | undefined {
    const { metric } = this.#ready;
    const own = placesOf(metric).some(({ address }) => address === place.address);
    if (!own) return undefined;
    const seed = new Float32Array(sizeOf(this.#shapeOf(place)));
    this.#eachTerm(place, (_, at, weight) => (seed[at]! += weight));
    if (metric.kind === "seeds")
      for (const one of metric.seeds) if (one.place.address === place.address) one.gradient.data.forEach((value, i) => (seed[i]! += value));
    return seed;
  }

  #shapeOf({ point, layer }: Place): number[] {
    const { pass } = this.#ready;
    return pointRow(point).axes.map((axis) => {
      if (axis === "batch") return pass.rows.length;
      return axis === "pos" || axis === "query" || axis === "key" ? pass.width : axisLength(this.#runner.spec, axis, layer);
    });
  }

  /** The last norm and the unembedding, forward and back: the gradient by the stream behind the last block. */
  async #end(stream: Float32Array): Promise<Float32Array | undefined> {
    const { engine, spec, checkpoint } = this.#runner;
    const { pass, edits } = this.#ready;
    if (!isFinite32(stream, pass)) throw explainNonFinite(checkpoint, spec, { hasEdits: edits.length > 0 });
    const rows: Feed = { data: stream, dims: [pass.rows.length * pass.width, spec.dModel] };
    if (!engine.finalNorm) return this.#throughUnembedding(stream);
    const isHere = ({ point }: Place): boolean => point === "final_scale" || point === "final_normalized";
    const recorded = await this.#record(engine.finalNorm, { isHere, feeds: { [STREAM.in]: rows }, result: "final_normalized" });
    const normed = must(recorded.made["final_normalized"], "final_normalized").data as Float32Array;
    const behind = await this.#throughUnembedding(normed);
    const result = await this.#goBack(recorded, { isHere, behind: behind && { name: "final_normalized", data: behind }, input: STREAM.in });
    return result.input;
  }

  /** The metric's part in the logits; gives its gradient by the rows in front of the unembedding. */
  async #throughUnembedding(rows: Float32Array): Promise<Float32Array | undefined> {
    if (this.#ready.logitRows.length === 0) return undefined;
    const { values, gradient } = await throughUnembedding(rows, { runner: this.#runner, ready: this.#ready, parameters: this.#parameters });
    values.forEach((value, row) => (this.#values[row]! += value));
    return gradient;
  }

  /** One block back: the gradient by the stream in front of its edits. */
  async #back(layer: number, behind: Float32Array | undefined, goesOn: boolean): Promise<Float32Array | undefined> {
    throwIfAborted(this.#options.signal);
    if (layer > 0) this.#runner.engine.readAhead(layer - 1);
    const recorded = must(this.#recorded.get(layer), `block ${layer}`);
    const after = this.#backBetween({ address: `resid_post.${layer}`, point: "resid_post", layer }, behind);
    const isHere = (place: Place): boolean => place.layer === layer && !isBetween(place);
    const wantsInput = goesOn || this.#ready.at.some((place) => place.address === `resid_pre.${layer}`);
    const result = await this.#goBack(recorded, {
      isHere,
      behind: after && { name: "resid_post", data: after },
      input: wantsInput ? STREAM.in : undefined,
    });
    this.#recorded.delete(layer);
    this.#options.onProgress?.({
      stage: "backward",
      done: this.#runner.spec.layers.length - layer,
      total: this.#runner.spec.layers.length,
    });
    return this.#backBetween({ address: `resid_pre.${layer}`, point: "resid_pre", layer }, result.input);
  }

  /** Notes the gradient at a place between blocks, and takes it back through the edits there. */
  #backBetween(place: Place, behind: Float32Array | undefined): Float32Array | undefined {
    const seed = this.#seedAt(place);
    const grad = seed && behind ? seed.map((value, i) => value + behind[i]!) : (seed ?? behind);
    if (!grad) return undefined;
    if (this.#ready.at.some(({ address }) => address === place.address)) this.#found.set(place.address, grad);
    const made = this.#between.get(place.address);
    if (!made) return grad;
    const front = grad.slice();
    undoEdits(made, front, this.#ready.pass, this.#sizesAt);
    return front;
  }

  async #backToEmbedding(recorded: Recorded, behind: Float32Array | undefined): Promise<void> {
    await this.#goBack(recorded, {
      isHere: ({ point }) => isEmbedding(point),
      behind: behind && { name: STREAM.embedded, data: behind },
      input: undefined,
    });
  }

  async #goBack(
    recorded: Recorded,
    given: { isHere: (place: Place) => boolean; behind: { name: string; data: Float32Array } | undefined; input: string | undefined },
  ): Promise<Gradients> {
    const { at, metric, pass } = this.#ready;
    const { spec } = this.#runner;
    const { isHere, behind, input } = given;
    const read = placesOf(metric).filter(isHere);
    const seeds = new Map(read.map((place) => [place.point as string, must(this.#seedAt(place), "a seed")] as const));
    const known = behind && seeds.get(behind.name);
    if (behind) seeds.set(behind.name, known ? behind.data.map((value, i) => value + known[i]!) : behind.data);
    const asked = at.filter(isHere);
    const points = this.#pointsOf(asked);
    const layer = asked[0]?.layer ?? read[0]?.layer;
    const weightOf = (id: string) => recorded.chain.flatMap((link) => link.graph.weights.get(id) ?? [])[0];
    const result = await goBack({
      recorded,
      seeds,
      asked: points,
      input,
      weights: (id) => this.#parameters.wants(weightOf(id)),
      lengthOf: (axis) => axisLength(spec, axis, layer ?? 0),
      pass,
      sizesAt: this.#sizesAt,
    });
    for (const place of asked) this.#found.set(place.address, this.#gradientAt(place, result.points));
    for (const [id, data] of result.weights) this.#parameters.add(must(weightOf(id), id), data);
    return result;
  }

  /** The points whose gradients are computed for those at places of one graph. */
  #pointsOf(places: readonly Place[]): PointName[] {
    const { metric, edits } = this.#ready;
    const points = places.map(({ point }) => point);
    const number = places[0]?.layer;
    const layer = number === undefined ? undefined : this.#runner.spec.layers[number];
    const touches = [...placesOf(metric), ...edits.map(({ place }) => place)].filter((place) => place.layer === number);
    return layer ? withoutHeadTerms(points, layer, touches) : points;
  }

  #gradientAt({ address, point, layer }: Place, found: ReadonlyMap<string, Float32Array>): Float32Array {
    const own = found.get(point);
    if (own || point !== "head_out") return must(own, address);
    const { layers, dModel } = this.#runner.spec;
    const block = must(layers[must(layer, address)], address);
    return forEachHead(must(found.get(sumOfHeads(block)), address), { heads: block.attention.heads, dModel });
  }

  /** The gradients found. Where nothing is done between two places theirs are one array: the first place gets it, the others copies. */
  #results(): Record<string, Tensor<Float32Array>> {
    const given = new Set<ArrayBufferLike>();
    const own = (data: Float32Array): Float32Array => {
      if (given.has(data.buffer)) return data.slice();
      given.add(data.buffer);
      return data;
    };
    const tensors = this.#ready.at.map((place) => {
      const shape = this.#shapeOf(place);
      const found = this.#found.get(place.address);
      const data = found && found.length > 0 ? own(found) : new Float32Array(sizeOf(shape));
      return [place.address, tensor(data, shape, pointRow(place.point).axes)] as const;
    });
    return Object.fromEntries(tensors);
  }
}

function isEmbedding(point: PointName): boolean {
  return point === "embed" || point === "pos_embed";
}

function isBetween({ point }: Place): boolean {
  return point === "resid_pre" || point === "resid_post";
}
