/**
 * @file Runs a model with a circuit's edges alone: each receiver is told, over edges of the circuit, what the senders say in this very run, and
 * over all others what they say in the corrupted run. Node by node and exact: a head's query, key and value may each be told something
 * else. All edges together are the clean run, none are the corrupted one (Hanna et al. 2024, arXiv 2403.17806, section 2; MIB, arXiv 2504.13151).
 *
 * When it misleads: corrupted values stand in for "nothing", so what both prompts have in common counts as known to the circuit.
 */
import { must, SextantError } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import type { HeadSide } from "../../models/hearing.js";
import type { NodeRunner } from "../../runtime/circuit/request.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { circuitGraph, type CircuitGraph, type CircuitReceiver } from "./graph.js";
import { addedBy, checkPairs, metricAt, mlpStream, ofHead, partsOf, senderFloats, type Added, type CircuitData } from "./pairs.js";

export interface CircuitRunRequest extends CircuitData {
  /** Circuits to run: the numbers of their edges. */
  readonly circuits: readonly (readonly number[])[];
}

/** The metric of every run. */
export interface CircuitRuns {
  readonly graph: CircuitGraph;
  /** The clean and the corrupted runs: one value a pair. */
  readonly clean: Float64Array;
  readonly corrupted: Float64Array;
  /** One array a circuit: one value a pair. */
  readonly circuits: readonly Float64Array[];
  readonly n: number;
}

type CircuitModel = Model & NodeRunner;

/** The metric of each circuit in each pair. */
export async function runCircuits(model: CircuitModel, request: CircuitRunRequest, options: RunOptions = {}): Promise<CircuitRuns> {
  const { pairs, of, circuits } = request;
  checkPairs(pairs);
  const graph = circuitGraph(model.spec);
  const chosen = circuits.map((edges, index) => membership(graph, edges, `circuits[${index}]`));
  const runs = {
    clean: new Float64Array(pairs.length),
    corrupted: new Float64Array(pairs.length),
    circuits: circuits.map(() => new Float64Array(pairs.length)),
  };
  const total = circuits.length * pairs.length;
  for (const { from, data } of partsOf({ pairs, of }, 4 * senderFloats(graph))) {
    const { signal } = options;
    const ends = await endsOf(model, { graph, data }, signal ? { signal } : {});
    runs.clean.set(await metricAt(model, { ...ends.clean, of: data.of }, options), from);
    runs.corrupted.set(await metricAt(model, { ...ends.corrupted, of: data.of }, options), from);
    for (const [index, inCircuit] of chosen.entries()) {
      const resid = await throughCircuit(model, { graph, inCircuit, ...ends }, signal ? { signal } : {});
      runs.circuits[index]!.set(await metricAt(model, { tokens: ends.clean.tokens, of: data.of, resid }, options), from);
      options.onProgress?.({ stage: "circuits", done: from * circuits.length + (index + 1) * data.pairs.length, total });
    }
  }
  return { graph, ...runs, n: pairs.length };
}

/** Whether each edge is in the circuit. */
function membership(graph: CircuitGraph, edges: readonly number[], where: string): Uint8Array {
  const chosen = new Uint8Array(graph.edges);
  for (const edge of edges) {
    if (!Number.isInteger(edge) || edge < 0 || edge >= graph.edges)
      throw new SextantError("request", `${where}: edges are numbered 0 to ${graph.edges - 1}, got ${String(edge)}`);
    chosen[edge] = 1;
  }
  return chosen;
}

/** A pair's two unedited runs. */
interface Ends {
  readonly clean: { readonly tokens: readonly (readonly number[])[]; readonly added: Added; readonly resid: Float32Array };
  readonly corrupted: Ends["clean"];
}

async function endsOf(model: Model, { graph, data }: { graph: CircuitGraph; data: CircuitData }, options: RunOptions): Promise<Ends> {
  const of = async (side: "clean" | "corrupted"): Promise<Ends["clean"]> => {
    const tokens = data.pairs.map((pair) => pair[side]);
    const added = await addedBy(model, graph, tokens, options);
    return { tokens, added, resid: must(added.resid[`resid_post.${graph.layers - 1}`], "the end").data };
  };
  return { clean: await of("clean"), corrupted: await of("corrupted") };
}

/** A run under way. */
interface Under extends Ends {
  readonly graph: CircuitGraph;
  readonly inCircuit: Uint8Array;
}

