/**
 * @file Identities that a wrong engine cannot keep by luck, on every family. What is read adds up: heads to the attention output,
 * pattern times values to z, sublayers to the stream. And what is edited, resumed or restricted without a change changes nothing.
 */
import { afterAll, describe, expect, it } from "vitest";
import { must } from "../../src/base/errors.js";
import type { Tensor } from "../../src/base/tensor.js";
import { allPlaces, type Place } from "../../src/models/address.js";
import { pointRow } from "../../src/models/points.js";
import type { LayerSpec, ModelSpec } from "../../src/models/spec.js";
import type { Edit } from "../../src/runtime/edit.js";
import { readSpec } from "../../src/runtime/load.js";
import type { ForwardRequest, Model } from "../../src/runtime/model.js";
import { modelShelf, SUBJECTS } from "../parity/subjects.js";
import { compareTensors, type Compared } from "../reference/compare.js";

/** Both sides are float32 or sums of it in another order; of the largest value. Seen: 3e-6. */
const ROUNDING = 1e-5;

const shelf = modelShelf();
afterAll(shelf.close);

describe.each(SUBJECTS)("$name", ({ folder, tokens }) => {
  let reading: Promise<Read> | undefined;
  const read = (): Promise<Read> => (reading ??= readAll(shelf, folder, tokens));

  it("the heads' terms and the bias of W_O add up to the attention output", async () => {
    const { spec, at } = await read();
    spec.layers.forEach((layer, l) => {
      const sum = plusBias(sumOverHeads(at(`head_out.${l}`)), outputBias(folder, layer));
      expectSame(sum, at(`${outputOf(layer, "attn")}.${l}`), `attention output of layer ${l}`);
    });
  });

  it("pattern · v is z, with every query head on the key head it shares", async () => {
    const { spec, at } = await read();
    spec.layers.forEach((_, l) => expectSame(mix(at(`pattern.${l}`), at(`v.${l}`)), at(`z.${l}`), `z.${l}`));
  });

  it("each sublayer adds its output to the stream, and each block starts where the last one ended", async () => {
    const { spec, at } = await read();
    spec.layers.forEach((layer, l) => {
      if (l > 0) expect(at(`resid_pre.${l}`).data).toEqual(at(`resid_post.${l - 1}`).data);
      for (const [parts, whole] of sumsOf(layer)) {
        const [first, ...others] = parts.map((point) => at(`${point}.${l}`));
        expectSame(others.reduce(plus, first!), at(`${whole}.${l}`), `${parts.join(" + ")} = ${whole} in layer ${l}`);
      }
    });
  });

  it("the embeddings add up to the stream in front of the first block, where no norm stands between", async () => {
    const { spec, at } = await read();
    if (spec.embedding.norm) return;
    const whole = spec.embedding.positions ? plus(at("embed"), at("pos_embed")) : at("embed");
    expectSame(whole, at("resid_pre.0"), "resid_pre.0");
  });

  it("patching a run with itself changes nothing", async () => {
    const { spec, at, logits, under } = await read();
    const edits = writable(spec).map(({ address }): Edit => ({ at: address, op: "set", value: at(address) as Tensor<Float32Array> }));
    expectSame(await under({ edits }), logits, "all points set to their own values");
  });

  it("adding a vector and then its opposite changes nothing", async () => {
    const { spec, logits, under } = await read();
    const vector = Array.from({ length: spec.dModel }, (_, i) => 3 * Math.cos(i));
    const there = { at: "resid_pre.0", op: "add", vector } as const;
    const elsewhere = { at: `resid_post.${spec.layers.length - 1}`, op: "add", vector, positions: [-1] } as const;
    for (const edit of [there, elsewhere])
      expectSame(await under({ edits: [edit, { ...edit, strength: -1 }] }), logits, `${edit.at} there and back`);
    expect(difference(await under({ edits: [there] }), logits)).toBeGreaterThan(1e-3);
  });

  it("zeroing every head leaves the bias of W_O alone, whether at z or at head_out", async () => {
    const { spec, under } = await read();
    for (const [l, layer] of spec.layers.entries()) {
      const value = outputBias(folder, layer) ?? 0;
      const without = await under({ edits: [{ at: `${outputOf(layer, "attn")}.${l}`, op: "set", value }] });
      for (const point of ["z", "head_out"])
        expectSame(await under({ edits: [{ at: `${point}.${l}`, op: "set", value: 0 }] }), without, `${point}.${l}`);
    }
  });

  it("equal scores spread attention evenly over the keys that a query sees", async () => {
    const { spec, at, patternUnder } = await read();
    for (const [l, { attention }] of spec.layers.entries()) {
      if (attention.sinks) continue;
      const pattern = await patternUnder(l, { at: `attn_scores.${l}`, op: "set", value: 0.7 });
      expectSame(pattern, evenly(at(`attn_scores.${l}`)), `pattern.${l}`);
    }
  });

  it("resuming at any block from its own stream, or behind the last one, gives the same logits", async () => {
    const { spec, at, logits, under } = await read();
    for (let layer = 0; layer <= spec.layers.length; layer++) {
      const resid = at(layer === 0 ? "resid_pre.0" : `resid_post.${layer - 1}`) as Tensor<Float32Array>;
      expectSame(await under({ resume: { layer, resid } }), logits, `resumed at layer ${layer}`);
    }
  });

  it("logits of some positions and tokens are that part of all logits", async () => {
    const { spec, logits, under } = await read();
    const last = spec.vocabOut - 1;
    const everyToken = Array.from({ length: spec.vocabOut }, (_, i) => last - i);
    for (const positions of [[-1, 0, 1], [0], "last", "all"] as const)
      for (const some of [[last, 0, last], [1], everyToken, undefined]) {
        const part = await under({ logits: { positions, ...(some && { tokens: some }) } });
        expectSame(part, slice(logits, { positions, tokens: some }), `positions ${String(positions)}, tokens ${some?.length ?? "all"}`);
      }
  });
});

