/**
 * @file Logits of chosen positions and tokens. Only the rows asked for pass the last norm and the unembedding; for a few
 * tokens their columns are read from the checkpoint and multiplied here, so that no vocabulary-wide product runs.
 */
import { must } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { LinearSpec, ModelSpec } from "../models/spec.js";
import { areFinite, explainNonFinite } from "./diagnose.js";
import { ownValue, type Engine, type Plan } from "./engine.js";
import type { Pass } from "./pass.js";
import type { Held } from "./session.js";

/** Most tokens whose columns are picked out rather than computed with all the rest. */
const FEW_TOKENS = 64;

export interface LogitsRun {
  readonly engine: Engine;
  readonly checkpoint: Checkpoint;
  readonly pass: Pass;
  readonly plan: Plan;
  /** Indices into each row of the pass; rows may ask for different numbers of them. */
  readonly positions: readonly (readonly number[])[];
  readonly tokens?: readonly number[] | undefined;
}

/**
 * Logits of the stream behind the last block: batch, pos, vocab (zeros past a row's own positions). Of the logits only the first
 * row is searched for what is not a number: a broken weight of the unembedding spoils its column in every row alike.
 */
export async function logitsOf(stream: Held, run: LogitsRun): Promise<Tensor<Float32Array>> {
  const { engine, pass, positions, tokens } = run;
  const rows = await normalisedRows(stream, run);
  const columns = tokens ? await tokenColumns(rows, run, tokens) : await allColumns(rows, engine);
  const width = Math.max(...positions.map((list) => list.length));
  const vocab = tokens?.length ?? engine.spec.vocabOut;
  if (!areFinite(rows.data) || !areFinite(columns.subarray(0, vocab))) {
    throw explainNonFinite(run.checkpoint, engine.spec, { hasEdits: run.plan.edits.length > 0 });
  }
  const shape = [pass.rows.length, width, vocab];
  const axes = ["batch", "pos", "vocab"];
  if (positions.every((list) => list.length === width)) return tensor(columns, shape, axes);
  const padded = new Float32Array(pass.rows.length * width * vocab);
  let from = 0;
  positions.forEach((list, row) => {
    padded.set(columns.subarray(from, from + list.length * vocab), row * width * vocab);
    from += list.length * vocab;
  });
  return tensor(padded, shape, axes);
}

/** The normalised rows at the positions asked for. Where the norm is read, edited or continued from, all rows pass it first. */
async function normalisedRows(stream: Held, { engine, pass, plan, positions }: LogitsRun): Promise<Held> {
  const isFinal = (point: string): boolean => point === "final_normalized" || point === "final_scale";
  const touched = [...plan.reads.map(({ point }) => point), ...plan.edits.map(({ place }) => place.point), plan.replace?.address ?? ""];
  const flat: Held = { ...stream, dims: [pass.rows.length * pass.width, engine.spec.dModel] };
  if (touched.some(isFinal)) return pickRows(await engine.normalise(flat, { pass, plan }), pass, positions);
  return engine.normalise(pickRows(flat, pass, positions));
}

function pickRows(all: Held, pass: Pass, positions: readonly (readonly number[])[]): Held {
  const [count = 0, width = 0] = all.dims;
  const wanted = positions.flatMap((list, row) => list.map((position) => row * pass.width + position));
  if (wanted.length === count && wanted.every((row, index) => row === index)) return all;
  const picked = new Float32Array(wanted.length * width);
  wanted.forEach((row, index) => picked.set((all.data as Float32Array).subarray(row * width, (row + 1) * width), index * width));
  return ownValue(picked, [wanted.length, width]);
}

async function allColumns(rows: Held, engine: Engine): Promise<Float32Array> {
  return (await engine.unembed(rows)).data as Float32Array;
}

/** Whether so few logits are asked for, and the unembedding is such, that their columns are read and multiplied on their own. */
export function areColumnsPicked({ head: { project, unembed } }: ModelSpec, tokens: number): boolean {
  return tokens <= FEW_TOKENS && !project && unembed.layout === "out_in" && !unembed.adapter && !unembed.quantised;
}

/** Columns of the logits for a few tokens, row-major over normalised rows and tokens; for many, all are computed and these picked. */
export async function tokenColumns(
  rows: Held,
  { engine, checkpoint }: Pick<LogitsRun, "engine" | "checkpoint">,
  tokens: readonly number[],
): Promise<Float32Array> {
  const { spec } = engine;
  const count = rows.dims[0] ?? 0;
  const out = new Float32Array(count * tokens.length);
  if (!areColumnsPicked(spec, tokens.length)) {
    const all = await allColumns(rows, engine);
    for (let row = 0; row < count; row++) tokens.forEach((token, i) => (out[row * tokens.length + i] = all[row * spec.vocabOut + token]!));
    return out;
  }
  const { weights, bias } = columnsOf(spec.head.unembed, checkpoint, tokens);
  const width = spec.head.unembed.in;
  for (let row = 0; row < count; row++) {
    tokens.forEach((_, i) => {
      let total = bias?.[i] ?? 0;
      for (let unit = 0; unit < width; unit++) total += (rows.data[row * width + unit] as number) * weights[i * width + unit]!;
      out[row * tokens.length + i] = finished(spec, total);
    });
  }
  return out;
}

function columnsOf(
  unembed: LinearSpec,
  checkpoint: Checkpoint,
  tokens: readonly number[],
): { weights: Float32Array; bias: number[] | undefined } {
  const biases = unembed.bias && checkpoint.readFloat32(unembed.bias.name);
  return {
    weights: checkpoint.readRows(unembed.weight.name, tokens),
    bias: biases && tokens.map((token) => must(biases[token], `bias ${token}`)),
  };
}

function finished({ head }: ModelSpec, logit: number): number {
  const scaled = logit * (head.multiplier ?? 1);
  return head.softcap === undefined ? scaled : head.softcap * Math.tanh(scaled / head.softcap);
}
