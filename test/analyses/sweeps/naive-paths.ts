/**
 * @file Path patching a second time, with ordinary edits of `model.forward` and nothing of `path.ts` but its types. Run 1: the sender set,
 * every output of attention and MLP behind it set to the unedited run's, the receivers' inputs read. Run 2: the receivers' inputs set. A query
 * head that shares its key or value is told by its own z, which a run in between gives. Senders are rows of one batch.
 */
import type { Receiver } from "../../../src/analyses/sweeps/path.js";
import { must } from "../../../src/base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../../src/base/tensor.js";
import { pointRow, type PointName } from "../../../src/models/points.js";
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";

/** What is patched: some heads and positions of an address, all where they are absent. */
export interface Sent {
  readonly at: string;
  readonly heads?: readonly number[];
  readonly positions?: readonly number[];
}

export interface NaivePaths {
  /** The prompt that is edited, and the one that values come from; of one length. */
  readonly base: readonly number[];
  readonly source: readonly number[];
  readonly answer: number;
  readonly wrong: number;
  readonly senders: readonly (readonly Sent[])[];
  readonly receivers: readonly Receiver[];
  readonly through: "residual" | "mlps";
}

/** logit(answer) − logit(wrong) of each sender's path, and the largest |logit| seen. */
export interface NaiveResult {
  readonly values: readonly number[];
  readonly scale: number;
}

type Values = Readonly<Record<string, Tensor>>;

/** The edits of one row. */
type RowEdits = readonly Edit[];

export async function naivePaths(model: Model, asked: NaivePaths): Promise<NaiveResult> {
  const { base, source, senders, receivers } = asked;
  const sublayers = model.spec.layers.flatMap(({ mlp }, l) => [`attn_out.${l}`, ...(mlp ? [`mlp_out.${l}`] : [])]);
  const touched = senders.flat().flatMap(({ at }) => [at, ...inputsBeside(at)]);
  const read = [...new Set([...sublayers, ...touched])];
  const run = async (tokens: readonly number[]): Promise<Values> => (await model.forward({ tokens: [tokens], read })).activations;
  const [unedited, other] = [await run(base), await run(source)];
  const sent = senders.map((sender) => sentEdits(sender, { unedited, other, through: asked.through }));
  const held = (except: string): RowEdits[] =>
    senders.map((sender, row) => [...sent[row]!, ...heldEdits(sublayers, sender, { unedited, except, through: asked.through })]);
  if (receivers.some(({ into }) => into === "end")) return measured(model, asked, held(""));
  return measured(model, asked, await tellings(model, asked, held));
}

/** What each row's receivers are set to. */
async function tellings(model: Model, asked: NaivePaths, held: (except: string) => RowEdits[]): Promise<RowEdits[]> {
  const told: Edit[][] = asked.senders.map(() => []);
  const shared: { receiver: HeadReceiver; edits: Edit[] }[] = [];
  for (const receiver of asked.receivers) {
    if (receiver.into === "end") throw new Error("the end has no input of its own");
    const at = inputOf(model, receiver);
    const heard = await rows(model, asked, held(at), at);
    const edits = heard.map((value): Edit => ({ at, op: "set", value, ...headsOf(model, receiver) }));
    const isShared = receiver.into !== "mlp" && receiver.into !== "q" && "head" in receiver && groupOf(model, receiver.layer) > 1;
    if (isShared) shared.push({ receiver, edits });
    else edits.forEach((edit, row) => told[row]!.push(edit));
  }
  const heads = [...new Set(shared.map(({ receiver }) => receiver.head))];
  const ofHeads: Edit[][] = asked.senders.map(() => []);
  for (const head of heads) {
    const mine = shared.filter(({ receiver }) => receiver.head === head);
    const at = `z.${mine[0]!.receiver.layer}`;
    const heard = await rows(
      model,
      asked,
      told.map((edits, row) => [...edits, ...mine.map((one) => one.edits[row]!)]),
      at,
    );
    heard.forEach((value, row) => ofHeads[row]!.push({ at, op: "set", value, heads: [head] }));
  }
  return told.map((edits, row) => [...edits, ...ofHeads[row]!]);
}

/** What is one receiver's own: a query or key stands apart from other heads' behind a norm that they have together. */
function inputOf({ spec }: Model, receiver: Exclude<Receiver, { into: "end" }>): string {
  const { into, layer } = receiver;
  if (into === "mlp") return `mlp_out.${layer}`;
  const isNormedTogether = into !== "v" && spec.layers[layer]!.attention.qkNorm?.over === "projection";
  return `${isNormedTogether ? "rot_" : ""}${into}.${layer}`;
}

type HeadReceiver = Extract<Receiver, { head: number }>;

function groupOf({ spec }: Model, layer: number): number {
  const { heads, kvHeads } = spec.layers[layer]!.attention;
  return heads / kvHeads;
}

/** The head axis of what a receiver reads: a query head's key and value are those of its group. */
function headsOf(model: Model, receiver: Receiver): { heads?: readonly number[] } {
  if ("kvHead" in receiver) return { heads: [receiver.kvHead] };
  if (!("head" in receiver)) return {};
  return { heads: [receiver.into === "q" ? receiver.head : Math.floor(receiver.head / groupOf(model, receiver.layer))] };
}

