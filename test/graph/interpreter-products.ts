/** @file Matrix products in float64. Leading axes are broadcast, the last two are multiplied. */
import { sizeOf, stridesOf } from "../../src/base/tensor.js";
import type { OpName } from "../../src/graph/graph.js";
import { float, input, knowsOnly, whole, type Attributes, type Inputs, type Kernel } from "./kernel.js";
import { broadcastShape, broadcastStrides, combine, eachIndex, ndArray, offsetOf, type NdArray } from "./nd-array.js";

interface Form {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

/** `α A B`, the last two axes of either read the other way round where it is transposed. */
function product(a: NdArray, b: NdArray, { transA, transB, alpha }: Form): NdArray {
  const [left, right] = [matrixOf(a, transA), matrixOf(b, transB)];
  if (left.columns !== right.rows) throw new Error(`[${a.shape.join(", ")}] and [${b.shape.join(", ")}] cannot be multiplied`);
  const lead = broadcastShape(left.lead, right.lead);
  const out = ndArray([...lead, left.rows, right.columns]);
  const [leftLead, rightLead] = [broadcastStrides(left.lead, lead), broadcastStrides(right.lead, lead)];
  eachIndex(lead, (index, batch) => {
    const [fromA, fromB] = [offsetOf(leftLead, index) * left.size, offsetOf(rightLead, index) * right.size];
    for (let m = 0; m < left.rows; m++)
      for (let n = 0; n < right.columns; n++) {
        let sum = 0;
        for (let k = 0; k < left.columns; k++)
          sum += a.data[fromA + m * left.byRow + k * left.byColumn]! * b.data[fromB + k * right.byRow + n * right.byColumn]!;
        out.data[(batch * left.rows + m) * right.columns + n] = alpha * sum;
      }
  });
  return out;
}

interface Matrix {
  readonly lead: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly byRow: number;
  readonly byColumn: number;
  readonly size: number;
}

function matrixOf({ shape }: NdArray, isTransposed: boolean): Matrix {
  if (shape.length < 2) throw new Error(`[${shape.join(", ")}] is no matrix`);
  const [first, second] = [shape.at(-2)!, shape.at(-1)!];
  const [byFirst, bySecond] = [stridesOf(shape).at(-2)!, 1];
  const common = { lead: shape.slice(0, -2), size: sizeOf(shape.slice(-2)) };
  return isTransposed
    ? { ...common, rows: second, columns: first, byRow: bySecond, byColumn: byFirst }
    : { ...common, rows: first, columns: second, byRow: byFirst, byColumn: bySecond };
}

function formOf(attributes: Attributes): Form {
  knowsOnly(attributes, "transA", "transB", "alpha");
  return {
    transA: whole(attributes, "transA", 0) === 1,
    transB: whole(attributes, "transB", 0) === 1,
    alpha: float(attributes, "alpha", 1),
  };
}

/** `[n, k]` out of `[n, block, byte]` and a scale each block; the float values that it multiplies are not rounded here. */
function fromBlocks(inputs: Inputs, attributes: Attributes): NdArray {
  knowsOnly(attributes, "K", "N", "bits", "block_size", "accuracy_level");
  const [packed, scales] = [input(inputs, 1), input(inputs, 2)];
  const [k, n, bits, size] = ["K", "N", "bits", "block_size"].map((name) => whole(attributes, name)) as [number, number, number, number];
  const [, blocks = 0, bytes = 0] = packed.shape;
  if (blocks !== Math.ceil(k / size) || bytes * 8 !== size * bits) throw new Error("the blocks are not those of the attributes");
  const out = ndArray([n, k]);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < k; column++) {
      const block = row * blocks + Math.floor(column / size);
      const place = ((column % size) * bits) / 8;
      const byte = packed.data[block * bytes + Math.floor(place)]!;
      const q = bits === 8 ? byte : Number.isInteger(place) ? byte % 16 : Math.floor(byte / 16);
      out.data[row * k + column] = (q - 2 ** (bits - 1)) * scales.data[block]!;
    }
  }
  return out;
}

export const PRODUCTS: { readonly [K in OpName & ("FusedMatMul" | "Gemm" | "MatMul" | "MatMulNBits")]: Kernel } = {
  MatMul: (inputs, attributes) => {
    knowsOnly(attributes);
    return [product(input(inputs, 0), input(inputs, 1), { transA: false, transB: false, alpha: 1 })];
  },
  FusedMatMul: (inputs, attributes) => [product(input(inputs, 0), input(inputs, 1), formOf(attributes))],
  Gemm: (inputs, attributes) => {
    if (inputs.some((value, place) => place < 2 && value?.shape.length !== 2)) throw new Error("Gemm multiplies matrices");
    const made = product(input(inputs, 0), input(inputs, 1), formOf(attributes));
    const bias = inputs[2];
    return [bias ? combine(made, bias, (x, b) => x + b) : made];
  },
  MatMulNBits: (inputs, attributes) => {
    const made = product(input(inputs, 0), fromBlocks(inputs, attributes), { transA: false, transB: true, alpha: 1 });
    const bias = inputs[5];
    return [bias ? combine(made, bias, (x, b) => x + b) : made];
  },
};
