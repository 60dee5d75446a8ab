/**
 * @file Path patching (Wang et al. 2022, arXiv 2211.00593, section 3.1; Goldowsky-Dill et al. 2023, arXiv 2304.05969): what a sender says to
 * a receiver directly. Three runs a sender:
 *
 * 1. the sender is patched and everything between it and the receiver is held at the unedited run's values, so that only the residual
 *    stream carries the change; the receiver's input is read there,
 * 2. the receiver alone gets that input, everything else being unedited,
 * 3. the rest of the model runs on and is measured.
 *
 * `through: "mlps"` lets MLPs in between compute anew, as Wang et al. do. Keys and values of grouped heads are one for several query heads;
 * a receiver that is one query head is told of the change through its own scores or its own z, so that its neighbours notice nothing.
 *
 * When it misleads: a path counts only what goes straight; what is relayed by a third component is that component's path. Effects of
 * paths do not add up, since norms and softmax are not linear.
 */
import { must, refuse, SextantError } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { inForwardOrder, parseAddress, stageOf, type Place } from "../../models/address.js";
import type { PointName } from "../../models/points.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Model } from "../../runtime/model.js";
import type { Counterfactual, SweepEdit, SweepOptions, SweepRequest, SweepResult } from "../../runtime/sweep/request.js";

/** Who is told: a head's query, key or value, a whole group's key or value (`kvHead`), an MLP, or the end of the stream. */
export type Receiver =
  | { readonly into: "q" | "k" | "v"; readonly layer: number; readonly head: number }
  | { readonly into: "k" | "v"; readonly layer: number; readonly kvHead: number }
  | { readonly into: "mlp"; readonly layer: number }
  | { readonly into: "end" };

export interface PathRequest extends Omit<SweepRequest, "counterfactuals" | "read"> {
  /** Counterfactuals that patch the senders, such as a grid's. */
  readonly senders: readonly Counterfactual[];
  /** All of them are told at once; `end` stands alone. */
  readonly receivers: readonly Receiver[];
  /** What may carry the change besides the residual stream. Default: nothing. */
  readonly through?: "residual" | "mlps";
}

/** Options of the runs that are measured; parts of an interrupted one cannot be taken up. */
export type PathOptions = Omit<SweepOptions, "done" | "onPart">;

/** Bytes of receivers' inputs held at once; more pairs are done one after another. */
const MOST_BYTES = 1 << 28;

/** The metrics of runs in which only the receivers were told what each sender says; one value a sender and pair. */
export async function patchPaths(model: Model, request: PathRequest, options: PathOptions = {}): Promise<SweepResult> {
  const { senders, receivers, through = "residual", ...rest } = request;
  const { spec } = model;
  const places = receiverPlaces(spec, receivers);
  if (places.length === 0)
    return model.sweep({ ...rest, counterfactuals: senders.map((sender) => frozenFor(spec, sender, { places, through })) }, options);
  senders.forEach((sender, index) => refuseBackward(spec, sender, { index, places }));
  const size = places.reduce((total, { reads }) => total + bytesOf(spec, reads, request), 0) * senders.length;
  const step = Math.max(1, Math.floor(MOST_BYTES / Math.max(1, size)));
  const results: SweepResult[] = [];
  const spent = { ms: 0, flops: 0 };
  const sweeper = counting(model, spent);
  for (let from = 0; from < request.pairs.length; from += step) {
    const part = { ...rest, pairs: request.pairs.slice(from, from + step) };
    const told = await toldTo(sweeper, { request: part, senders, places, through }, options);
    results.push(await sweeper.sweep({ ...part, counterfactuals: told }, options));
  }
  const { metrics, activations, cost } = joined(results);
  return { metrics, activations, cost: { ...cost, ...spent } };
}

type Sweeper = Pick<Model, "spec" | "sweep">;

/** The model, with what its sweeps cost added up. */
function counting(model: Model, spent: { ms: number; flops: number }): Sweeper {
  const sweep: Model["sweep"] = async (request, options) => {
    const result = await model.sweep(request, options);
    spent.ms += result.cost.ms;
    spent.flops += result.cost.flops;
    return result;
  };
  return { spec: model.spec, sweep };
}

/** A receiver with the address that is read for it, and the one that is set. */
interface ReceiverPlace {
  readonly receiver: Exclude<Receiver, { into: "end" }>;
  /** Where its input is read. */
  readonly reads: Place;
  /** Heads on the head axis of what is read. */
  readonly heads: readonly number[] | undefined;
  /** Where one query head of a group is told instead: its own scores or z. */
  readonly relay: { readonly at: Place; readonly head: number } | undefined;
}

