/**
 * @file Training steps against torch: forward, loss, backward and AdamW of the same Llama on the same batch, the three sides in turns. The
 * gradients of the first step are compared element by element, and the loss of every step, before a time counts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  COUNTDOWN,
  initialise,
  makeAdamW,
  openStep,
  planModel,
  readSafetensors,
  writeModel,
  type AdamW,
  type Batch,
  type CountdownRecipe,
  type ModelStep,
} from "../dist/index.js";
import { configOf } from "../dist/training/countdown/recipe.js";
import { farthest } from "./farthest.js";
import { Peer, type PeerAnswer, PEERS } from "./peer.js";
import { best, collectGarbage } from "./report.js";

/** What one row of the table is of. */
interface Shape {
  readonly name: string;
  readonly model: CountdownRecipe["model"];
  readonly vocab?: number;
  readonly rows: number;
  readonly length: number;
}

const SHAPES: readonly Shape[] = [
  { name: "the CountDown model, 32 × 100 tokens", model: COUNTDOWN.model, rows: 32, length: 100 },
  {
    name: "d 384, 6 layers, 4096 words, 8 × 128 tokens",
    model: { layers: 6, dModel: 384, heads: 6, dMlp: 1024 },
    vocab: 4096,
    rows: 8,
    length: 128,
  },
];

/** Small, so that both sides stay on the same path for all rounds. */
const RATE = 1e-5;
const GOAL = 0.8;
const ATTENTIONS = ["eager", "sdpa"] as const;
/** Of the largest gradient of a tensor, and of the loss: float32 sums in another order. */
const TOLERANCE = { gradient: 1e-3, loss: 1e-4 } as const;

/** The rows of the table. */
export async function trainingRows(python: string, rounds: number): Promise<string[]> {
  const rows: string[] = [];
  for (const shape of SHAPES) rows.push(...(await measure(shape, python, rounds)));
  return rows;
}

async function measure(shape: Shape, python: string, rounds: number): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "sextant-bench-"));
  // transformers gives the row of a padding token no gradient as an embedding; here its number is a token like others.
  const { pad_token_id: _, ...base } = configOf({ ...COUNTDOWN, model: shape.model });
  const config = { ...base, vocab_size: shape.vocab ?? (base["vocab_size"] as number) };
  const { spec } = planModel(config);
  const parameters = initialise(spec, { seed: 1 });
  writeModel(folder, parameters, { config });
  const peers = ATTENTIONS.map((name) => new Peer(`torch, ${name}`, python, join(PEERS, "training_peer.py")));
  const step = openStep(spec, parameters, { threads: 2 });
  try {
    for (const [i, peer] of peers.entries())
      await peer.ask({ op: "load", model: folder, attention: ATTENTIONS[i], rate: RATE, threads: 2 });
    const turns = { step, optimiser: makeAdamW(parameters), batch: batchOf(shape, config.vocab_size), peers, folder };
    return rowsOf(shape.name, await takeTurns(turns, rounds));
  } finally {
    await step.close();
    for (const peer of peers) peer.end();
    rmSync(folder, { recursive: true });
  }
}

function batchOf({ rows, length }: Shape, vocab: number): Batch {
  return {
    tokens: Array.from({ length: rows }, (_, row) => Array.from({ length }, (_none, i) => (i * 7919 + row * 104_729 + 13) % vocab)),
  };
}

interface Turns {
  readonly step: ModelStep;
  readonly optimiser: AdamW;
  readonly batch: Batch;
  readonly peers: readonly Peer[];
  readonly folder: string;
}

interface Times {
  readonly whole: number[];
  /** AdamW alone, which `whole` contains. */
  readonly update: number[];
  readonly theirs: readonly number[][];
}

/** A step of each side in each round; the first two rounds are not counted. */
async function takeTurns({ step, optimiser, batch, peers, folder }: Turns, rounds: number): Promise<Times> {
  const times: Times = { whole: [], update: [], theirs: peers.map(() => []) };
  for (let round = -2; round < rounds; round++) {
    await collectGarbage();
    const start = performance.now();
    const { loss, gradients } = await step.run(batch);
    const between = performance.now();
    optimiser.update(gradients, { learningRate: RATE });
    const end = performance.now();
    if (round >= 0) times.whole.push(end - start);
    if (round >= 0) times.update.push(end - between);
    for (const [i, peer] of peers.entries()) {
      const save = join(folder, `gradients-${i}.safetensors`);
      const request = { op: "step", tokens: batch.tokens, ...(round === -2 && { save }) };
      const answer = (await peer.ask(request)) as PeerAnswer & { readonly value: number };
      if (round === -2) compareGradients(peer.name, gradients, save);
      const off = Math.abs(answer.value - loss);
      if (!(off <= TOLERANCE.loss)) throw new Error(`${peer.name}: not the same loss in round ${round}, apart by ${off}`);
      if (round >= 0) times.theirs[i]!.push(answer.ms);
    }
  }
  return times;
}

/** Throws unless the peer found the gradients that we found. */
function compareGradients(name: string, gradients: ReadonlyMap<string, Float32Array>, path: string): void {
  const theirs = readSafetensors(path);
  if (theirs.size !== gradients.size) throw new Error(`${name}: ${theirs.size} gradients for ${gradients.size}`);
  for (const [parameter, mine] of gradients) {
    const off = farthest(mine, theirs.get(parameter)?.data);
    if (!(off <= TOLERANCE.gradient)) throw new Error(`${name}: not the same gradient by ${parameter}, apart by ${off} of the largest`);
  }
}

function rowsOf(name: string, { whole, update, theirs }: Times): string[] {
  return ATTENTIONS.map((attention, i) => {
    const ratio = Math.min(...theirs[i]!) / Math.min(...whole);
    const mine = `${best(whole)}, of which AdamW ${Math.min(...update).toFixed(1)}`;
    return `| ${name} | torch, ${attention} | ${mine} | ${best(theirs[i]!)} | ${ratio.toFixed(2)} | ${GOAL} | ${ratio >= GOAL ? "yes" : "no"} |`;
  });
}