/** The stream behind the last block of the circuit's run. */
async function throughCircuit(model: CircuitModel, run: Under, options: RunOptions): Promise<Float32Array> {
  const { graph, clean, corrupted } = run;
  const changes: (Float32Array | undefined)[] = [difference(clean.added.senders[0]!, corrupted.added.senders[0]!)];
  for (const [layer, { heads, hasMlp, isParallel }] of graph.blocks.entries()) {
    const before = changes.length;
    const ofHeads = await headChanges(model, { ...run, layer, changes }, options);
    if (hasMlp && isParallel) {
      const own = await mlpChange(model, { ...run, layer, changes }, options);
      changes.push(...ofHeads, own);
    } else {
      changes.push(...ofHeads);
      if (hasMlp) changes.push(await mlpChange(model, { ...run, layer, changes }, options));
    }
    if (changes.length !== before + heads + Number(hasMlp)) throw new SextantError("internal", "internal: nodes were left out");
  }
  return told(run, must(graph.receivers.at(-1), "logits"), changes);
}

interface InLayer extends Under {
  readonly layer: number;
  /** What each sender so far says beyond its corrupted run; undefined where that is nothing. */
  readonly changes: readonly (Float32Array | undefined)[];
}

/** What each head of a layer says beyond its corrupted run. Heads that are told nothing new are not run. */
async function headChanges(model: CircuitModel, run: InLayer, options: RunOptions): Promise<(Float32Array | undefined)[]> {
  const { graph, layer, changes, corrupted } = run;
  const { heads } = graph.blocks[layer]!;
  const receivers = graph.receivers.filter((receiver) => receiver.layer === layer && receiver.kind === "head");
  const isTold = receivers.map((receiver) => hearsAnything(run, receiver, changes));
  if (!isTold.includes(true)) return Array.from({ length: heads }, () => undefined);
  const { batch, width } = corrupted.added;
  const streams = {} as Record<HeadSide, Tensor<Float32Array>>;
  for (const side of ["q", "k", "v"] as const) {
    const data = new Float32Array(batch * heads * width * graph.dModel);
    for (const receiver of receivers)
      if (receiver.side === side) place(data, told(run, receiver, changes), { batch, heads, head: receiver.head! });
    streams[side] = tensor(data, [batch, heads, width, graph.dModel], ["batch", "head", "pos", "d_model"]);
  }
  const made = await model.runNode({ tokens: run.clean.tokens, layer, heads: streams }, options);
  return Array.from({ length: heads }, (_, head) => {
    if (!receivers.some((receiver, i) => receiver.head === head && isTold[i])) return undefined;
    return difference(ofHead(made.data, { batch, heads, head }), senderIn(run, `a${layer}.h${head}`));
  });
}

async function mlpChange(model: CircuitModel, run: InLayer, options: RunOptions): Promise<Float32Array | undefined> {
  const { graph, layer, changes, corrupted } = run;
  const receiver = must(
    graph.receivers.find(({ name }) => name === `m${layer}`),
    "an MLP",
  );
  if (!hearsAnything(run, receiver, changes)) return undefined;
  const { batch, width } = corrupted.added;
  const stream = tensor(told(run, receiver, changes), [batch, width, graph.dModel], ["batch", "pos", "d_model"]);
  const made = await model.runNode({ tokens: run.clean.tokens, layer, mlp: stream }, options);
  return difference(made.data, senderIn(run, receiver.name));
}

function senderIn({ graph, corrupted }: Under, name: string): Float32Array {
  return must(corrupted.added.senders[graph.senders.findIndex((sender) => sender.name === name)], name);
}

function hearsAnything({ inCircuit }: Under, { senders, firstEdge }: CircuitReceiver, changes: InLayer["changes"]): boolean {
  for (let sender = 0; sender < senders; sender++) if (inCircuit[firstEdge + sender] === 1 && changes[sender]) return true;
  return false;
}

/** The stream that a receiver reads: the corrupted run's, with what its senders in the circuit say beyond it. */
function told({ graph, inCircuit, corrupted }: Under, receiver: CircuitReceiver, changes: InLayer["changes"]): Float32Array {
  const stream = must(corrupted.added.resid[streamOf(graph, receiver)], "the stream").data.slice();
  for (let sender = 0; sender < receiver.senders; sender++) {
    const change = changes[sender];
    if (!change || inCircuit[receiver.firstEdge + sender] !== 1) continue;
    for (let i = 0; i < stream.length; i++) stream[i]! += change[i]!;
  }
  return stream;
}

function streamOf({ blocks, layers }: CircuitGraph, { kind, layer }: CircuitReceiver): string {
  if (kind === "logits") return `resid_post.${layers - 1}`;
  return kind === "mlp" ? mlpStream(blocks, layer) : `resid_pre.${layer}`;
}

function difference(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value - b[i]!);
}

function place(data: Float32Array, stream: Float32Array, { batch, heads, head }: { batch: number; heads: number; head: number }): void {
  const size = stream.length / batch;
  for (let row = 0; row < batch; row++) data.set(stream.subarray(row * size, (row + 1) * size), (row * heads + head) * size);
}
