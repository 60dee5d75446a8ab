/**
 * @file What every edge is worth, by gradients. Edge attribution patching (EAP; Syed et al. 2023, arXiv 2310.10348): the change of the metric if the
 * receiver were told the other run's value of the sender is, to first order, Σ_pos (sender_other − sender_run) · ∂metric/∂(receiver's stream).
 * The gradient is that through the receiver alone: a head's query, key or value, with the norm in front of it. Two runs forward and one back
 * score every edge. With steps m (EAP-IG, inputs; Hanna et al. 2024, arXiv 2403.17806) it is the mean of the gradients at m embeddings on the
 * way from the other prompt to the run's own, k/m of it for k = 1 … m. (Some versions of the
 * authors' code take k = 0 … m − 1.)
 *
 * `noise` changes the clean run to corrupted values: edges that the answer depends on have scores below 0 if the metric is larger in clean
 * runs. `denoise` changes the corrupted run to clean values: such edges lie above 0.
 *
 * When it misleads: a saturated softmax or a norm bends within the step, and a gradient sees only its beginning (steps help, `compareScores`
 * shows how much is lost); effects of several edges do not add up; where a metric has its extremum at the run itself, as KL to it has, plain
 * EAP gives 0 everywhere.
 */
import { must, SextantError } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";
import type { NodeRunner } from "../../runtime/circuit/request.js";
import type { Edit } from "../../runtime/edit.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { circuitGraph, type CircuitGraph, type CircuitReceiver } from "./graph.js";
import {
  addedBy,
  checkDirection,
  checkPairs,
  mlpStream,
  ofHead,
  partsOf,
  senderFloats,
  sidesOf,
  streamsOf,
  type Added,
  type CircuitData,
  type Direction,
  type TokenRows,
} from "./pairs.js";

export interface EdgeScoreRequest extends CircuitData {
  /** Default: noise. */
  readonly direction?: Direction;
  /** Steps of EAP-IG; absent for plain EAP, at the run itself. */
  readonly steps?: number;
  /** Whether the scores of each pair are returned, too. */
  readonly keepPairs?: boolean;
}

/** Scores of all edges, by their numbers in the graph. */
export interface EdgeScores {
  readonly graph: CircuitGraph;
  readonly direction: Direction;
  /** Mean over pairs, in the unit of the metric. */
  readonly scores: Float64Array;
  /** Standard error of the mean; NaN for a single pair. */
  readonly errors: Float64Array;
  /** Pairs. */
  readonly n: number;
  /** Row-major over pair, edge. */
  readonly perPair?: Float64Array;
}

type CircuitModel = Model & NodeRunner;

/** The scores of every edge of the model, means over the pairs. */
export async function edgeScores(model: CircuitModel, request: EdgeScoreRequest, options: RunOptions = {}): Promise<EdgeScores> {
  const { pairs, of, direction = "noise", steps, keepPairs = false } = request;
  checkPairs(pairs);
  checkSteps(steps);
  checkDirection(direction);
  const graph = circuitGraph(model.spec);
  const perPair = keepPairs ? new Float64Array(pairs.length * graph.edges) : undefined;
  const [sums, squares] = [new Float64Array(graph.edges), new Float64Array(graph.edges)];
  for (const part of partsOf({ pairs, of }, 3 * senderFloats(graph))) {
    const scored = await scorePart(model, { graph, data: part.data, direction, steps }, options);
    scored.forEach((value, i) => {
      sums[i % graph.edges]! += value;
      squares[i % graph.edges]! += value * value;
    });
    perPair?.set(scored, part.from * graph.edges);
    options.onProgress?.({ stage: "pairs", done: part.from + part.data.pairs.length, total: pairs.length });
  }
  const n = pairs.length;
  const errors = squares.map((square, edge) => Math.sqrt(Math.max(0, square - sums[edge]! ** 2 / n) / (n - 1) / n));
  return { graph, direction, scores: sums.map((sum) => sum / n), errors, n, ...(perPair && { perPair }) };
}

function checkSteps(steps: number | undefined): void {
  if (steps !== undefined && (!Number.isInteger(steps) || steps < 1 || steps > 1000))
    throw new SextantError("request", `steps must be a whole number from 1 to 1000, got ${String(steps)}`);
}

interface Part {
  readonly graph: CircuitGraph;
  readonly data: CircuitData;
  readonly direction: Direction;
  readonly steps: number | undefined;
}

