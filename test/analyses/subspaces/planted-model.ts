/**
 * @file A model with a planted subspace: at `resid_post.0` the last token's vector is the code of its class (a corner of a square in a plane that is
 * planted) and one noise direction, ±. Logits are the codes' products with the part in the plane, and nothing else. Forward and gradient are written out.
 */
import { orthonormalRows } from "../../../src/base/linear-algebra.js";
import { seededRandom } from "../../../src/base/random.js";
import { sizeOf, tensor, type Tensor } from "../../../src/base/tensor.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import type { Edit } from "../../../src/runtime/edit.js";
import type { GradientRequest, GradientResult, Term } from "../../../src/runtime/gradient/request.js";
import type { ForwardRequest, ForwardResult, Model } from "../../../src/runtime/model.js";
import type { InterchangePair } from "../../../src/analyses/subspaces/request.js";

export const WIDTH = 12;
const CLASSES = 4;
const NOISES = WIDTH - 2;
export const SITE = "resid_post.0";

/** An orthonormal frame; its first two rows span the plane. */
export type Frame = readonly Float64Array[];

export function turnedFrame(seed: number): Frame {
  const random = seededRandom(seed);
  return orthonormalRows(Array.from({ length: WIDTH }, () => Float64Array.from({ length: WIDTH }, () => 2 * random() - 1)))!;
}

/** Single units; the plane is that of units `a` and `b`. */
export function unitFrame(a: number, b: number): Frame {
  const units = [a, b, ...Array.from({ length: WIDTH }, (_, i) => i).filter((i) => i !== a && i !== b)];
  return units.map((unit) => Float64Array.from({ length: WIDTH }, (_, i) => (i === unit ? 1 : 0)));
}

/** Not a square by the axes, and of unequal sides, so that no unit or singular vector of the plane is silent. */
const CODES = [
  [2, 1.5],
  [-2, 1.5],
  [-2, -1.5],
  [2, -1.5],
] as const;

/** Scale of the logits: probabilities stay away from 1, where the slope of log p would vanish. */
const SOFTNESS = 0.4;

/** The token of a class, a noise direction and its sign. */
export function tokenOf(kind: number, noise: number, sign: 0 | 1): number {
  return (kind * NOISES + noise) * 2 + sign;
}

/** Pairs of unequal classes, noise balanced: each that occurs in a pair of classes has both signs there. */
export function pairsWith(shift: number, goal: "answer" | "difference"): InterchangePair[] {
  const pairs: InterchangePair[] = [];
  for (let b = 0; b < CLASSES; b++)
    for (let s = 0; s < CLASSES; s++)
      for (let noise = 0; noise < NOISES; noise++)
        for (const sign of [0, 1] as const) {
          if (b === s || (noise + b + s) % 2 > 0) continue;
          const prompts = {
            base: [0, tokenOf(b, noise, sign)],
            source: [tokenOf(s, (noise + shift) % NOISES, sign)],
            sourcePositions: [0],
            positions: [1],
          };
          pairs.push({ ...prompts, ...(goal === "answer" ? { answer: s } : { of: `logits[-1,${s}]-logits[-1,${b}]` }) });
        }
  return pairs;
}