function receiverPlaces(spec: ModelSpec, receivers: readonly Receiver[]): ReceiverPlace[] {
  if (receivers.length === 0) throw new SextantError("request", 'receivers: at least one is needed, such as { into: "end" }');
  if (receivers.some(({ into }) => into === "end")) {
    if (receivers.length > 1)
      throw new SextantError("request", 'receivers: "end" stands alone, since a run that is measured there has no other receivers');
    return [];
  }
  const places = receivers.map((receiver) => placeOf(spec, receiver as ReceiverPlace["receiver"]));
  const isMixed = places.some(
    ({ relay, reads, heads }) =>
      !relay && places.some((other) => other.relay && other.reads.address === reads.address && String(other.heads) === String(heads)),
  );
  if (isMixed)
    throw new SextantError("request", "receivers: a group and one of its heads are both named; the group's input is the head's, too");
  if (places.some(({ relay }) => relay) && new Set(places.map(({ reads }) => reads.layer)).size > 1) {
    const why = "their keys or values are shared with other heads, and what one layer's receiver changes would reach another's unseen";
    throw refuse(
      {
        what: "cannot tell heads of a group in several layers at once",
        why,
        instead: "one layer's receivers at a time, or whole groups (kvHead)",
      },
      "request",
    );
  }
  return places;
}

function placeOf(spec: ModelSpec, receiver: ReceiverPlace["receiver"]): ReceiverPlace {
  if (receiver.into === "mlp")
    return { receiver, reads: parseAddress(spec, `mlp_out.${receiver.layer}`), heads: undefined, relay: undefined };
  const reads = ownInputOf(spec, receiver);
  const { heads, kvHeads } = must(spec.layers[must(reads.layer, "a layer")], "a layer").attention;
  const isWhole = "kvHead" in receiver;
  const [index, count] = isWhole ? [receiver.kvHead, kvHeads] : [receiver.head, heads];
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new SextantError(
      "request",
      `receivers: ${receiver.into}.${reads.layer} has ${isWhole ? "key heads" : "heads"} 0 to ${count - 1}, got ${index}`,
    );
  if (isWhole || receiver.into === "q") return { receiver, reads, heads: [index], relay: undefined };
  const group = heads / kvHeads;
  const shared = Math.floor(index / group);
  if (group === 1) return { receiver, reads, heads: [shared], relay: undefined };
  const at = parseAddress(spec, `${receiver.into === "k" ? "attn_scores" : "z"}.${reads.layer}`);
  return { receiver, reads, heads: [shared], relay: { at, head: index } };
}

/** Where a head's query, key or value is its own: a norm over all heads together would pass on to the others what one is told. */
function ownInputOf(spec: ModelSpec, { into, layer }: { into: "q" | "k" | "v"; layer: number }): Place {
  const input = parseAddress(spec, `${into}.${layer}`);
  const { qkNorm } = must(spec.layers[must(input.layer, "a layer")], "a layer").attention;
  return into !== "v" && qkNorm?.over === "projection" ? parseAddress(spec, `rot_${input.address}`) : input;
}

function refuseBackward(
  spec: ModelSpec,
  sender: Counterfactual,
  { index, places }: { index: number; places: readonly ReceiverPlace[] },
): void {
  const last = must(sendersOf(spec, sender).at(-1), "a sender");
  const early = places.find(({ reads }) => !isInFront(spec, last, reads));
  if (early)
    throw new SextantError(
      "request",
      `senders[${index}] at ${last.address} is not in front of the receiver at ${early.reads.address}, so there is no path`,
    );
}

/** Whether there are paths from a place to all of the receivers. */
export function isHeardBy(spec: ModelSpec, sender: Place, receivers: readonly Receiver[]): boolean {
  return receiverPlaces(spec, receivers).every(({ reads }) => isInFront(spec, sender, reads));
}

/**
 * Whether what a sender says can come to a receiver: query, key and value are made side by side, and so are the sublayers of a parallel
 * block; a place inside an MLP is the MLP itself.
 */
function isInFront(spec: ModelSpec, sender: Place, receiver: Place): boolean {
  if (receiver.point !== "mlp_out") return inForwardOrder(sender, { ...receiver, point: "q" }) < 0;
  const isBeside = spec.layers[must(receiver.layer, "a layer")]?.wiring === "parallel" && sender.layer === receiver.layer;
  return (
    inForwardOrder(sender, { ...receiver, point: "mlp_pre" }) < 0 &&
    !(isBeside && outputsOf(spec, sender)[0] === `attn_out.${sender.layer}`)
  );
}

/** What a sender patches, in forward order. */
function sendersOf(spec: ModelSpec, { edits }: Counterfactual): Place[] {
  return edits.map(({ at }) => parseAddress(spec, at)).toSorted(inForwardOrder);
}

