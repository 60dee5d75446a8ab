/**
 * @file A circuit run a second time, in the plainest way: for every receiver a whole block is run from a stream made for it alone
 * (`forward` with `resume`), and the one head's query, key or value is taken; z is had by setting all three, one head at a time.
 */
import { must } from "../../../src/base/errors.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";

interface Naive {
  readonly clean: readonly number[];
  readonly corrupted: readonly number[];
  readonly of: string;
  /** Names of the edges. */
  readonly edges: ReadonlySet<string>;
}

type Floats = Tensor<Float32Array>;

/** The metric at the end of a circuit's run, for one pair. */
export async function naiveCircuit(model: Model, { clean, corrupted, of, edges }: Naive): Promise<number> {
  const { layers, dModel } = model.spec;
  const length = clean.length;
  const terms = await sumTerms(model, corrupted);
  const says = new Map<string, Float32Array>([["input", await inputOf(model, clean)]]);
  const size = length * dModel;
  /** Everything that is no node (biases) is what the corrupted stream has beyond its senders. */
  const heard = (receiver: string, stream: Float32Array, senders: readonly string[]): Floats => {
    const out = stream.slice();
    for (const sender of senders) {
      if (!edges.has(`${sender}->${receiver}`)) continue;
      const [own, theirs] = [must(says.get(sender), sender), must(terms.says.get(sender), sender)];
      for (let i = 0; i < size; i++) out[i]! += own[i]! - theirs[i]!;
    }
    return tensor(out, [1, length, dModel], ["batch", "pos", "d_model"]);
  };
  for (const [layer, block] of layers.entries()) {
    const before = [...says.keys()];
    const stream = must(terms.streams.get(`resid_pre.${layer}`), "stream");
    const made: [string, Float32Array][] = [];
    for (let head = 0; head < block.attention.heads; head++) {
      const told = (side: string): Floats => heard(`a${layer}.h${head}<${side}>`, stream, before);
      made.push([`a${layer}.h${head}`, await headFrom(model, { layer, head, clean, told })]);
    }
    if (block.mlp && block.wiring === "parallel")
      made.push([`m${layer}`, await mlpFrom(model, layer, clean, heard(`m${layer}`, stream, before))]);
    for (const [name, value] of made) says.set(name, value);
    if (!block.mlp || block.wiring === "parallel") continue;
    const mid = heard(`m${layer}`, must(terms.streams.get(`resid_mid.${layer}`), "stream"), [...says.keys()]);
    says.set(`m${layer}`, await mlpFrom(model, layer, clean, mid));
  }
  const last = heard("logits", must(terms.streams.get(`resid_post.${layers.length - 1}`), "stream"), [...says.keys()]);
  const at = `resid_post.${layers.length - 1}`;
  const { values } = await model.gradient({ tokens: [clean], of, at: [at], edits: [{ at, op: "set", value: rowOf(last) }] });
  return values[0]!;
}

function rowOf({ data, shape, axes }: Floats): Floats {
  return tensor(data, shape.slice(1), axes.slice(1));
}

async function inputOf(model: Model, tokens: readonly number[]): Promise<Float32Array> {
  const { activations } = await model.forward({ tokens: [tokens], read: ["resid_pre.0"], logits: false });
  return activations["resid_pre.0"]!.data as Float32Array;
}

async function sumTerms(
  model: Model,
  tokens: readonly number[],
): Promise<{ says: Map<string, Float32Array>; streams: Map<string, Float32Array> }> {
  const { layers } = model.spec;
  const streams = layers.flatMap((block, layer) => [
    `resid_pre.${layer}`,
    ...(block.mlp && block.wiring === "sequential" ? [`resid_mid.${layer}`] : []),
  ]);
  const outs = layers.flatMap((block, layer) => [`head_out.${layer}`, ...(block.mlp ? [`mlp_out.${layer}`] : [])]);
  const read = [...streams, ...outs, `resid_post.${layers.length - 1}`];
  const { activations } = await model.forward({ tokens: [tokens], read, logits: false });
  const says = new Map<string, Float32Array>([["input", activations["resid_pre.0"]!.data as Float32Array]]);
  layers.forEach((block, layer) => {
    for (let head = 0; head < block.attention.heads; head++)
      says.set(`a${layer}.h${head}`, headOut(model, activations[`head_out.${layer}`]!.data, layer, head));
    if (block.mlp) says.set(`m${layer}`, activations[`mlp_out.${layer}`]!.data as Float32Array);
  });
  return { says, streams: new Map(read.map((at) => [at, activations[at]!.data as Float32Array])) };
}

function headOut(model: Model, data: Tensor["data"], layer: number, head: number): Float32Array {
  const { dModel, layers } = model.spec;
  const { attention, residualMultiplier = 1 } = layers[layer]!;
  const length = data.length / (attention.heads * dModel);
  return Float32Array.from({ length: length * dModel }, (_, i) => {
    const [pos, unit] = [Math.floor(i / dModel), i % dModel];
    return residualMultiplier * data[(pos * attention.heads + head) * dModel + unit]!;
  });
}

/** One head's term, told three streams. Its group's key and value are set for all of the group, and only this head is looked at. */
async function headFrom(
  model: Model,
  { layer, head, clean, told }: { layer: number; head: number; clean: readonly number[]; told: (side: string) => Floats },
): Promise<Float32Array> {
  const resumed = { tokens: [clean], logits: false as const };
  const edits: Edit[] = [];
  for (const side of ["q", "k", "v"]) {
    const { activations } = await model.forward({ ...resumed, resume: { layer, resid: told(side) }, read: [`${side}.${layer}`] });
    edits.push({ at: `${side}.${layer}`, op: "set", value: rowOf(activations[`${side}.${layer}`] as Floats) });
  }
  const { activations } = await model.forward({ ...resumed, resume: { layer, resid: told("q") }, read: [`head_out.${layer}`], edits });
  return headOut(model, activations[`head_out.${layer}`]!.data, layer, head);
}

/** An MLP's output, told a stream: of a sequential block where it is set in the middle, of a parallel one in front. */
async function mlpFrom(model: Model, layer: number, clean: readonly number[], stream: Floats): Promise<Float32Array> {
  const isParallel = model.spec.layers[layer]!.wiring === "parallel";
  const edits: Edit[] = isParallel ? [] : [{ at: `resid_mid.${layer}`, op: "set", value: rowOf(stream) }];
  const read = [`mlp_out.${layer}`];
  const { activations } = await model.forward({ tokens: [clean], resume: { layer, resid: stream }, read, edits, logits: false });
  return activations[`mlp_out.${layer}`]!.data as Float32Array;
}
