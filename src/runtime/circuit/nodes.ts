/**
 * @file Heads and MLPs as nodes with inputs of their own, forward and back. Projections go through the graph of `models/hearing.ts`; what stands
 * behind them is the block's own graph, cut at q, k and v, or in front of the MLP's norm.
 */
import { must, SextantError } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { buildBlock, FUSED } from "../../models/block.js";
import { buildHearing, heardName, mlpApart, refuseEntangled, SIDES, ungrouped, type HeadSide } from "../../models/hearing.js";
import { checkTensor, checkTokens } from "../check-request.js";
import { throwIfAborted } from "../engine.js";
import type { Runner } from "../forward.js";
import type { RunOptions } from "../model.js";
import { makePass, PassInputs } from "../pass.js";
import type { Feed } from "../session.js";
import type { Link, Stage } from "../stage.js";
import type { HeadInputs, NodeGradients, NodePull, NodeRequest } from "./request.js";

type Floats = Tensor<Float32Array>;

/** What nodes of a layer add to the stream. */
export async function runNode(runner: Runner, request: NodeRequest, options: RunOptions = {}): Promise<Floats> {
  throwIfAborted(options.signal);
  const shape = checked(runner, request);
  if ("mlp" in request) {
    checkTensor("mlp", request.mlp, { shape });
    const { stage, link, live } = mlpAt(runner, request.layer, request.mlp);
    const id = idOf(link, "mlp_out");
    const made = await stage.runLink(link, live, { fetches: [id] });
    return tensor(must(made[id], "mlp_out").data as Float32Array, shape, request.mlp.axes);
  }
  return runHeads(runner, request.heads, request, shape);
}

/** The gradients by what each receiver of a layer is told. */
export async function pullNode(runner: Runner, request: NodePull, options: RunOptions = {}): Promise<NodeGradients> {
  throwIfAborted(options.signal);
  const shape = checked(runner, request);
  if ("heads" in request) return pullHeads(runner, request.heads, request, shape);
  checkTensor("mlp", request.mlp, { shape });
  checkTensor("by", request.by, { shape });
  const { stage, link, live } = mlpAt(runner, request.layer, request.mlp);
  const [input] = link.graph.inputs.map(({ id }) => id);
  const [rows, id] = [must(live.get(must(input, "the input")), "rows").dims, idOf(link, "mlp_out")];
  const found = await stage.runBackward(link, live, { seeds: { [id]: { data: request.by.data, dims: rows } }, targets: [input!] });
  return { mlp: tensor(must(found[input!], "the gradient").data as Float32Array, shape, request.mlp.axes) };
}

type Shape = readonly [batch: number, pos: number, dModel: number];

function checked({ spec }: Runner, { tokens, layer }: Pick<NodeRequest, "tokens" | "layer">): Shape {
  checkTokens(spec, tokens, { beyondContext: true });
  if (!spec.layers[layer])
    throw new SextantError("request", `layer must be one of the ${spec.layers.length} layers, 0 first, got ${String(layer)}`);
  refuseEntangled(spec);
  return [tokens.length, Math.max(...tokens.map((row) => row.length)), spec.dModel];
}

/** The MLP behind its own stream, ready to run. */
function mlpAt({ engine, spec }: Runner, layer: number, { data }: Floats): { stage: Stage; link: Link; live: Map<string, Feed> } {
  if (!spec.layers[layer]?.mlp) throw new SextantError("request", `layer ${layer} has attention only, and no MLP to run`);
  const stage = engine.keptStage(`mlp:${layer}`, () => buildBlock(mlpApart(spec, layer), layer));
  const chain = stage.chain([["resid_mid"]], { only: ["mlp_out"] });
  const link = must(chain[1], "the MLP");
  const id = idOf(must(chain[0], "what stands in front"), "resid_mid");
  return { stage, link, live: new Map([[id, { data, dims: [data.length / spec.dModel, spec.dModel] }]]) };
}

interface HeadsAt {
  readonly hearing: Stage;
  readonly heard: Link;
  readonly attending: Stage;
  readonly link: Link;
  /** Ids of q, k and v in the block's graph. */
  readonly ids: Readonly<Record<HeadSide, string>>;
  /** What both graphs are fed. */
  readonly live: Map<string, Feed>;
}

