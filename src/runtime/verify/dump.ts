/**
 * @file Activations that another program wrote, held against a model's own: names are translated, shapes fitted, and each tensor compared. Differences that
 * TransformerLens makes on purpose are recognised and named (`explain.ts`).
 */
import { SextantError } from "../../base/errors.js";
import { stridesOf, tensor, type Tensor } from "../../base/tensor.js";
import { describeShape } from "../../formats/safetensors-header.js";
import { addressIn } from "../../models/tensor-names.js";
import type { ForwardResult, Model, RunOptions } from "../model.js";
import { differenceOf, type Difference } from "./compare.js";
import { explain } from "./explain.js";

/** Relative to the largest value: as for goldens, whose figures are 5.5e-6 and below. */
const TOLERANCE = 1e-4;
/** Names under which dumps hold the tokens that were run. */
const TOKEN_NAMES: readonly string[] = ["tokens", "input_ids", "hook_tokens"];
/** Scores below this stand for −∞: TransformerLens's bridge writes the lowest float32. */
const MASKED = -1e30;

export interface DumpRequest {
  /** As `readVectors` gives them. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The rows that were run, padded on the right if at all. Default: those in the dump, as `tokens` or `input_ids`. */
  readonly tokens?: readonly (readonly number[])[];
  /** The largest difference, relative to the largest value, that counts as agreement. Default 1e-4. */
  readonly tolerance?: number;
}

/** One tensor of a dump beside ours. */
export interface ComparedTensor extends Difference {
  readonly name: string;
  readonly address: string;
  /** `explained`: it differs by what TransformerLens does to weights by default, which leaves the model the same. */
  readonly verdict: "agrees" | "explained" | "differs";
  /** What it differs by, where that was recognised. */
  readonly explanation?: string;
}

export interface DumpReport {
  /** In the dump's order. */
  readonly compared: readonly ComparedTensor[];
  /** Names that were not compared, and why. */
  readonly left: readonly { readonly name: string; readonly why: string }[];
  /** Something was compared, and nothing differs. */
  readonly ok: boolean;
}

/** Compares every tensor of a dump that stands for one of the model's points. */
export async function compareDump(model: Model, request: DumpRequest, options: RunOptions = {}): Promise<DumpReport> {
  const { tensors, tokens = tokensOf(tensors), tolerance = TOLERANCE } = request;
  const left: { name: string; why: string }[] = [];
  const addresses = new Map<string, string>();
  for (const name of tensors.keys()) {
    if (TOKEN_NAMES.includes(name)) continue;
    const found = addressIn(model.spec, name);
    if ("address" in found) addresses.set(name, found.address);
    else left.push({ name, ...found });
  }
  if (addresses.size === 0) return { compared: [], left, ok: false };
  const run = await model.forward({ tokens, read: [...new Set(addresses.values())], logits: false }, options);
  const compared: ComparedTensor[] = [];
  for (const [name, address] of addresses) {
    const one = compareTensor(tensors.get(name)!, run, { address, tolerance });
    if (typeof one === "string") left.push({ name, why: one });
    else compared.push({ name, address, ...one });
  }
  return { compared, left, ok: compared.length > 0 && compared.every(({ verdict }) => verdict !== "differs") };
}

/** The rows of tokens that a dump holds. */
function tokensOf(tensors: ReadonlyMap<string, Tensor>): number[][] {
  const found = TOKEN_NAMES.map((name) => tensors.get(name)).find((value) => value !== undefined);
  if (!found)
    throw new SextantError("request", `the dump does not hold the tokens that were run (as ${TOKEN_NAMES.join(", ")}): give them`);
  const { data, shape } = found;
  if (!(data instanceof Int32Array) || shape.length < 1 || shape.length > 2 || data.length === 0)
    throw new SextantError("request", `the tokens of the dump must be rows of ids, their shape is ${describeShape(shape)}`);
  const width = shape.at(-1)!;
  return Array.from({ length: data.length / width }, (_, row) => [...data.subarray(row * width, (row + 1) * width)]);
}

type Judged = Omit<ComparedTensor, "name" | "address">;

/** The comparison, or why there is none. */
function compareTensor(
  theirs: Tensor,
  run: ForwardResult,
  { address, tolerance }: { address: string; tolerance: number },
): Judged | string {
  const ours = run.activations[address]!;
  if (!fits(theirs.shape, ours)) return `its shape is ${describeShape(theirs.shape)}, that of ${address} is ${describeShape(ours.shape)}`;
  const values = comparable(theirs, ours, run.lengths);
  const difference = differenceOf(ours, values);
  if (difference.relative <= tolerance) return { ...difference, verdict: "agrees" };
  const even = run.lengths.every((length) => length === run.lengths[0]);
  const found = even ? explain(address.split(".")[0]!, ours, values, tolerance) : undefined;
  return { ...difference, verdict: found?.isDefault ? "explained" : "differs", ...(found && { explanation: found.says }) };
}

/** Whether a shape is ours, or ours without the batch of one row, with heads side by side, or with rows one below the other. */
function fits(shape: readonly number[], { shape: ours, axes }: Tensor): boolean {
  const same = (other: readonly number[]): boolean =>
    shape.length === other.length && shape.every((length, axis) => length === other[axis]);
  const forms = [ours];
  if (axes[1] === "pos" && axes.length === 4) forms.push([ours[0]!, ours[1]!, ours[2]! * ours[3]!]);
  if (ours[0] === 1) forms.push(...forms.map((form) => form.slice(1)));
  if (axes[1] === "pos") forms.push([ours[0]! * ours[1]!, ...ours.slice(2)]);
  return forms.some(same);
}

/** Their values in our shape, without what stands past a row's end, and −∞ where they have a number in its place. */
function comparable({ data }: Tensor, ours: Tensor, lengths: readonly number[]): Tensor {
  const { shape, axes } = ours;
  const isScores = axes.includes("key");
  const out = Float32Array.from(data, (value) => (isScores && value < MASKED ? -Infinity : value));
  const strides = stridesOf(shape);
  const along = axes.flatMap((axis, index) => (["pos", "query", "key"].includes(axis) ? [index] : []));
  if (lengths.some((length) => length < Math.max(...lengths)))
    for (let at = 0; at < out.length; at++) {
      const row = Math.floor(at / strides[0]!);
      if (along.some((axis) => Math.floor(at / strides[axis]!) % shape[axis]! >= lengths[row]!)) out[at] = 0;
    }
  return tensor(out, shape, axes);
}
