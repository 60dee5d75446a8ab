/** @file Matrix products in float64. Leading axes are broadcast, the last two are multiplied. */
import { sizeOf, stridesOf } from "../../src/base/tensor.js";
import type { OpName } from "../../src/graph/graph.js";
import { float, input, knowsOnly, whole, type Attributes, type Kernel } from "./kernel.js";
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

export const PRODUCTS: { readonly [K in OpName & ("FusedMatMul" | "Gemm" | "MatMul")]: Kernel } = {
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
};