/** The heads of a layer up to their z, with what they are told. */
async function headsAt({ engine, spec }: Runner, layer: number, { told, tokens }: Told): Promise<HeadsAt> {
  const apart = ungrouped(spec, layer);
  const hearing = engine.keptStage(`hearing:${layer}`, () => buildHearing(spec, layer));
  const attending = engine.keptStage(`heads:${layer}`, () => buildBlock(apart, layer, { ...FUSED, heads: "apart" }));
  const heard = must(hearing.chain([])[0], "the projections");
  const [front, link] = attending.chain([[...SIDES]], { only: ["z", "head_out"] });
  const ids = { q: idOf(must(front, "front"), "q"), k: idOf(front!, "k"), v: idOf(front!, "v") };
  const live = new Map<string, Feed>(Object.entries(new PassInputs(apart, makePass(tokens)).of(layer)));
  for (const side of SIDES) live.set(heardName(side), { data: told[side].data, dims: told[side].shape });
  const made = await hearing.runLink(heard, live, { fetches: SIDES.map((side) => idOf(heard, side)) });
  for (const side of SIDES) live.set(ids[side], must(made[idOf(heard, side)], side));
  return { hearing, heard, attending, link: must(link, "attention"), ids, live };
}

interface Told {
  readonly told: HeadInputs;
  readonly tokens: NodeRequest["tokens"];
}

async function runHeads(
  runner: Runner,
  told: HeadInputs,
  { layer, tokens }: Pick<NodeRequest, "layer" | "tokens">,
  shape: Shape,
): Promise<Floats> {
  const [batch, pos, dModel] = shape;
  const { attention, residualMultiplier = 1 } = must(runner.spec.layers[layer], "a layer");
  const full = [batch, attention.heads, pos, dModel];
  for (const side of SIDES) checkTensor(`heads: ${side}`, told[side], { shape: full });
  const { attending, link, live } = await headsAt(runner, layer, { told, tokens });
  const id = idOf(link, "head_out");
  const { data } = must((await attending.runLink(link, live, { fetches: [id] }))[id], "head_out");
  return tensor(swapped(data as Float32Array, [batch, pos, attention.heads, dModel], residualMultiplier), full, HEADS);
}

async function pullHeads(runner: Runner, stream: Floats, request: NodePull, shape: Shape): Promise<HeadInputs> {
  const [batch, pos, dModel] = shape;
  const { layer, tokens, by } = request;
  const { heads, dHead } = must(runner.spec.layers[layer], "a layer").attention;
  checkTensor("heads", stream, { shape });
  checkTensor("by", by, { shape: [batch, pos, heads, dHead] });
  const full = [batch, heads, pos, dModel];
  const same = tensor(repeated(stream.data, batch, heads), full, HEADS);
  const at = await headsAt(runner, layer, { told: { q: same, k: same, v: same }, tokens });
  const z = idOf(at.link, "z");
  const seeds = { [z]: { data: by.data, dims: by.shape } };
  const through = await at.attending.runBackward(at.link, at.live, { seeds, targets: Object.values(at.ids) });
  const own = SIDES.flatMap((side) => (through[at.ids[side]] ? [[idOf(at.heard, side), through[at.ids[side]]!] as const] : []));
  const found = await at.hearing.runBackward(at.heard, at.live, { seeds: Object.fromEntries(own), targets: SIDES.map(heardName) });
  const of = (side: HeadSide): Floats => tensor(found[heardName(side)]!.data as Float32Array, full, HEADS);
  return { q: of("q"), k: of("k"), v: of("v") };
}

const HEADS = ["batch", "head", "pos", "d_model"] as const;

function idOf({ graph }: Link, name: string): string {
  return must(graph.named.get(name), name);
}

/** batch, pos, head, width → batch, head, pos, width, times a number. */
export function swapped(data: Float32Array, [batch, pos, heads, width]: readonly [number, number, number, number], by = 1): Float32Array {
  const out = new Float32Array(data.length);
  for (let row = 0; row < batch; row++)
    for (let i = 0; i < pos; i++)
      for (let head = 0; head < heads; head++) {
        const from = ((row * pos + i) * heads + head) * width;
        const to = ((row * heads + head) * pos + i) * width;
        for (let unit = 0; unit < width; unit++) out[to + unit] = by * data[from + unit]!;
      }
  return out;
}

/** Each row as often as there are heads: batch, … → batch, head, …. */
export function repeated(data: Float32Array, batch: number, heads: number): Float32Array {
  const size = data.length / batch;
  const out = new Float32Array(data.length * heads);
  for (let row = 0; row < batch; row++)
    for (let head = 0; head < heads; head++) out.set(data.subarray(row * size, (row + 1) * size), (row * heads + head) * size);
  return out;
}