export function plantedModel(frame: Frame): Model {
  const spec = {
    dModel: WIDTH,
    vocabOut: 2 * CLASSES * NOISES,
    layers: [{ attention: { heads: 1, kvHeads: 1, dHead: WIDTH } }],
  } as unknown as ModelSpec;
  const vectorOf = (token: number): Float64Array => {
    const [kind, noise, sign] = [Math.floor(token / (2 * NOISES)), Math.floor(token / 2) % NOISES, token % 2];
    const amounts = new Float64Array(WIDTH);
    amounts[0] = CODES[kind]![0];
    amounts[1] = CODES[kind]![1];
    amounts[2 + noise] = (sign ? 1 : -1) * (3 + 0.4 * noise);
    return Float64Array.from({ length: WIDTH }, (_, u) => frame.reduce((sum, row, i) => sum + amounts[i]! * row[u]!, 0));
  };
  const weights = CODES.map(([x, y]) => frame[0]!.map((value, u) => SOFTNESS * (x * value + y * frame[1]![u]!)));
  const valuesOf = ({ tokens, edits = [] }: { tokens: ForwardRequest["tokens"]; edits?: readonly Edit[] }): Tensor<Float32Array> => {
    const width = Math.max(...tokens.map((row) => row.length));
    const data = new Float32Array(tokens.length * width * WIDTH);
    tokens.forEach((row, r) => row.forEach((token, p) => data.set(vectorOf(token), (r * width + p) * WIDTH)));
    for (const edit of edits) applySet(edit, data, width);
    return tensor(data, [tokens.length, width, WIDTH], ["batch", "pos", "d_model"]);
  };
  const logitsOf = (values: Tensor<Float32Array>, row: number, position: number): Float64Array => {
    const start = (row * values.shape[1]! + position) * WIDTH;
    const x = values.data.subarray(start, start + WIDTH);
    const logits = new Float64Array(spec.vocabOut).fill(-30);
    weights.forEach((w, c) => (logits[c] = w.reduce((sum, value, u) => sum + value * x[u]!, 0)));
    return logits;
  };
  const forward = (request: ForwardRequest): Promise<ForwardResult> => {
    const values = valuesOf(request);
    const rows = request.tokens.map((row, r) => logitsOf(values, r, row.length - 1));
    const data = new Float32Array(rows.length * spec.vocabOut);
    rows.forEach((row, r) => data.set(row, r * spec.vocabOut));
    const lengths = request.tokens.map((row) => row.length);
    const logits = tensor(data, [rows.length, 1, spec.vocabOut], ["batch", "pos", "vocab"]);
    return Promise.resolve({ activations: { [SITE]: values }, logits, lengths, cost: {} as never });
  };
  const gradient = (request: GradientRequest): Promise<GradientResult> => {
    const values = valuesOf(request);
    const slopes = tensor(new Float32Array(sizeOf(values.shape)), values.shape, values.axes);
    const { terms } = request.of as { terms: Term[][] };
    const found = terms.map((list, r) => {
      const last = request.tokens[r]!.length - 1;
      const logits = logitsOf(values, r, last);
      const total = logits.reduce((sum, value) => sum + Math.exp(value), 0);
      return list.reduce((sum, { weight, of, index }) => {
        const token = index[1]!;
        weights.forEach((w, c) => {
          const share = weight * ((c === token ? 1 : 0) - (of === "logprobs" ? Math.exp(logits[c]!) / total : 0));
          w.forEach((value, u) => (slopes.data[(r * values.shape[1]! + last) * WIDTH + u]! += share * value));
        });
        return sum + weight * (logits[token]! - (of === "logprobs" ? Math.log(total) : 0));
      }, 0);
    });
    return Promise.resolve({
      values: found,
      gradients: { [SITE]: slopes },
      activations: {},
      parameters: {},
      cost: { ms: 0, device: "cpu" },
    });
  };
  return { spec, forward, gradient } as unknown as Model;
}

function applySet(edit: Edit, data: Float32Array, width: number): void {
  if (edit.op !== "set" || typeof edit.value === "number" || !("data" in edit.value)) throw new Error("only whole sets are understood");
  for (const row of edit.rows!)
    for (const position of edit.positions as number[])
      data.set(edit.value.data.subarray(position * WIDTH, (position + 1) * WIDTH), (row * width + position) * WIDTH);
}

/** The largest angle between the spans of orthonormal rows, two each, in degrees: from ‖B₁ − B₁ P‖, the sine. */
export function angleBetween(found: readonly Float64Array[], planted: readonly Float64Array[]): number {
  // The residues of both rows as a 2 × 2 Gram matrix; its largest eigenvalue is the squared sine.
  const rest = found.map((row) =>
    row.map((value, u) => value - planted.reduce((sum, other) => sum + other.reduce((dot, o, i) => dot + o * row[i]!, 0) * other[u]!, 0)),
  );
  const product = (a: number, b: number): number => rest[a]!.reduce((sum, value, u) => sum + value * rest[b]![u]!, 0);
  const [p, q, r] = [product(0, 0), product(0, 1), product(1, 1)];
  const largest = (p + r) / 2 + Math.hypot((p - r) / 2, q);
  return (Math.asin(Math.sqrt(Math.min(1, Math.max(0, largest)))) * 180) / Math.PI;
}
