/**
 * @file Greedy decoding with weights of four bits against llama.cpp and transformers.js, in turns, in one run, each in a process of its own. Prints
 * tokens a second and each process's largest memory; with `--write` puts the table into docs/benchmarks.md. `bench/peers/README.md` says how to
 * set the peers up.
 *
 * npm run bench:decode -- --gguf FILE [--onnx FOLDER] [--peers FOLDER] [--rounds N] [--new N] [--write]
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { parseArgs } from "node:util";
import { loadTokenizer } from "../dist/index.js";
import { Peer, type PeerAnswer, PEERS } from "./peer.js";
import { publish } from "./report.js";

const { values: options } = parseArgs({
  options: {
    gguf: { type: "string" },
    onnx: { type: "string" },
    peers: { type: "string", default: join(env["SEXTANT_PEERS"] ?? join(homedir(), ".cache/sextant-peers"), "node") },
    rounds: { type: "string", default: "5" },
    new: { type: "string", default: "64" },
    write: { type: "boolean", default: false },
  },
});

const PROMPT = "The capital of France is Paris. It lies on the Seine, and";
const THREADS = 2;

/** Who generates, and what it is asked besides the prompt. */
interface Side {
  readonly name: string;
  readonly peer: Peer;
  readonly request: object;
  /** Share of llama.cpp's speed that is aimed at. */
  readonly goal?: number;
}

interface Measured {
  readonly side: Side;
  readonly answers: readonly PeerAnswer[];
}

async function sides(gguf: string, onnx: string | undefined): Promise<Side[]> {
  process.env["SEXTANT_NODE_PEERS"] = options.peers;
  const start = (name: string, script: string): Peer => new Peer(name, process.execPath, join(PEERS, script));
  const llama = start("llama.cpp", "llama-peer.mjs");
  await llama.ask({ op: "load", model: gguf, threads: THREADS, context: 512 });
  const ours = start("Sextant", "sextant-peer.mjs");
  await ours.ask({ op: "load", model: gguf, threads: THREADS, weights: "int4" });
  const theirs = [{ name: "llama.cpp, by node-llama-cpp", peer: llama, request: {} }];
  if (onnx !== undefined) {
    const js = start("transformers.js", "transformers-js-peer.mjs");
    await js.ask({ op: "load", model: onnx, threads: THREADS });
    theirs.push({ name: "transformers.js, 4 bits", peer: js, request: {} });
  }
  return [
    ...theirs,
    { name: "Sextant, int4", peer: ours, request: { edits: "none" }, goal: 0.8 },
    { name: "Sextant, int4, an edit between blocks at every fourth layer", peer: ours, request: { edits: "between" }, goal: 0.75 },
    { name: "Sextant, int4, an edit inside every fourth block", peer: ours, request: { edits: "inside" }, goal: 0.75 },
  ];
}

/** All sides in turns; the first round warms up and does not count. */
async function measure(all: readonly Side[], prompt: readonly number[], rounds: number): Promise<Measured[]> {
  const answers = all.map((): PeerAnswer[] => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, { peer, request }] of all.entries()) {
      const answer = await peer.ask({ op: "generate", tokens: [prompt], new: Number(options.new), ...request });
      if (round >= 0) answers[i]!.push(answer);
    }
  }
  return all.map((side, i) => ({ side, answers: answers[i]! }));
}

/** Tokens a second behind the first token, at best and in the middle. */
function speeds({ answers }: Measured): { best: number; median: number } {
  const sorted = answers.map(({ ms }) => ((Number(options.new) - 1) * 1000) / ms).toSorted((a, b) => b - a);
  return { best: sorted[0]!, median: sorted[sorted.length >> 1]! };
}

/** How many of the first tokens are llama.cpp's. */
function shared(mine: readonly number[], theirs: readonly number[]): number {
  const apart = mine.findIndex((token, i) => token !== theirs[i]);
  return apart < 0 ? mine.length : apart;
}

function table(measured: readonly Measured[]): string {
  const [llama] = measured;
  const reference = speeds(llama!);
  const tokensOf = ({ answers }: Measured): readonly number[] => answers[0]?.tokens?.[0] ?? [];
  const rows = measured.map((one) => {
    const { best, median } = speeds(one);
    const ratio = best / reference.best;
    const { goal } = one.side;
    const peak = Math.max(...one.answers.map(({ peak_mb }) => peak_mb));
    const reached = goal === undefined ? "" : ratio >= goal ? "yes" : "no";
    return `| ${one.side.name} | ${best.toFixed(1)} (${median.toFixed(1)}) | ${ratio.toFixed(2)} | ${goal ?? ""} | ${reached} | ${peak.toFixed(0)} | ${shared(tokensOf(one), tokensOf(llama!))} |`;
  });
  const head = `| decoding | tokens a second | of llama.cpp's | goal | reached | peak memory, MiB | first tokens alike, of ${options.new} |`;
  return [head, "|---|--:|--:|--:|---|--:|--:|", ...rows].join("\n");
}

async function main(gguf: string): Promise<void> {
  const { ids } = loadTokenizer(gguf).encode(PROMPT);
  const all = await sides(gguf, options.onnx);
  const rounds = Number(options.rounds);
  const made = table(await measure(all, ids, rounds));
  for (const peer of new Set(all.map((side) => side.peer))) peer.end();
  console.log(made);
  if (options.write) publish("decode", made, rounds);
}

if (options.gguf === undefined) {
  console.error("npm run bench:decode -- --gguf FILE [--onnx FOLDER] [--rounds N] [--write]    (see bench/peers/README.md)");
  process.exitCode = 2;
} else await main(options.gguf);
