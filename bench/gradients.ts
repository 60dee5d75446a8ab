/**
 * @file Gradients against the peers, in turns, in one run: training steps against torch (`training-steps.ts`), and the gradients of a
 * metric by every point against backward hooks of TransformerLens and against our own forward pass. What both sides found is compared
 * before a time counts. `bench/peers/README.md` says how to set the peers up.
 *
 * npm run bench:gradients -- --python PYTHON --model DIR [--rounds N] [--write]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { expandAddresses, loadModel, readSafetensors, type GradientResult, type Model, type Place, type PointName } from "../dist/index.js";
import { farthest } from "./farthest.js";
import { Peer, PEERS } from "./peer.js";
import { best, collectGarbage, publish } from "./report.js";
import { trainingRows } from "./training-steps.js";

const { values: options } = parseArgs({
  options: {
    python: { type: "string" },
    model: { type: "string" },
    rounds: { type: "string", default: "7" },
    write: { type: "boolean", default: false },
  },
});

const [ANSWER, WRONG] = [5, 9];
const METRIC = `logits[-1,${ANSWER}]-logits[-1,${WRONG}]`;
const rowOf = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7919 + 13) % 50257);

/**
 * Where TransformerLens has the same value. Its `hook_resid_mid` is the input of the second norm, whose gradient is that through the norm
 * alone: what goes past it is the gradient of `hook_out`, and the two together are that of `resid_mid`.
 */
const HOOKS: Partial<Record<PointName, string>> = {
  embed: "embed.hook_out",
  pos_embed: "pos_embed.hook_out",
  resid_pre: "hook_in",
  ln1_scale: "ln1.hook_scale",
  ln1_normalized: "ln1.hook_out",
  q: "attn.q.hook_out",
  k: "attn.k.hook_out",
  v: "attn.v.hook_out",
  attn_scores: "attn.hook_attn_scores",
  pattern: "attn.hook_pattern",
  z: "attn.o.hook_in",
  attn_out: "attn.hook_out",
  resid_mid: "ln2.hook_in",
  ln2_scale: "ln2.hook_scale",
  ln2_normalized: "ln2.hook_out",
  mlp_pre: "mlp.in.hook_out",
  mlp_post: "mlp.out.hook_in",
  mlp_out: "mlp.hook_out",
  resid_post: "hook_out",
  final_scale: "ln_final.hook_scale",
  final_normalized: "ln_final.hook_out",
};

function hookOf({ point, layer }: Place): string {
  return layer === undefined ? HOOKS[point]! : `blocks.${layer}.${HOOKS[point]}`;
}

/** Of the largest gradient at a point: float32 sums in another order. */
const TOLERANCE = 2e-3;

