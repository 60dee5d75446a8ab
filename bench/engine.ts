/**
 * @file Sextant's engine against the peers: the same work on the same model, in turns, in one run. Prints minima, medians and
 * ratios; with `--write` puts the table into docs/benchmarks.md. `bench/peers/README.md` says how to set the peers up.
 *
 * npm run bench -- --python PYTHON --model DIR [--rounds N] [--write]
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadModel, type Model } from "../dist/index.js";
import { Peer, PEERS } from "./peer.js";
import { best, collectGarbage, publish } from "./report.js";

const { values: options } = parseArgs({
  options: {
    python: { type: "string" },
    model: { type: "string" },
    rounds: { type: "string", default: "9" },
    write: { type: "boolean", default: false },
  },
});

/** One comparison: what we do, what the peer does, and the ratio that was aimed at. */
interface Work {
  readonly name: string;
  readonly peer: "transformers" | "TransformerLens";
  readonly goal: number;
  readonly request: object;
  readonly ours: (model: Model) => Promise<number | undefined>;
}

interface Measured {
  readonly work: Work;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

const tokens = (count: number): number[] => Array.from({ length: count }, (_, i) => (i * 7919 + 13) % 50257);

/** Every point but each head's own output, which TransformerLens too computes only on demand. */
function everyPoint(): string[] {
  const layered = ["resid_pre", "ln1_scale", "ln1_normalized", "q", "k", "v", "attn_scores", "pattern", "z", "attn_out", "resid_mid"];
  const rest = ["ln2_scale", "ln2_normalized", "mlp_pre", "mlp_post", "mlp_out", "resid_post"];
  return ["embed", "pos_embed", ...[...layered, ...rest].map((point) => `${point}.*`), "final_scale", "final_normalized"];
}

function forwardWork(count: number, logits: "all" | "last", goal: number): Work {
  return {
    name: `forward, T = ${count}, logits ${logits === "all" ? "everywhere" : "at the last position"}`,
    peer: "transformers",
    goal,
    request: { op: "forward", tokens: [tokens(count)], logits },
    ours: async (model) => lastChecksum(await model.forward({ tokens: [tokens(count)], logits: { positions: logits } })),
  };
}

function readWork(count: number, goal: number): Work {
  return {
    name: `every point read, T = ${count}`,
    peer: "TransformerLens",
    goal,
    request: { op: "read_all", tokens: [tokens(count)] },
    ours: async (model) => {
      await model.forward({ tokens: [tokens(count)], read: everyPoint(), logits: { positions: "all" } });
      return undefined;
    },
  };
}

const STEER = Float32Array.from({ length: 768 }, (_, i) => (i % 2 === 0 ? 0.1 : -0.1));

const WORKS: readonly Work[] = [
  ...([1, 16, 128, 512] as const).flatMap((count) => {
    const goal = count <= 16 ? 1.2 : count === 128 ? 1.1 : 1;
    return [forwardWork(count, "all", goal), forwardWork(count, "last", goal)];
  }),
  readWork(16, 2),
  readWork(128, 2),
  readWork(512, 1.3),
  {
    name: "greedy decode, 32 tokens after 16",
    peer: "transformers",
    goal: 1.3,
    request: { op: "generate", tokens: [tokens(16)], new: 32 },
    ours: async (model) => void (await model.generate({ tokens: [tokens(16)], maxNew: 32, stopTokens: [] })) as undefined,
  },
  {
    name: "forward with an edit at one layer, T = 128",
    peer: "transformers",
    goal: 1.1,
    request: { op: "edit", tokens: [tokens(128)], layer: 5, logits: "all" },
    ours: async (model) => {
      const edits = [{ at: "resid_post.5", op: "add", vector: { data: STEER, shape: [768], axes: ["d_model"] } }] as const;
      return lastChecksum(await model.forward({ tokens: [tokens(128)], edits, logits: { positions: "all" } }));
    },
  },
];

/** Σ |logit| of the last position, as the peers report it. */
function lastChecksum({ logits }: Awaited<ReturnType<Model["forward"]>>): number {
  const vocab = logits?.shape[2] ?? 0;
  let sum = 0;
  for (const value of logits?.data.subarray(-vocab) ?? []) sum += Math.abs(value);
  return sum;
}

async function measure(work: Work, model: Model, peer: Peer, rounds: number): Promise<Measured> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = -1; round < rounds; round++) {
    await collectGarbage();
    const start = performance.now();
    const checksum = await work.ours(model);
    const mine = performance.now() - start;
    const answer = await peer.ask(work.request);
    if (checksum !== undefined && answer.checksum !== undefined && Math.abs(checksum / answer.checksum - 1) > 1e-4) {
      throw new Error(`${work.name}: not the same work, ${checksum} against ${answer.checksum}`);
    }
    if (round < 0) continue;
    ours.push(mine);
    theirs.push(answer.ms);
  }
  return { work, ours, theirs };
}

