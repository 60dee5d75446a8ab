/**
 * @file Counterfactual sweeps against the peers: the same counterfactuals of the same prompts on the same model, in turns, in one run;
 * every value is compared before a time counts. Then curves: what a sweep costs with more layers, positions and prompts, beside the
 * arithmetic that it did. Ratios are of minima. `bench/peers/README.md` says how to set the peers up.
 *
 * npm run bench:sweeps -- --python PYTHON --model DIR [--rounds N] [--write]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadModel, makeGrid, sweepOf, type GridSweepRequest, type Model } from "../dist/index.js";
import { Peer, type PeerAnswer, PEERS } from "./peer.js";
import { best, collectGarbage, publish } from "./report.js";

const { values: options } = parseArgs({
  options: {
    python: { type: "string" },
    model: { type: "string" },
    rounds: { type: "string", default: "5" },
    write: { type: "boolean", default: false },
  },
});

/** Two prompts whose tokens differ everywhere: nothing can be left out for being equal. */
const tokens = (prompt: number, length: number): number[] => Array.from({ length }, (_, i) => (i * 7919 + 13 + prompt * 31) % 50257);
const LENGTH = 15;
const [ANSWER, WRONG] = [11, 42];
const pairOf = (prompt: number, length = LENGTH) => ({
  clean: tokens(2 * prompt, length),
  corrupted: tokens(2 * prompt + 1, length),
  answer: ANSWER,
  wrong: WRONG,
});

const common = { pairs: [pairOf(0)], metrics: ["logit_diff"] } as const;
const RESIDUAL: GridSweepRequest = { ...common, point: "resid_pre", by: ["pos"] };
const HEADS: GridSweepRequest = { ...common, point: "z", by: ["head"] };
const EDGES: GridSweepRequest = { ...common, point: "attn_scores", by: ["head", "key"], operation: { op: "knockout" }, direction: "noise" };

/** A peer's way of doing a sweep, and the ratio that was aimed at. */
interface Rival {
  readonly peer: "TransformerLens" | "nnsight" | "batched hooks";
  readonly way: string;
  readonly how?: string;
  /** Cells that are run; the time of all is extrapolated. */
  readonly limit?: number;
  readonly goal?: number;
}

interface Work {
  readonly name: string;
  readonly op: string;
  readonly request: GridSweepRequest;
  readonly rivals: readonly Rival[];
}

/** Who patches, in which ways. `own`: the function of TransformerLens; the goals are its, nnsight's and the batched hooks'. */
function patchers(own: string, goals: readonly [number, number, number]): Rival[] {
  return [
    { peer: "TransformerLens", way: `its ${own}`, goal: goals[0] },
    { peer: "nnsight", way: "a trace a patch", how: "plain", goal: goals[1] },
    { peer: "nnsight", way: "a trace a patch, last logits only", how: "loop" },
    { peer: "nnsight", way: "a layer's patches as invokes of one trace" },
    { peer: "batched hooks", way: "a layer's patches in one batch", goal: goals[2] },
    { peer: "batched hooks", way: "the same, one row below the patch", how: "narrow" },
  ];
}

const WORKS: readonly Work[] = [
  {
    name: "residual stream, 12 layers × 15 positions",
    op: "sweep_residual",
    request: RESIDUAL,
    rivals: patchers("get_act_patch_resid_pre", [15, 13, 3]),
  },
  {
    name: "head outputs z, 12 layers × 12 heads",
    op: "sweep_heads",
    request: HEADS,
    rivals: patchers("get_act_patch_attn_head_out_all_pos", [10, 9, 2]),
  },
  {
    name: "knock-out of the last query's edges, 12 layers × 12 heads × 15 keys",
    op: "sweep_knockout",
    request: EDGES,
    rivals: [
      { peer: "TransformerLens", way: "a loop, 60 of 2160 cells, extrapolated", limit: 60, goal: 20 },
      { peer: "batched hooks", way: "90 cells in one batch" },
      { peer: "batched hooks", way: "the same, the last token alone on cached keys", how: "cached" },
    ],
  },
];

/** What both sides must agree to, in logits: float32 sums in another order. */
const TOLERANCE = 1e-3;

async function ours(model: Model, request: GridSweepRequest): Promise<{ ms: number; values: Float64Array; flops: number; naive: number }> {
  await collectGarbage();
  const start = performance.now();
  const grid = makeGrid(model.spec, request.pairs, request);
  const { metrics, cost } = await model.sweep(sweepOf(request, grid));
  const ms = performance.now() - start;
  return { ms, values: metrics["logit_diff"]!.values, flops: cost.flops, naive: cost.forecast.naiveFlops };
}