/** A run that read everything, and a way to run the same tokens otherwise. */
interface Read {
  readonly spec: ModelSpec;
  readonly at: (address: string) => Tensor;
  readonly logits: Tensor;
  readonly under: (change: Partial<ForwardRequest>) => Promise<Tensor>;
  readonly patternUnder: (layer: number, edit: Edit) => Promise<Tensor>;
}

async function readAll(
  models: { open: (folder: string) => Promise<Model> },
  folder: string,
  tokens: ForwardRequest["tokens"],
): Promise<Read> {
  const model = await models.open(folder);
  const { activations } = await model.forward({ tokens, read: ["all"], logits: false });
  const at = (address: string): Tensor => must(activations[address], address);
  const under: Read["under"] = async (change) =>
    must((await model.forward({ tokens, logits: { positions: "all" }, ...change })).logits, "logits");
  const patternUnder: Read["patternUnder"] = async (layer, edit) => {
    const name = `pattern.${layer}`;
    return must((await model.forward({ tokens, read: [name], edits: [edit], logits: false })).activations[name], name);
  };
  return { spec: model.spec, patternUnder, at, logits: at("logits"), under };
}

function difference(ours: Compared, theirs: Compared): number {
  expect(ours.shape).toEqual(theirs.shape);
  return compareTensors("", ours, theirs).relative;
}

function expectSame(ours: Compared, theirs: Compared, what: string): void {
  expect(difference(ours, theirs), what).toBeLessThan(ROUNDING);
}

function writable(spec: ModelSpec): Place[] {
  return allPlaces(spec).filter(({ point }) => !pointRow(point).readOnly);
}

/** The point where a sublayer's projection comes out: before the norm or multiplier that follows it, if there is one. */
function outputOf(layer: LayerSpec, which: "attn" | "mlp"): string {
  const after = which === "attn" ? layer.attnPostNorm : layer.mlpPostNorm;
  return after || layer.residualMultiplier !== undefined ? `${which}_out_raw` : `${which}_out`;
}

