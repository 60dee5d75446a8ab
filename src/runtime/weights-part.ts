/**
 * @file Parts of linear maps out of a checkpoint, however they are stored: some inputs and some outputs, in the order asked for, adapters
 * added. Only the bytes of the part are read.
 */
import { internal, refuse } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { toFloat32 } from "../formats/dtype.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { AdapterRef, LinearSpec, WeightRef } from "../models/spec.js";

/** `count` coordinates from `from` on. */
export interface Span {
  readonly from: number;
  readonly count: number;
}

/** Which part of a map, and which axis comes first; all inputs and all outputs by default. */
export interface PartRequest {
  readonly inputs?: Span;
  readonly outputs?: Span;
  readonly first: "in" | "out";
}

/** A part of the matrix of `y = x W`, adapter included: input, output or output, input, row-major. */
export function readPart(checkpoint: Checkpoint, linear: LinearSpec, request: PartRequest): Float32Array {
  const inputs = request.inputs ?? { from: 0, count: linear.in };
  const outputs = request.outputs ?? { from: 0, count: linear.out };
  const stored = storedPart(checkpoint, linear, inputs, outputs);
  const values = stored.first === request.first ? stored.values : transposed(stored.values, stored.columns);
  if (linear.adapter) addAdapter(values, checkpoint, linear.adapter, { inputs, outputs, first: request.first });
  return values;
}

/** The values of a whole reference, widened. */
export function readRef(checkpoint: Checkpoint, ref: WeightRef): Float32Array {
  const size = sizeOf(ref.shape);
  const isWhole = size === sizeOf(floats(checkpoint, ref.name).shape);
  return isWhole ? checkpoint.readFloat32(ref.name) : readRun(checkpoint, ref.name, { from: ref.offset ?? 0, count: size });
}

/** A matrix with `columns` columns, turned. */
function transposed(matrix: Float32Array, columns: number): Float32Array {
  const rows = matrix.length / columns;
  const out = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = matrix[row * columns + column]!;
  return out;
}

interface StoredPart {
  readonly values: Float32Array;
  readonly columns: number;
  readonly first: "in" | "out";
}

function storedPart(checkpoint: Checkpoint, linear: LinearSpec, inputs: Span, outputs: Span): StoredPart {
  const { weight, layout } = linear;
  if (layout === "out_in")
    return { values: readBlock(checkpoint, weight, linear.in, [outputs, inputs]), columns: inputs.count, first: "out" };
  if (layout === "in_out")
    return { values: readBlock(checkpoint, weight, linear.out, [inputs, outputs]), columns: outputs.count, first: "in" };
  // One head's matrix stands alone: in, d_head.
  const width = weight.shape.at(-1) ?? 0;
  const head = outputs.from / width;
  if (!Number.isInteger(head) || outputs.count !== width) throw internal(`outputs ${outputs.from} … of ${weight.name} are not one head`);
  const one = { ...weight, shape: [linear.in, width], offset: (weight.offset ?? 0) + head * linear.in * width };
  return { values: readBlock(checkpoint, one, width, [inputs, { from: 0, count: width }]), columns: width, first: "in" };
}

/** Some rows and columns of a matrix that is `width` wide. */
function readBlock(checkpoint: Checkpoint, ref: WeightRef, width: number, [rows, columns]: readonly [Span, Span]): Float32Array {
  const start = (ref.offset ?? 0) + rows.from * width;
  if (columns.count === width) {
    if (rows.from === 0 && rows.count * width === sizeOf(ref.shape)) return readRef(checkpoint, ref);
    return readRun(checkpoint, ref.name, { from: start, count: rows.count * width });
  }
  const out = new Float32Array(rows.count * columns.count);
  for (let row = 0; row < rows.count; row++)
    out.set(readRun(checkpoint, ref.name, { from: start + row * width + columns.from, count: columns.count }), row * columns.count);
  return out;
}

/** A run of a tensor's elements. */
function readRun(checkpoint: Checkpoint, name: string, { from, count }: Span): Float32Array {
  const { dtype, bytes, shape } = floats(checkpoint, name);
  const size = bytes / sizeOf(shape);
  return toFloat32(checkpoint.readBytes(name, from * size, count * size), dtype);
}

function floats(checkpoint: Checkpoint, name: string): ReturnType<Checkpoint["stored"]> {
  const stored = checkpoint.stored(name);
  if (["F32", "F16", "BF16", "F64"].includes(stored.dtype)) return stored;
  throw refuse({ what: `cannot read the weight ${name}`, why: `it is stored as ${stored.dtype}`, instead: "use the float checkpoint" });
}

/** Adds `scale · A[·, input] B[output, ·]`, summed in float64. */
function addAdapter(
  values: Float32Array,
  checkpoint: Checkpoint,
  { a, b, scale }: AdapterRef,
  { inputs, outputs, first }: Required<PartRequest>,
): void {
  const [rank = 0, width = 0] = a.shape;
  const [narrow, wide] = [readRef(checkpoint, a), readRef(checkpoint, b)];
  for (let input = 0; input < inputs.count; input++) {
    for (let output = 0; output < outputs.count; output++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += narrow[r * width + inputs.from + input]! * wide[(outputs.from + output) * rank + r]!;
      const at = first === "in" ? input * outputs.count + output : output * inputs.count + input;
      values[at] = values[at]! + scale * sum;
    }
  }
}
