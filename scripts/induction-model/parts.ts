/** @file Placing weights: what one piece of an attention head or of an MLP is, in terms of subspaces. Nothing here is trained. */
import { CHANNELS, FLAG, SIZES, STREAM, STRENGTH, turn, type Subspace } from "./layout.js";

/** A matrix `[row, column]`, row-major; a linear layer computes `y = matrix · x`. A norm's weight is one column. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** All tensors by their Hugging Face names. */
export type Weights = ReadonlyMap<string, Matrix>;

/** One attention head: the matrices of its layer, and where its rows (in `o`: columns) begin. */
export interface Head {
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
  readonly o: Matrix;
  readonly start: number;
}

/** What a head moves: `from` (less `minus`) at the place it looks at, times `scale`, is added to `to`. */
export interface Route {
  readonly from: Subspace;
  readonly minus?: Subspace;
  readonly to: Subspace;
  readonly scale?: number;
}

/** A neuron: its gate opens when the weighted sum is positive, and what `up` reads is then added to `down`. */
export interface Neuron {
  readonly gate: readonly (readonly [coordinate: number, weight: number])[];
  readonly up: readonly [coordinate: number, weight: number];
  readonly down: readonly (readonly [coordinate: number, weight: number])[];
}

/** The entry of a matrix by row and column. */
export function put(matrix: Matrix, row: number, column: number, value: number): void {
  matrix.data[row * matrix.columns + column] = value;
}

/** Writes coordinate i of `from`, times `scale`, into coordinate i of `to`. */
function connect(matrix: Matrix, from: Subspace, to: Subspace, scale = 1): void {
  from.forEach((column, i) => put(matrix, to[i]!, column, scale));
}

/** The head of a layer. */
export function headOf(weights: Weights, layer: number, head: number): Head {
  const part = (name: string): Matrix => weights.get(`model.layers.${layer}.self_attn.${name}_proj.weight`)!;
  return { q: part("q"), k: part("k"), v: part("v"), o: part("o"), start: head * SIZES.dHead };
}

/**
 * Looks at the token `distance` back. Query and key are constants, the query turned back by the distance, so that the score
 * `Σ nats · cos(turn · (query - key - distance))` depends on positions only and is largest where all cosines are 1.
 */
export function lookBack(head: Head, distance: number): void {
  const one = STREAM.ONE[0];
  for (const pair of CHANNELS.DISTANCE) {
    const [real, imaginary] = [head.start + pair, head.start + pair + SIZES.dHead / 2];
    const strength = (STRENGTH.distanceNats * Math.sqrt(SIZES.dHead)) / FLAG;
    put(head.q, real, one!, strength * Math.cos(turn(pair) * distance));
    put(head.q, imaginary, one!, -strength * Math.sin(turn(pair) * distance));
    put(head.k, real, one!, 1 / FLAG);
  }
}

/** Looks for keys whose `key` code is the query's `query` code; a full match scores `nats`. */
export function lookFor(head: Head, { query, key, nats }: { query: Subspace; key: Subspace; nats: number }): void {
  const channels = CHANNELS.CONTENT.map((channel) => head.start + channel);
  connect(head.q, query, channels, (nats * Math.sqrt(SIZES.dHead)) / query.length);
  connect(head.k, key, channels);
}

/** Looks at `<bos>` with `nats`, whatever the query. */
export function restOnFirst(head: Head, nats: number): void {
  const channels = CHANNELS.REST.map((channel) => head.start + channel);
  connect(head.q, STREAM.ONE, channels, (nats * Math.sqrt(SIZES.dHead)) / FLAG);
  connect(head.k, STREAM.FIRST, channels, 1 / FLAG);
}

/** Gives the head its values and its output: the routes use value channels one after another. */
export function carry(head: Head, routes: readonly Route[]): void {
  let next = head.start;
  for (const { from, minus = [], to, scale = 1 } of routes) {
    const channels = from.map(() => next++);
    connect(head.v, from, channels, scale);
    connect(head.v, minus, channels, -scale);
    connect(head.o, channels, to);
  }
}

/** Adds a neuron at `index`; `silu(gate)` of an open gate is divided out again, so that an open neuron multiplies by one. */
export function addNeuron(weights: Weights, layer: number, index: number, { gate, up, down }: Neuron): void {
  const part = (name: string): Matrix => weights.get(`model.layers.${layer}.mlp.${name}_proj.weight`)!;
  for (const [coordinate, weight] of gate) put(part("gate"), index, coordinate, weight * STRENGTH.gate);
  put(part("up"), index, up[0], up[1] / silu(STRENGTH.gate));
  for (const [coordinate, weight] of down) put(part("down"), coordinate, index, weight);
}

/** x · sigmoid(x) */
export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}
