/**
 * @file A tensor is a typed array with named axes, row-major. Requests and results are made of these and of plain data, so
 * they can be sent to a thread, hashed, or stored.
 */
import { internal } from "./errors.js";

/** The typed arrays that results are made of: float32 values, or int32 indices. */
export type TensorData = Float32Array | Int32Array;

/** A dense row-major array whose axes have names (`docs/glossary.md` lists them). */
export interface Tensor<D extends TensorData = TensorData> {
  readonly data: D;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
}

/** The number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** A tensor over `data`; throws when the shape does not hold exactly that many elements. */
export function tensor<D extends TensorData>(data: D, shape: readonly number[], axes: readonly string[] = []): Tensor<D> {
  if (sizeOf(shape) !== data.length)
    throw internal(`a tensor of shape [${shape.join(", ")}] needs ${sizeOf(shape)} elements, got ${data.length}`);
  return { data, shape, axes };
}

/** Row-major strides, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = Array.from({ length: shape.length }, () => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}