/** Which points add up to which. None where a norm of the stream itself stands behind a sublayer (OPT's post-norm form). */
function sumsOf({ wiring, mlp, streamNorms, residualFromNorm }: LayerSpec): (readonly [readonly string[], string])[] {
  if (streamNorms) return [];
  const start = residualFromNorm ? "ln1_normalized" : "resid_pre";
  if (!mlp) return [[[start, "attn_out"], "resid_post"]];
  if (wiring === "parallel") return [[[start, "attn_out", "mlp_out"], "resid_post"]];
  const middle = residualFromNorm ? "ln2_normalized" : "resid_mid";
  return [
    [[start, "attn_out"], "resid_mid"],
    [[middle, "mlp_out"], "resid_post"],
  ];
}

function outputBias(folder: string, { attention }: LayerSpec): number[] | undefined {
  const { bias } = attention.out;
  if (!bias) return undefined;
  const { checkpoint } = readSpec(folder);
  try {
    const from = bias.offset ?? 0;
    return Array.from(checkpoint.readFloat32(bias.name).subarray(from, from + attention.out.out));
  } finally {
    checkpoint.close();
  }
}

function plus(a: Compared, b: Compared): Compared {
  return { shape: a.shape, data: Array.from(a.data, (x, i) => x + b.data[i]!) };
}

function plusBias({ shape, data }: Compared, bias: readonly number[] = [0]): Compared {
  return { shape, data: Array.from(data, (x, i) => x + bias[i % bias.length]!) };
}

/** Batch, pos, head, d_model → batch, pos, d_model. */
function sumOverHeads({ shape, data }: Compared): Compared {
  const [B = 0, T = 0, H = 0, C = 0] = shape;
  const out = new Float64Array(B * T * C);
  for (let i = 0; i < data.length; i++) out[Math.floor(i / (H * C)) * C + (i % C)]! += data[i]!;
  return { shape: [B, T, C], data: out };
}

/** Σ over keys of pattern (batch, head, query, key) · v (batch, key, kv_head, d_head): batch, query, head, d_head. */
function mix(pattern: Compared, v: Compared): Compared {
  const [B = 0, H = 0, T = 0] = pattern.shape;
  const [, , KV = 0, D = 0] = v.shape;
  const out = new Float64Array(B * T * H * D);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let q = 0; q < T; q++)
        for (let k = 0; k <= q; k++) {
          const weight = pattern.data[((b * H + h) * T + q) * T + k]!;
          const from = ((b * T + k) * KV + Math.floor((h * KV) / H)) * D;
          for (let d = 0; d < D; d++) out[((b * T + q) * H + h) * D + d]! += weight * v.data[from + d]!;
        }
  return { shape: [B, T, H, D], data: out };
}

/** 1 over the number of keys that a query sees, at each of them; 0 at the others. */
function evenly({ shape, data }: Compared): Compared {
  const keys = shape.at(-1)!;
  const isSeen = (at: number): boolean => data[at] !== -Infinity;
  const seen = (line: number): number => Array.from({ length: keys }, (_, key) => isSeen(line * keys + key)).filter(Boolean).length;
  return { shape, data: Array.from(data, (_, at) => (isSeen(at) ? 1 / seen(Math.floor(at / keys)) : 0)) };
}

interface Part {
  readonly positions: "all" | "last" | readonly number[];
  readonly tokens: readonly number[] | undefined;
}

/** The part of logits (batch, pos, vocab) that a request names. */
function slice({ shape, data }: Compared, { positions, tokens }: Part): Compared {
  const [B = 0, T = 0, V = 0] = shape;
  const all = (length: number): number[] => Array.from({ length }, (_, i) => i);
  const chosen = positions === "all" ? all(T) : (positions === "last" ? [-1] : positions).map((position) => (position + T) % T);
  const columns = tokens ?? all(V);
  const values = all(B).flatMap((b) => chosen.flatMap((t) => columns.map((token) => data[(b * T + t) * V + token]!)));
  return { shape: [B, chosen.length, columns.length], data: values };
}