/** The edit's own cost: our forward with an edit inside a block against ours without, in turns. */
async function editCost(model: Model, rounds: number): Promise<string> {
  const request = { tokens: [tokens(128)], logits: { positions: "all" } } as const;
  const edits = [{ at: "z.5", op: "scale", by: 0.5 }] as const;
  const [plain, edited]: [number[], number[]] = [[], []];
  for (let round = -1; round < rounds; round++) {
    for (const [list, extra] of [
      [plain, {}],
      [edited, { edits }],
    ] as const) {
      const start = performance.now();
      await model.forward({ ...request, ...extra });
      if (round >= 0) list.push(performance.now() - start);
    }
  }
  return `| our forward with an edit inside one block against without, T = 128 (goal ≤ 1.05) | ${best(edited)} | ${best(plain)} | ${(Math.min(...edited) / Math.min(...plain)).toFixed(2)} | |`;
}

/** Whole processes, from start to the first activation: median of `times`. */
function startUp(python: string, folder: string): string {
  const run = (command: string, args: string[]): number => {
    const times = Array.from({ length: 3 }, () => {
      const start = performance.now();
      const done = spawnSync(command, args, { env: { ...process.env, HF_HUB_OFFLINE: "1" } });
      if (done.status !== 0) throw new Error(done.stderr.toString());
      return performance.now() - start;
    });
    return Math.min(...times);
  };
  const out = join(process.env["TMPDIR"] ?? "/tmp", `sextant-bench-${process.pid}.safetensors`);
  const row = JSON.stringify([tokens(8)]);
  const ours = run(process.execPath, [
    join(import.meta.dirname, "../bin/sextant.js"),
    "read",
    folder,
    "--tokens",
    row,
    "--points",
    "resid_post.6",
    "--out",
    out,
  ]);
  const theirs = run(python, [join(PEERS, "startup_transformer_lens.py"), folder]);
  return `| process start to first activation, against TransformerLens (goal 4) | ${ours.toFixed(0)} | ${theirs.toFixed(0)} | ${(theirs / ours).toFixed(2)} | ${theirs / ours >= 4 ? "yes" : "no"} |`;
}

function line({ work, ours, theirs }: Measured): string {
  const ratio = Math.min(...theirs) / Math.min(...ours);
  return `| ${work.name}, against ${work.peer} (goal ${work.goal}) | ${best(ours)} | ${best(theirs)} | ${ratio.toFixed(2)} | ${ratio >= work.goal ? "yes" : "no"} |`;
}

async function main(python: string, folder: string): Promise<void> {
  const rounds = Number(options.rounds);
  const table = ["| work | ours, ms | theirs, ms | ratio | goal reached |", "|---|--:|--:|--:|---|", startUp(python, folder)];
  const peers = {
    transformers: new Peer("transformers", python, join(PEERS, "transformers_peer.py")),
    TransformerLens: new Peer("TransformerLens", python, join(PEERS, "transformer_lens_peer.py")),
  };
  for (const peer of Object.values(peers)) await peer.ask({ op: "load", model: folder, threads: 2 });
  const model = await loadModel(folder, { threads: 2 });
  for (const work of WORKS) {
    const row = line(await measure(work, model, peers[work.peer], rounds));
    console.log(row);
    table.push(row);
  }
  table.push(await editCost(model, rounds));
  for (const peer of Object.values(peers)) peer.end();
  await model.close();
  console.log(table.join("\n"));
  if (options.write) publish("engine", table.join("\n"), rounds);
}

if (!options.python || !options.model) {
  console.error("npm run bench -- --python PYTHON --model DIR [--rounds N] [--write]    (see bench/peers/README.md)");
  process.exitCode = 2;
} else await main(options.python, options.model);