/** Throws unless a peer found what we found. */
function compare(name: string, values: Float64Array, answer: PeerAnswer): void {
  const theirs = (answer.values ?? []).flat(3) as number[];
  const { cells } = answer;
  const mine = cells ? cells.map(([layer, head, key]) => values[(layer * 12 + head) * LENGTH + key]!) : [...values];
  const off = Math.max(...theirs.map((value, i) => Math.abs(value - mine[i]!)));
  if (theirs.length !== mine.length || !(off <= TOLERANCE)) throw new Error(`${name}: not the same values, apart by ${off}`);
}

async function measure(work: Work, model: Model, peers: ReadonlyMap<string, Peer>, rounds: number): Promise<string[]> {
  const mine: number[] = [];
  const theirs = work.rivals.map((): number[] => []);
  for (let round = -1; round < rounds; round++) {
    const { ms, values } = await ours(model, work.request);
    if (round >= 0) mine.push(ms);
    for (const [i, { peer, how, limit }] of work.rivals.entries()) {
      const request = { op: work.op, ...pairOf(0), ...(how && { how }), ...(limit && { limit }) };
      const answer = await peers.get(peer)!.ask(request);
      compare(`${work.name}, ${peer}`, values, answer);
      if (round >= 0) theirs[i]!.push(answer.extrapolated_ms ?? answer.ms);
      const again = await ours(model, work.request);
      if (round >= 0) mine.push(again.ms);
    }
  }
  return work.rivals.map(({ peer, way, goal }, i) => {
    const ratio = Math.min(...theirs[i]!) / Math.min(...mine);
    const reached = goal === undefined ? "" : ratio >= goal ? "yes" : "no";
    return `| ${work.name} | ${peer}: ${way} | ${best(mine)} | ${best(theirs[i]!)} | ${ratio.toFixed(2)} | ${goal ?? ""} | ${reached} |`;
  });
}

/** Sizes of a residual sweep, one of them growing. */
const CURVES: readonly { readonly name: string; readonly of: (size: number) => GridSweepRequest; readonly sizes: readonly number[] }[] = [
  {
    name: "layers patched (the last ones), 15 positions",
    sizes: [1, 3, 6, 12],
    of: (count) => ({ ...RESIDUAL, layers: Array.from({ length: count }, (_, i) => 12 - count + i) }),
  },
  { name: "positions, 12 layers", sizes: [8, 15, 30, 60], of: (length) => ({ ...RESIDUAL, pairs: [pairOf(0, length)] }) },
  {
    name: "pairs of prompts, 12 layers × 15 positions",
    sizes: [1, 2, 4, 8],
    of: (count) => ({ ...RESIDUAL, pairs: Array.from({ length: count }, (_, i) => pairOf(i)) }),
  },
];

async function curves(model: Model, rounds: number): Promise<string[]> {
  const rows: string[] = [];
  for (const { name, sizes, of } of CURVES) {
    for (const size of sizes) {
      const runs: Awaited<ReturnType<typeof ours>>[] = [];
      for (let round = -1; round < rounds; round++) runs.push(await ours(model, of(size)));
      const times = runs.slice(1).map(({ ms }) => ms);
      const { flops, naive } = runs[0]!;
      const speed = flops / Math.min(...times) / 1e6;
      rows.push(`| ${name}: ${size} | ${best(times)} | ${(flops / 1e9).toFixed(1)} | ${(naive / 1e9).toFixed(1)} | ${speed.toFixed(0)} |`);
      console.log(rows.at(-1));
    }
  }
  return rows;
}

async function main(python: string, folder: string): Promise<void> {
  const rounds = Number(options.rounds);
  const script = { TransformerLens: "transformer_lens_peer.py", nnsight: "nnsight_peer.py", "batched hooks": "batched_hooks_peer.py" };
  const peers = new Map(Object.entries(script).map(([name, file]) => [name, new Peer(name, python, join(PEERS, file))]));
  for (const peer of peers.values()) await peer.ask({ op: "load", model: folder, threads: 2 });
  const model = await loadModel(folder, { threads: 2 });
  const table = ["| sweep | against | ours, ms | theirs, ms | ratio | goal | reached |", "|---|---|--:|--:|--:|--:|---|"];
  for (const work of WORKS) {
    const rows = await measure(work, model, peers, rounds);
    console.log(rows.join("\n"));
    table.push(...rows);
  }
  for (const peer of peers.values()) peer.end();
  const curve = [
    "| residual sweep by | ms | GFLOP done | GFLOP of full runs | GFLOP/s |",
    "|---|--:|--:|--:|--:|",
    ...(await curves(model, rounds)),
  ];
  await model.close();
  if (options.write) publish("sweeps", [...table, "", ...curve].join("\n"), rounds);
}

if (!options.python || !options.model) {
  console.error("npm run bench:sweeps -- --python PYTHON --model DIR [--rounds N] [--write]    (see bench/peers/README.md)");
  process.exitCode = 2;
} else await main(options.python, options.model);