/** Throws unless the peer found, at every place, the gradient that we found. */
function compare(places: readonly Place[], { gradients }: GradientResult, path: string): void {
  const theirs = readSafetensors(path);
  for (const place of places) {
    const found = theirs.get(hookOf(place))?.data as Float32Array | undefined;
    const past = place.point === "resid_mid" ? theirs.get(`blocks.${place.layer}.hook_out`)?.data : undefined;
    const off = farthest(gradients[place.address]!.data, past ? found?.map((value, i) => value + (past[i] as number)) : found);
    if (!(off <= TOLERANCE)) throw new Error(`not the same gradient at ${place.address}, apart by ${off} of the largest`);
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
  await collectGarbage();
  const start = performance.now();
  const result = await work();
  return { ms: performance.now() - start, result };
}

/** Ways of the peer: as its tutorials have it, and the least that it can do. */
const WAYS = [
  { way: "backward hooks, as its tutorials have it", how: undefined, goal: 1.3 },
  { way: "backward hooks, weights frozen, last logits only", how: "frozen", goal: undefined },
] as const;

/** Our works, each with its times. */
interface Times {
  readonly all: number[];
  readonly same: number[];
  readonly forward: number[];
  readonly lean: number[];
  readonly theirs: readonly number[][];
}

async function takeTurns(model: Model, peer: Peer, length: number, rounds: number): Promise<{ times: Times; places: readonly Place[] }> {
  const tokens = [rowOf(length)];
  const places = expandAddresses(model.spec, ["all"]).filter(({ point }) => HOOKS[point]);
  const at = places.map(({ address }) => address);
  const times: Times = { all: [], same: [], forward: [], lean: [], theirs: WAYS.map(() => []) };
  const folder = mkdtempSync(join(tmpdir(), "sextant-bench-"));
  const works: Record<Exclude<keyof Times, "theirs" | "same">, () => Promise<unknown>> = {
    all: () => model.gradient({ tokens, of: METRIC, at: ["all"] }),
    forward: () => model.forward({ tokens }),
    lean: () => model.forward({ tokens, logits: { tokens: [ANSWER, WRONG] } }),
  };
  for (let round = -2; round < rounds; round++) {
    for (const [name, work] of Object.entries(works)) {
      const { ms } = await timed(work);
      if (round >= 0) times[name as keyof typeof works].push(ms);
    }
    for (const [i, { how }] of WAYS.entries()) {
      const { ms, result } = await timed(() => model.gradient({ tokens, of: METRIC, at }));
      const save = join(folder, `${i}.safetensors`);
      const request = { op: "gradient", tokens, answer: ANSWER, wrong: WRONG, hooks: places.map(hookOf) };
      const answer = await peer.ask({ ...request, ...(how && { how }), ...(round === -2 && { save }) });
      if (round === -2) compare(places, result, save);
      if (round >= 0) times.same.push(ms);
      if (round >= 0) times.theirs[i]!.push(answer.ms);
    }
  }
  rmSync(folder, { recursive: true });
  return { times, places };
}

async function pointRows(model: Model, peer: Peer, length: number, rounds: number): Promise<string[]> {
  const { times, places } = await takeTurns(model, peer, length, rounds);
  const { all, same, forward, lean, theirs } = times;
  const count = expandAddresses(model.spec, ["all"]).filter(({ point }) => point !== "logits").length;
  const within = Math.min(...all) / Math.min(...forward);
  const ours = (what: string, theirTimes: readonly number[]): string =>
    `| T = ${length}, all ${count} points | our forward, ${what} | ${best(all)} | ${best(theirTimes)} |`;
  return [
    `${ours("logits of the last position", forward)} ${(1 / within).toFixed(2)} | 0.31 (≤ 3.2 forwards) | ${within <= 3.2 ? "yes" : "no"} |`,
    `${ours("the metric's two logits", lean)} ${(Math.min(...lean) / Math.min(...all)).toFixed(2)} | | |`,
    ...WAYS.map(({ way, goal }, i) => {
      const ratio = Math.min(...theirs[i]!) / Math.min(...same);
      const reached = goal === undefined ? "" : ratio >= goal ? "yes" : "no";
      const name = `T = ${length}, the ${places.length} points that TransformerLens has`;
      return `| ${name} | TransformerLens: ${way} | ${best(same)} | ${best(theirs[i]!)} | ${ratio.toFixed(2)} | ${goal ?? ""} | ${reached} |`;
    }),
  ];
}

async function main(python: string, folder: string): Promise<void> {
  const rounds = Number(options.rounds);
  const table = ["| work | against | ours, ms | theirs, ms | ratio | goal | reached |", "|---|---|--:|--:|--:|--:|---|"];
  const add = (rows: readonly string[]): void => {
    console.log(rows.join("\n"));
    table.push(...rows);
  };
  add((await trainingRows(python, rounds)).map((row) => row.replace("| ", "| training step, ")));
  const model = await loadModel(folder, { threads: 2 });
  const peer = new Peer("TransformerLens", python, join(PEERS, "gradient_hooks_peer.py"));
  await peer.ask({ op: "load", model: folder, threads: 2 });
  for (const length of [16, 128]) add(await pointRows(model, peer, length, rounds));
  peer.end();
  await model.close();
  if (options.write) publish("gradients", table.join("\n"), rounds);
}

if (!options.python || !options.model) {
  console.error("npm run bench:gradients -- --python PYTHON --model DIR [--rounds N] [--write]    (see bench/peers/README.md)");
  process.exitCode = 2;
} else await main(options.python, options.model);