/** The sender's counterfactual with what may not carry its change held. */
function frozenFor(
  spec: ModelSpec,
  sender: Counterfactual,
  { places, through }: { places: readonly ReceiverPlace[]; through: "residual" | "mlps" },
): Counterfactual {
  const senders = sendersOf(spec, sender);
  const first = must(senders[0], "a sender");
  const until = places.length === 0 ? spec.layers.length : 1 + Math.max(...places.map(({ reads }) => stageOf(reads)));
  const carriers = spec.layers.slice(0, until).flatMap((layer, i) => {
    const held = ["attn_out", ...(through === "residual" && layer.mlp ? ["mlp_out"] : [])];
    return held.map((point) => parseAddress(spec, `${point}.${i}`));
  });
  const own = new Set([...senders.flatMap((place) => outputsOf(spec, place)), ...places.map(({ reads }) => reads.address)]);
  const freeze = carriers.filter((place) => inForwardOrder(place, first) > 0 && !own.has(place.address)).map(({ address }) => address);
  return { edits: [...deaf(spec, senders, through), ...sender.edits], freeze: [...(sender.freeze ?? []), ...freeze] };
}

/** Edits that keep the sublayer of a later place from noticing an earlier one: what enters it is the unedited run's, but for the patch. */
function deaf(spec: ModelSpec, [first, ...later]: readonly Place[], through: "residual" | "mlps"): SweepEdit[] {
  const [sublayer] = outputsOf(spec, must(first, "a sender"));
  const addresses = later.flatMap((place) => {
    const [own] = outputsOf(spec, place);
    if (own === undefined || own === sublayer || (through === "mlps" && own.startsWith("mlp"))) return [];
    return entrancesOf(place).map((point) => `${point}.${place.layer}`);
  });
  return [...new Set(addresses)].map((at) => ({ at, op: "patch", run: "base" }));
}

/** Points through which everything comes that a point inside a sublayer, or behind it, depends on. */
function entrancesOf({ point, address }: Place): readonly PointName[] {
  if (point.endsWith("_scale")) {
    const why = "what the earlier one says would pass through that norm as well";
    throw refuse({ what: `cannot send from ${address} together with an earlier place`, why, instead: "one of them at a time" }, "request");
  }
  if (HEADS.includes(point)) return ["q", "k", "v"];
  if (point === "mlp_gate" || point === "mlp_up") return ["mlp_gate", "mlp_up"];
  return EXPERTS.includes(point) ? ["ln2_normalized"] : [point];
}

const HEADS: readonly PointName[] = ["q", "k", "v", "rot_q", "rot_k", "attn_scores", "pattern", "z", "head_out", "attn_out_raw"];
const EXPERTS: readonly PointName[] = ["router_logits", "experts", "expert_weights"];
const STREAM: readonly PointName[] = ["embed", "pos_embed", "resid_pre", "resid_mid", "resid_post", "final_scale", "final_normalized"];

/** The outputs that a point inside a sublayer adds to; of a norm that attention and MLP share, both. */
function outputsOf(spec: ModelSpec, { point, layer = 0 }: Place): string[] {
  if (STREAM.includes(point)) return [];
  const isNorm = point === "ln1_scale" || point === "ln1_normalized";
  if (!isNorm && !HEADS.includes(point) && point !== "attn_out") return [`mlp_out.${layer}`];
  const { wiring, ln2, mlp } = must(spec.layers[layer], "a layer");
  return [`attn_out.${layer}`, ...(isNorm && mlp && wiring === "parallel" && !ln2 ? [`mlp_out.${layer}`] : [])];
}

interface Telling {
  readonly request: Omit<SweepRequest, "counterfactuals">;
  readonly senders: readonly Counterfactual[];
  readonly places: readonly ReceiverPlace[];
  readonly through: "residual" | "mlps";
}

/** Counterfactuals that give the receivers, and nobody else, what came to them directly. */
async function toldTo(model: Sweeper, telling: Telling, options: PathOptions): Promise<Counterfactual[]> {
  const quiet = quietOf(options);
  const edits: SweepEdit[][] = telling.senders.map(() => []);
  const heads = telling.places.filter(({ receiver }) => receiver.into !== "mlp");
  const hearings = [
    ...(heads.length > 0 ? [heads] : []),
    ...telling.places.filter(({ receiver }) => receiver.into === "mlp").map((place) => [place]),
  ];
  for (const places of hearings) {
    const heard = await hear(model, { ...telling, places }, quiet);
    heard.forEach((own, sender) => edits[sender]!.push(...own));
  }
  const relays = heads.filter(({ relay }) => relay);
  if (relays.length === 0) return edits.map((own) => ({ edits: own }));
  return relayed(model, { request: telling.request, edits, relays }, quiet);
}