/** The scores of some pairs: row-major over pair, edge. */
async function scorePart(model: CircuitModel, { graph, data, direction, steps }: Part, { signal }: RunOptions): Promise<Float64Array> {
  const options = signal ? { signal } : {};
  const { tokens, others } = sidesOf(data.pairs, direction);
  const run = await addedBy(model, graph, tokens, options);
  const other = await addedBy(model, graph, others, options);
  const changes = run.senders.map((own, sender) => own.map((value, i) => other.senders[sender]![i]! - value));
  const slopes = await slopesAlong(model, { graph, tokens, of: data.of, run, other, steps }, options);
  const scores = new Float64Array(tokens.length * graph.edges);
  for (let layer = 0; layer <= graph.layers; layer++) {
    const receivers = graph.receivers.filter((receiver) => receiver.layer === layer);
    const gradients = await receiverGradients(model, { graph, layer, tokens, slopes }, options);
    for (const receiver of receivers)
      addScores(scores, { graph, receiver, changes, slope: must(gradients.get(receiver.name), receiver.name) });
  }
  return scores;
}

/** What the model's own way back gives at each step: gradients by what nodes make, and the streams they were told. */
interface Slopes {
  readonly gradients: Readonly<Record<string, Tensor<Float32Array>>>;
  readonly streams: Readonly<Record<string, Tensor<Float32Array>>>;
}

interface Along {
  readonly graph: CircuitGraph;
  readonly tokens: TokenRows;
  readonly of: CircuitData["of"];
  readonly run: Added;
  readonly other: Added;
  readonly steps: number | undefined;
}

async function slopesAlong(model: Model, { graph, tokens, of, run, other, steps }: Along, options: RunOptions): Promise<Slopes[]> {
  const at = ["z.*", ...(graph.blocks.some(({ hasMlp }) => hasMlp) ? ["mlp_out.*"] : []), `resid_post.${graph.layers - 1}`];
  const found: Slopes[] = [];
  for (let step = 1; step <= (steps ?? 1); step++) {
    const edits = steps === undefined ? [] : embeddedAt(tokens, { run, other, share: step / steps, dModel: graph.dModel });
    const result = await model.gradient({ tokens, of, at, read: streamsOf(graph), edits }, options);
    found.push({ gradients: result.gradients, streams: result.activations as Slopes["streams"] });
  }
  return found;
}

/** Edits that put each row's embedding on the way from the other prompt's to its own. */
function embeddedAt(tokens: TokenRows, { run, other, share, dModel }: { run: Added; other: Added; share: number; dModel: number }): Edit[] {
  return tokens.map((row, index) => {
    const from = index * run.width * dModel;
    const [own, theirs] = [run, other].map(({ senders }) => senders[0]!.subarray(from, from + row.length * dModel));
    const value = tensor(
      own!.map((x, i) => theirs![i]! + share * (x - theirs![i]!)),
      [row.length, dModel],
      ["pos", "d_model"],
    );
    return { at: "resid_pre.0", op: "set", value, rows: [index] };
  });
}

/** For each receiver of a layer, the gradient by its stream: batch, pos, d_model; mean over steps. */
async function receiverGradients(
  model: CircuitModel,
  { graph, layer, tokens, slopes }: { graph: CircuitGraph; layer: number; tokens: TokenRows; slopes: readonly Slopes[] },
  options: RunOptions,
): Promise<Map<string, Float32Array>> {
  const sums = new Map<string, Float32Array>();
  const add = (name: string, gradient: Float32Array): void => {
    const known = sums.get(name);
    if (known) gradient.forEach((value, i) => (known[i]! += value / slopes.length));
    else sums.set(name, slopes.length === 1 ? gradient : gradient.map((value) => value / slopes.length));
  };
  for (const { gradients, streams } of slopes) {
    if (layer === graph.layers) {
      add("logits", must(gradients[`resid_post.${layer - 1}`], "the end").data);
      continue;
    }
    const { heads, hasMlp } = graph.blocks[layer]!;
    const by = must(gradients[`z.${layer}`], "z");
    const told = await model.pullNode({ tokens, layer, heads: must(streams[`resid_pre.${layer}`], "the stream"), by }, options);
    for (const [side, { data }] of Object.entries(told))
      for (let head = 0; head < heads; head++) add(`a${layer}.h${head}<${side}>`, ofHead(data, { batch: tokens.length, heads, head }));
    if (!hasMlp) continue;
    const stream = must(streams[mlpStream(graph.blocks, layer)], "the stream");
    const pulled = await model.pullNode({ tokens, layer, mlp: stream, by: must(gradients[`mlp_out.${layer}`], "mlp_out") }, options);
    if ("mlp" in pulled) add(`m${layer}`, pulled.mlp.data);
  }
  return sums;
}

/** Adds change · slope of each sender in front of a receiver, for each pair. */
function addScores(
  scores: Float64Array,
  {
    graph,
    receiver,
    changes,
    slope,
  }: { graph: CircuitGraph; receiver: CircuitReceiver; changes: readonly Float32Array[]; slope: Float32Array },
): void {
  const batch = scores.length / graph.edges;
  const size = slope.length / batch;
  for (let row = 0; row < batch; row++) {
    const own = slope.subarray(row * size, (row + 1) * size);
    for (let sender = 0; sender < receiver.senders; sender++)
      scores[row * graph.edges + receiver.firstEdge + sender] = dot(changes[sender]!.subarray(row * size, (row + 1) * size), own);
  }
}
