/**
 * @file Training steps on ONNX Runtime: one session holds forward and backward pass of the whole model. Parameters are fed at each step from
 * the arrays that the optimiser changes; what is not trained stays in the checkpoint's files.
 */
import { must, refuse, SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { emitOnnx, type WeightLocation } from "../graph/emit.js";
import type { Graph, Weight } from "../graph/graph.js";
import type { ModelSpec } from "../models/spec.js";
import { maskInput, WHOLE_INPUTS } from "../models/whole.js";
import type { Device } from "../runtime/device.js";
import { embeddingFeeds, makePass, PassInputs } from "../runtime/pass.js";
import { openSession, type Feed, type Held, type Place, type Session } from "../runtime/session.js";
import type { WeightFiles } from "../runtime/weight-files.js";
import { LOSS_INPUTS, LOSS_RESULTS, type LossSpec } from "./losses.js";
import type { Batch, Parameters, StepResult, TrainStep } from "./step-types.js";
import { buildLossGraph, buildTrainGraph, type TrainGraph } from "./train-graph.js";

/** What a policy's loss needs for each token that counts, in their order. */
export interface PolicyColumns {
  readonly advantages: Float32Array;
  readonly oldLogprobs: Float32Array;
  readonly referenceLogprobs: Float32Array;
  /** What each token counts; by default all alike, 1 in all. */
  readonly weights?: Float32Array;
}

export interface StepOptions {
  readonly loss?: LossSpec;
  readonly threads?: number;
  /** Training computes on the CPU; other devices are refused. */
  readonly device?: Device;
  /** Where the weights that are not trained lie; needed where there are some. */
  readonly frozen?: WeightFiles;
}

/** A step that also gives each token's log-probability, and takes what policies need. */
export interface ModelStep extends TrainStep {
  run(batch: Batch, policy?: PolicyColumns): Promise<StepResult & { readonly results: Readonly<Record<string, Float32Array>> }>;
  /** The log-probability of each token that counts, row after row. */
  logprobs(batch: Batch): Promise<Float32Array>;
}

/** Steps of a model whose parameters are trained; their names are those of the checkpoint's tensors. */
export function openStep(spec: ModelSpec, parameters: Parameters, options: StepOptions = {}): ModelStep {
  const { device = "cpu" } = options;
  if (device !== "cpu")
    throw refuse({
      what: `cannot train on ${device}`,
      why: "parameters are fed and gradients fetched at each step, which is made for the CPU and was tried nowhere else",
      instead: "leave the device out; gradients of a loaded model are computed on any device",
    });
  return new GraphStep(spec, parameters, options);
}

/** A graph with its session. */
interface Opened<G> {
  readonly built: G;
  readonly session: Session;
}

class GraphStep implements ModelStep {
  readonly parameters: Parameters;
  readonly #spec: ModelSpec;
  readonly #options: StepOptions;
  readonly #gradients: ReadonlyMap<string, Float32Array>;
  #train: Promise<Opened<TrainGraph>> | undefined;
  #forward: Promise<Opened<ReturnType<typeof buildLossGraph>>> | undefined;

  constructor(spec: ModelSpec, parameters: Parameters, options: StepOptions) {
    this.#spec = spec;
    this.parameters = parameters;
    this.#options = options;
    this.#gradients = new Map([...parameters].map(([name, { data }]) => [name, new Float32Array(data.length)] as const));
  }

  async run(batch: Batch, policy?: PolicyColumns): Promise<StepResult & { results: Record<string, Float32Array> }> {
    this.#train ??= this.#open(buildTrainGraph(this.#spec, this.#loss, this.#isTrained));
    const { built, session } = await this.#train;
    const counted = countedTokens(batch);
    const feeds = {
      ...this.#feeds(batch, counted, policy),
      ...this.#fed(built.fed),
      [`grad:${built.results.get(LOSS_RESULTS.loss)}`]: ONE,
    };
    const into = this.#places(built);
    const rows = built.lookups.map(({ gradient }) => gradient);
    const fetched = await session.run(
      pick(feeds, built.graph),
      [...new Set([...built.results.values(), ...Object.keys(into), ...rows])],
      into,
    );
    this.#gather(built, { fetched, feeds, into });
    const results = resultsOf(built.results, fetched);
    return { loss: must(results[LOSS_RESULTS.loss], "the loss")[0]!, count: counted.length, gradients: this.#gradients, results };
  }

  async evaluate(batch: Batch): Promise<{ loss: number; count: number }> {
    const logprobs = await this.logprobs(batch);
    return { loss: -logprobs.reduce((total, value) => total + value, 0) / logprobs.length, count: logprobs.length };
  }

  async logprobs(batch: Batch): Promise<Float32Array> {
    this.#forward ??= this.#open(buildLossGraph(this.#spec, { kind: "cross_entropy" }, this.#isTrained));
    const { built, session } = await this.#forward;
    const feeds = { ...this.#feeds(batch, countedTokens(batch), undefined), ...this.#fed(built.fed) };
    const id = must(built.results.get(LOSS_RESULTS.logprobs), "log-probabilities");
    const fetched = await session.run(pick(feeds, built.graph), [id]);
    return taken(must(fetched[id], id));
  }

  async close(): Promise<void> {
    const all = [this.#train, this.#forward].filter((opened) => opened !== undefined);
    this.#train = this.#forward = undefined;
    // One that could not be opened has said so to whoever wanted it.
    for (const opened of await Promise.allSettled(all)) if (opened.status === "fulfilled") await opened.value.session.close();
  }

  get #loss(): LossSpec {
    return this.#options.loss ?? { kind: "cross_entropy" };
  }

  readonly #isTrained = (name: string): boolean => this.parameters.has(name);

  async #open<G extends { graph: Graph; results: ReadonlyMap<string, string>; gradients?: ReadonlyMap<string, string> }>(
    built: G,
  ): Promise<Opened<G>> {
    const { frozen, threads } = this.#options;
    const locate = (id: string): WeightLocation => {
      const weight = must(built.graph.weights.get(id), `the weight ${id}`);
      if (!frozen) throw new SextantError("internal", `internal: ${weight.name} is not trained, and nobody says where it lies`);
      return frozen.locate(weight);
    };
    const lookups = "lookups" in built ? (built as unknown as TrainGraph).lookups.map(({ gradient }) => gradient) : [];
    const outputs = [...new Set([...built.results.values(), ...(built.gradients?.values() ?? []), ...lookups])];
    const session = await openSession(emitOnnx(built.graph, outputs, locate), {
      folder: frozen?.folder ?? "",
      ...(threads !== undefined && { threads }),
    });
    return { built, session };
  }

  /** The parameters, as the graph's weights: whole tensors or pieces of them. */
  #fed(fed: ReadonlyMap<string, Weight>): Record<string, Feed> {
    return Object.fromEntries(
      [...fed].map(([id, weight]) => [id, { data: pieceOf(this.#parameter(weight.name), weight), dims: weight.shape }]),
    );
  }

  #parameter(name: string): Float32Array {
    return must(this.parameters.get(name), name).data;
  }

  /** Where the session writes gradients; a gradient that belongs to two weights is written once. */
  #places({ gradients, fed }: TrainGraph): Record<string, Place> {
    const places: Record<string, Place> = {};
    for (const [id, gradient] of gradients) {
      const weight = must(fed.get(id), id);
      places[gradient] ??= { data: pieceOf(must(this.#gradients.get(weight.name), weight.name), weight), dims: weight.shape };
    }
    return places;
  }

  /** Completes the gradients: those written once for several, and those of rows that were looked up. */
  #gather(
    { gradients, fed, lookups }: TrainGraph,
    { fetched, feeds, into }: { fetched: Record<string, Held>; feeds: Readonly<Record<string, Feed>>; into: Record<string, Place> },
  ): void {
    for (const [id, gradient] of gradients) {
      const weight = must(fed.get(id), id);
      const own = pieceOf(must(this.#gradients.get(weight.name), weight.name), weight);
      const written = must(into[gradient], gradient).data;
      if (written.byteOffset !== own.byteOffset || written.buffer !== own.buffer) own.set(written);
    }
    const fresh = new Set(
      lookups.filter(({ weight }) => ![...gradients.keys()].some((id) => fed.get(id) === weight)).map(({ weight }) => weight),
    );
    for (const weight of fresh) pieceOf(must(this.#gradients.get(weight.name), weight.name), weight).fill(0);
    for (const { weight, indices, gradient } of lookups) {
      const rows = must(fetched[gradient], gradient);
      addRows(
        pieceOf(must(this.#gradients.get(weight.name), weight.name), weight),
        rows.data as Float32Array,
        must(feeds[indices], indices),
      );
      rows.release();
    }
  }

  #feeds(batch: Batch, counted: readonly Counted[], policy: PolicyColumns | undefined): Record<string, Feed> {
    const pass = makePass(batch.tokens);
    const inputs = new PassInputs(this.#spec, pass);
    const feeds: Record<string, Feed> = { ...embeddingFeeds(pass) };
    for (const layer of this.#spec.layers.keys()) {
      const { mask, ...rest } = inputs.of(layer);
      Object.assign(feeds, rest, { [maskInput(this.#spec, layer)]: mask });
    }
    const dims = [counted.length, 1];
    const whole = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
    feeds[WHOLE_INPUTS.shape] = { data: whole([batch.tokens.length, pass.width, this.#spec.dModel]), dims: [3] };
    feeds[WHOLE_INPUTS.picked] = { data: whole(counted.map(({ row, position }) => row * pass.width + position)), dims };
    feeds[LOSS_INPUTS.targets] = { data: whole(counted.map(({ token }) => token)), dims };
    feeds[LOSS_INPUTS.weights] = { data: new Float32Array(counted.length).fill(1 / counted.length), dims };
    if (policy) {
      if (policy.weights) feeds[LOSS_INPUTS.weights] = { data: policy.weights, dims };
      feeds[LOSS_INPUTS.advantages] = { data: policy.advantages, dims };
      feeds[LOSS_INPUTS.oldLogprobs] = { data: policy.oldLogprobs, dims };
      feeds[LOSS_INPUTS.referenceLogprobs] = { data: policy.referenceLogprobs, dims };
    }
    return feeds;
  }
}

const ONE: Feed = { data: new Float32Array([1]), dims: [] };

/** A token that counts, and the position that predicts it. */
export interface Counted {
  readonly row: number;
  readonly position: number;
  readonly token: number;
}

/** The tokens of a batch that count in the loss, row after row. */
export function countedTokens({ tokens, mask }: Batch): Counted[] {
  const found = tokens.flatMap((row, index) =>
    row.slice(1).flatMap((token, i) => (mask && mask[index]?.[i + 1] !== 1 ? [] : [{ row: index, position: i, token }])),
  );
  if (found.length === 0) throw new SextantError("request", "no token of the batch counts: each row needs two tokens, and the mask a 1");
  return found;
}

function pieceOf(data: Float32Array, { offset = 0, shape }: Weight): Float32Array {
  return data.subarray(offset, offset + sizeOf(shape));
}

function pick(feeds: Readonly<Record<string, Feed>>, { inputs }: Graph): Record<string, Feed> {
  return Object.fromEntries(inputs.map(({ id }) => [id, must(feeds[id], `the input ${id}`)]));
}

function taken(held: Held): Float32Array {
  const copy = (held.data as Float32Array).slice();
  held.release();
  return copy;
}

function resultsOf(ids: ReadonlyMap<string, string>, fetched: Readonly<Record<string, Held>>): Record<string, Float32Array> {
  return Object.fromEntries([...ids].map(([name, id]) => [name, taken(must(fetched[id], name))]));
}

/** Adds each row's gradient to the row of the table that it was looked up in. */
function addRows(table: Float32Array, rows: Float32Array, { data: indices }: Feed): void {
  const width = rows.length / indices.length;
  for (let i = 0; i < indices.length; i++) {
    const at = Number(indices[i]) * width;
    for (let unit = 0; unit < width; unit++) table[at + unit]! += rows[i * width + unit]!;
  }
}
