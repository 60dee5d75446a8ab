/** @file Ops that pick elements by indices, add at indices, find indices; and the rotary embedding. */
import { sizeOf, stridesOf } from "../../src/base/tensor.js";
import type { OpName } from "../../src/graph/graph.js";
import { input, knowsOnly, numbers, whole, type Kernel } from "./kernel.js";
import { axisOf, eachIndex, filled, ndArray, offsetOf, type NdArray } from "./nd-array.js";

function within(index: number, length: number): number {
  const from = index < 0 ? index + length : index;
  if (!(from >= 0 && from < length)) throw new Error(`index ${index} of ${length}`);
  return from;
}

/** Where each row of coordinates points to in `x`, and how many elements lie there. */
function runsAt(x: NdArray, coordinates: NdArray): { starts: number[]; run: number } {
  const depth = coordinates.shape.at(-1)!;
  const strides = stridesOf(x.shape);
  const starts = Array.from({ length: sizeOf(coordinates.shape.slice(0, -1)) }, (_, row) => {
    let start = 0;
    for (let axis = 0; axis < depth; axis++) start += within(coordinates.data[row * depth + axis]!, x.shape[axis]!) * strides[axis]!;
    return start;
  });
  return { starts, run: sizeOf(x.shape.slice(depth)) };
}

/** Places in `x` that elements of `indices` name along an axis. */
function placesAlong(x: NdArray, indices: NdArray, axis: number): number[] {
  const strides = stridesOf(x.shape);
  const places: number[] = [];
  eachIndex(indices.shape, (index, at) => {
    places.push(offsetOf(strides, index) + (within(indices.data[at]!, x.shape[axis]!) - index[axis]!) * strides[axis]!);
  });
  return places;
}

function added(x: NdArray, places: readonly number[], updates: NdArray): NdArray {
  const data = x.data.slice();
  places.forEach((place, i) => (data[place]! += updates.data[i]!));
  return { data, shape: x.shape };
}

/** The `k` largest of the last axis and their indices; of equals the first. */
function topK(x: NdArray, k: number): NdArray[] {
  const width = x.shape.at(-1)!;
  const shape = [...x.shape.slice(0, -1), k];
  const [values, indices] = [ndArray(shape), ndArray(shape)];
  for (let row = 0; row * width < x.data.length; row++) {
    const part = x.data.subarray(row * width, (row + 1) * width);
    const order = Array.from(part, (_, i) => i).toSorted((a, b) => part[b]! - part[a]! || a - b);
    for (let i = 0; i < k; i++) {
      values.data[row * k + i] = part[order[i]!]!;
      indices.data[row * k + i] = order[i]!;
    }
  }
  return [values, indices];
}

/** ONNX Runtime's `RotaryEmbedding`: the first `dims` of each head turn, by halves or by neighbours. */
const rotary: Kernel = (inputs, attributes) => {
  knowsOnly(attributes, "num_heads", "rotary_embedding_dim", "interleaved");
  const [x, cos, sin] = [input(inputs, 0), input(inputs, 1), input(inputs, 2)];
  const [batch = 0, pos = 0, width = 0] = x.shape;
  const [heads, dims] = [whole(attributes, "num_heads"), whole(attributes, "rotary_embedding_dim")];
  const isNeighbours = whole(attributes, "interleaved", 0) === 1;
  const half = dims / 2;
  for (const table of [cos, sin])
    if (String(table.shape) !== String([batch, pos, half])) throw new Error(`tables of shape [${table.shape.join(", ")}]`);
  const data = x.data.slice();
  for (let token = 0; token < batch * pos; token++)
    for (let head = 0; head < heads; head++)
      for (let j = 0; j < half; j++) {
        const start = token * width + (head * width) / heads;
        const [first, second] = isNeighbours ? [start + 2 * j, start + 2 * j + 1] : [start + j, start + half + j];
        const [c, s] = [cos.data[token * half + j]!, sin.data[token * half + j]!];
        data[first] = x.data[first]! * c - x.data[second]! * s;
        data[second] = x.data[second]! * c + x.data[first]! * s;
      }
  return [{ data, shape: x.shape }];
};

function demandAdding(attributes: Parameters<Kernel>[1]): void {
  if (attributes["reduction"] !== "add") throw new Error("only scattering that adds is known");
}

type Picks = "Gather" | "GatherElements" | "GatherND" | "NonZero" | "RotaryEmbedding" | "ScatterElements" | "ScatterND" | "TopK";

export const PICKS: { readonly [K in OpName & Picks]: Kernel } = {
  Gather: (inputs, attributes) => {
    const [x, indices] = [input(inputs, 0), input(inputs, 1)];
    const axis = axisOf(whole(attributes, "axis", 0), x.shape.length);
    const [strides, rank] = [stridesOf(x.shape), indices.shape.length];
    const own = stridesOf(indices.shape);
    const made = filled([...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], (index) => {
      const at = within(indices.data[offsetOf(own, index.slice(axis, axis + rank))]!, x.shape[axis]!);
      return x.data[offsetOf(strides, [...index.slice(0, axis), at, ...index.slice(axis + rank)])]!;
    });
    return [made];
  },
  GatherElements: (inputs, attributes) => {
    const [x, indices] = [input(inputs, 0), input(inputs, 1)];
    const places = placesAlong(x, indices, axisOf(whole(attributes, "axis", 0), x.shape.length));
    return [
      ndArray(
        indices.shape,
        places.map((place) => x.data[place]!),
      ),
    ];
  },
  ScatterElements: (inputs, attributes) => {
    demandAdding(attributes);
    const [x, indices, updates] = [input(inputs, 0), input(inputs, 1), input(inputs, 2)];
    return [added(x, placesAlong(x, indices, axisOf(whole(attributes, "axis", 0), x.shape.length)), updates)];
  },
  GatherND: (inputs, attributes) => {
    knowsOnly(attributes);
    const [x, coordinates] = [input(inputs, 0), input(inputs, 1)];
    const { starts, run } = runsAt(x, coordinates);
    const rest = x.shape.slice(coordinates.shape.at(-1)!);
    return [
      ndArray(
        [...coordinates.shape.slice(0, -1), ...rest],
        starts.flatMap((start) => [...x.data.subarray(start, start + run)]),
      ),
    ];
  },
  ScatterND: (inputs, attributes) => {
    demandAdding(attributes);
    const [x, updates] = [input(inputs, 0), input(inputs, 2)];
    const { starts, run } = runsAt(x, input(inputs, 1));
    return [
      added(
        x,
        starts.flatMap((start) => Array.from({ length: run }, (_, i) => start + i)),
        updates,
      ),
    ];
  },
  TopK: (inputs, attributes) => {
    const x = input(inputs, 0);
    if (axisOf(whole(attributes, "axis", -1), x.shape.length) !== x.shape.length - 1) throw new Error("only the last axis is known");
    return topK(x, numbers(inputs, 1)[0]!);
  },
  NonZero: (inputs) => {
    const x = input(inputs, 0);
    const found: number[][] = [];
    eachIndex(x.shape, (index, at) => {
      if (x.data[at] !== 0) found.push([...index]);
    });
    return [filled([x.shape.length, found.length], ([axis = 0, place = 0]) => found[place]![axis]!)];
  },
  RotaryEmbedding: rotary,
};