/** Sublayers behind the sender's first place, held at the unedited run's values; not those that are senders themselves. */
function heldEdits(
  sublayers: readonly string[],
  sender: readonly Sent[],
  { unedited, except, through }: { unedited: Values; except: string; through: "residual" | "mlps" },
): RowEdits {
  const first = Math.min(...sender.map(({ at }) => orderOf(at)));
  const own = sender.map(({ at }) => orderOf(at));
  return sublayers
    .filter((at) => orderOf(at) > first && !own.includes(orderOf(at)) && at !== except)
    .filter((at) => through === "residual" || at.startsWith("attn"))
    .map((at) => ({ at, op: "set", value: ofRow(unedited, at) }));
}

const ATTENTION = ["q", "k", "v", "rot_q", "rot_k", "attn_scores", "pattern", "z", "head_out", "attn_out_raw", "attn_out"];

/** Four steps a layer: the stream, attention, the stream, the MLP. */
function orderOf(at: string): number {
  const [point = "", layer] = at.split(".");
  if (layer === undefined) return -1;
  if (ATTENTION.includes(point)) return 4 * Number(layer) + 1;
  if (point.startsWith("mlp")) return 4 * Number(layer) + 3;
  if (point === "resid_pre") return 4 * Number(layer);
  throw new Error(`no order of ${at}`);
}

/** What else enters a sublayer beside a sender inside it: held, where an earlier sender has changed the stream. */
function inputsBeside(at: string): string[] {
  const [point, layer] = at.split(".");
  return point === "q" || point === "k" || point === "v"
    ? ["q", "k", "v"].filter((other) => other !== point).map((other) => `${other}.${layer}`)
    : [];
}

/**
 * The senders' values: the unedited run's with the other run's at the places that are patched. So a later sender's own sublayer
 * says nothing of what an earlier sender changed, but for its patch. The stream is patched where it is selected, and carries on elsewhere;
 * so do MLPs where they may carry the change.
 */
function sentEdits(
  sender: readonly Sent[],
  { unedited, other, through }: { unedited: Values; other: Values; through: "residual" | "mlps" },
): RowEdits {
  const edits = new Map<string, Edit>();
  for (const { at, heads, positions } of sender) {
    const carries = at.startsWith("resid") || at.startsWith("embed") || (through === "mlps" && at.startsWith("mlp"));
    if (carries) {
      edits.set(at, { at, op: "set", value: ofRow(other, at), ...(positions && { positions }) });
      continue;
    }
    for (const beside of inputsBeside(at))
      if (!edits.has(beside)) edits.set(beside, { at: beside, op: "set", value: ofRow(unedited, beside) });
    const before = edits.get(at);
    const value = before && "value" in before ? (before.value as Tensor<Float32Array>) : ofRow(unedited, at);
    edits.set(at, { at, op: "set", value: mixed(value, ofRow(other, at), { heads, positions, hasHeads: hasHeads(at) }) });
  }
  return [...edits.values()];
}

function hasHeads(at: string): boolean {
  const { axes } = pointRow(at.split(".")[0] as PointName);
  return axes[2] === "head" || axes[2] === "kv_head";
}

function mixed(
  own: Tensor<Float32Array>,
  theirs: Tensor<Float32Array>,
  at: { heads: readonly number[] | undefined; positions: readonly number[] | undefined; hasHeads: boolean },
): Tensor<Float32Array> {
  const [count = 0, heads = 0] = own.shape;
  const width = own.data.length / count / (at.hasHeads ? heads : 1);
  const data = own.data.map((value, i) => {
    const vector = Math.floor(i / width);
    const [position, head] = at.hasHeads ? [Math.floor(vector / heads), vector % heads] : [vector, 0];
    const isPatched = (at.positions?.includes(position) ?? true) && (at.heads?.includes(head) ?? true);
    return isPatched ? theirs.data[i]! : value;
  });
  return tensor(data, own.shape);
}

function ofRow(values: Values, at: string, row = 0): Tensor<Float32Array> {
  const { data, shape } = must(values[at], at);
  const size = sizeOf(shape.slice(1));
  return tensor(data.slice(row * size, (row + 1) * size) as Float32Array, shape.slice(1));
}

/** One value a row, read under each row's edits. */
async function rows(model: Model, { base }: NaivePaths, edits: readonly RowEdits[], at: string): Promise<Tensor<Float32Array>[]> {
  const { activations } = await model.forward({ tokens: edits.map(() => base), edits: inRows(edits), read: [at], logits: false });
  return edits.map((_, row) => ofRow(activations, at, row));
}

async function measured(model: Model, { base, answer, wrong }: NaivePaths, edits: readonly RowEdits[]): Promise<NaiveResult> {
  const { logits } = await model.forward({ tokens: edits.map(() => base), edits: inRows(edits) });
  const { data, shape } = must(logits, "logits");
  const vocab = shape.at(-1)!;
  return {
    values: edits.map((_, row) => data[row * vocab + answer]! - data[row * vocab + wrong]!),
    scale: data.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0),
  };
}

function inRows(edits: readonly RowEdits[]): Edit[] {
  return edits.flatMap((own, row) => own.map((edit) => ({ ...edit, rows: [row] })));
}