/** For each sender the edits that give the receivers their inputs. An MLP is heard alone: it would pass on what it hears to the others. */
async function hear(model: Sweeper, { request, senders, places, through }: Telling, options: PathOptions): Promise<SweepEdit[][]> {
  const counterfactuals = senders.map((sender) => frozenFor(model.spec, sender, { places, through }));
  const read = places.map(({ reads }) => reads.address);
  const heard = await model.sweep({ ...request, metrics: [], counterfactuals, read }, options);
  return senders.map((_, sender) => places.map(({ reads, heads }) => setEdit(reads.address, heard, { sender, heads })));
}

/** The same edits with those of single query heads of a group said by the heads' own z, or scores where no value is told. */
async function relayed(
  model: Sweeper,
  { request, edits, relays }: { request: Telling["request"]; edits: readonly (readonly SweepEdit[])[]; relays: readonly ReceiverPlace[] },
  options: PathOptions,
): Promise<Counterfactual[]> {
  const said = new Map<number, string>();
  for (const { relay } of relays) {
    const { at, head } = must(relay, "a relay");
    if (at.point === "z" || !said.has(head)) said.set(head, at.address);
  }
  const isRelayed = (edit: SweepEdit): boolean => relays.some((place) => isInputOf(place, edit));
  const own = edits.map((list): SweepEdit[] => list.filter((edit) => !isRelayed(edit)));
  for (const [head, address] of said) {
    const mine = relays.filter(({ relay }) => relay?.head === head);
    const isHeard = (edit: SweepEdit): boolean => !isRelayed(edit) || mine.some((place) => isInputOf(place, edit));
    const counterfactuals = edits.map((list) => ({ edits: list.filter(isHeard) }));
    const heard = await model.sweep({ ...request, metrics: [], counterfactuals, read: [address] }, options);
    own.forEach((list, sender) => list.push(setEdit(address, heard, { sender, heads: [head] })));
  }
  return own.map((list) => ({ edits: list }));
}

/** Whether an edit gives a receiver its input. */
function isInputOf({ reads, heads }: ReceiverPlace, edit: SweepEdit): boolean {
  return edit.at === reads.address && String(edit.heads) === String(heads);
}

/** The edit that sets an address to what was read of one sender: one value a pair. */
function setEdit(
  at: string,
  { activations }: SweepResult,
  { sender, heads }: { sender: number; heads: readonly number[] | undefined },
): SweepEdit {
  const { data, shape, axes } = must(activations[at], at);
  const size = sizeOf(shape.slice(1));
  const value = tensor(data.subarray(sender * size, (sender + 1) * size), shape.slice(1), [
    "batch",
    ...axes.slice(2),
  ]) as Tensor<Float32Array>;
  return { at, op: "set", value, ...(heads && { heads }) };
}

function quietOf({ signal, memoryBudget }: PathOptions): PathOptions {
  return { ...(signal && { signal }), ...(memoryBudget && { memoryBudget }) };
}

/** Bytes of one sender's reading for one pair. */
function bytesOf(spec: ModelSpec, { layer, point }: Place, { pairs }: PathRequest): number {
  const longest = Math.max(...pairs.map(({ clean, corrupted = [] }) => Math.max(clean.length, corrupted.length)));
  const { attention } = must(spec.layers[layer ?? 0], "a layer");
  const width = point === "mlp_out" ? spec.dModel : attention.heads * (attention.dHead + longest);
  return 4 * longest * width;
}

/** Results over consecutive pairs as one. */
function joined(results: readonly SweepResult[]): SweepResult {
  const [first] = results;
  if (results.length === 1 && first) return first;
  const names = Object.keys(must(first, "a result").metrics);
  const metrics = Object.fromEntries(names.map((name) => [name, joinedMetric(results.map(({ metrics: all }) => must(all[name], name)))]));
  const sum = (of: (result: SweepResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  return {
    metrics,
    activations: {},
    cost: { ...must(first, "a result").cost, ms: sum(({ cost }) => cost.ms), flops: sum(({ cost }) => cost.flops) },
  };
}

function joinedMetric(parts: readonly SweepResult["metrics"][string][]): SweepResult["metrics"][string] {
  const concat = (lists: readonly Float64Array[]): Float64Array => Float64Array.from(lists.flatMap((list) => [...list]));
  const counterfactuals = must(parts[0], "a part").values.length / must(parts[0], "a part").clean.length;
  const values = Array.from({ length: counterfactuals }, (_, index) =>
    concat(parts.map(({ values: all, clean }) => all.subarray(index * clean.length, (index + 1) * clean.length))),
  );
  const corrupted = parts.flatMap((part) => (part.corrupted ? [part.corrupted] : []));
  return {
    clean: concat(parts.map(({ clean }) => clean)),
    values: concat(values),
    ...(corrupted.length === parts.length && { corrupted: concat(corrupted) }),
  };
}
