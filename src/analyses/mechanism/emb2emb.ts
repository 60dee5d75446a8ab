/**
 * @file Emb2Emb: a linear map that carries vectors from one model's stream to another's, found on tokens that both have (Lee et al. 2025, Shared Global and
 * Local Geometry of Language Model Embeddings, arXiv 2503.21073; exact form from the code of arXiv 2504.14379). With A and B the rows of the same tokens in
 * the (un)embeddings of both models, T minimises ‖A T − B‖² + ridge ‖T‖²: no intercept, no centring. Of many T that do equally well (fewer tokens than
 * coordinates) it is the smallest. The released code takes 100 000 tokens and a ridge of 0.1.
 *
 * When it misleads: rows of one model have much in common (a large mean), so that a map of shuffled pairs too gets a good cosine: read `checkEmb2Emb` beside its
 * control, and R² before cosine. Rows that were never trained (padding behind the vocabulary, unused tokens) are all alike and bend the map: leave them out. That tokens
 * are carried well does not say that other directions of the stream are: a carried probe or steering vector is to be tested where it arrives.
 */
import { cholesky, choleskySolve } from "../../base/cholesky.js";
import { shuffled } from "../../base/draws.js";
import { symmetricEigen } from "../../base/eigen.js";
import { SextantError } from "../../base/errors.js";
import { seededRandom } from "../../base/random.js";
import type { Tensor } from "../../base/tensor.js";
import { addTo, dot } from "../../base/vectors.js";
import type { RunOptions } from "../../runtime/model.js";
import { pause } from "./pause.js";

/** Token ids of the same text: in the first model, in the second. */
export type TokenPair = readonly [from: number, to: number];

/** A map of row vectors: y = x T. */
export interface Emb2Emb {
  /** Coordinates of the first and of the second model's stream. */
  readonly from: number;
  readonly to: number;
  /** T, row-major: from, to. */
  readonly map: Float64Array;
  /** Pairs that it was fitted on. */
  readonly pairs: number;
}

export interface Emb2EmbOptions extends RunOptions {
  /** Default 0. */
  readonly ridge?: number;
}

/** Tokens whose products are summed at once. */
const CHUNK = 256;

/** An eigenvalue below this share of the largest, times the size, is rounding. */
const LEAST_EIGENVALUE = 1e-13;

/** The map from the rows of `from` to those of `to` (vocab, d_model each), fitted on the pairs. Its work is pairs · d_model · (d_model of both) multiply-adds. */
export async function fitEmb2Emb(
  from: Tensor<Float32Array>,
  to: Tensor<Float32Array>,
  pairs: readonly TokenPair[],
  options: Emb2EmbOptions = {},
): Promise<Emb2Emb> {
  checkRequest({ from, to, pairs }, options);
  const solve = await equations(columnsReader(from, pairs, 0), options);
  return { from: widthOf(from), to: widthOf(to), map: await solve(columnsReader(to, pairs, 1)), pairs: pairs.length };
}

/** The vector in the second model's stream. */
export function carry({ from, to, map }: Emb2Emb, vector: ArrayLike<number>): Float64Array {
  if (vector.length !== from) throw failure(`a vector to carry must have ${from} coordinates, got ${vector.length}`);
  const out = new Float64Array(to);
  for (let i = 0; i < from; i++) addTo(out, vector[i]!, map.subarray(i * to, (i + 1) * to));
  return out;
}

/** How well a map carries tokens that it was not fitted on. */
export interface CarriedTokens {
  /** Mean over tokens of the cosine of carried and true row. */
  readonly cosine: number;
  /** 1 − Σ‖b − a T‖² / Σ‖b − mean b‖²: 0 says no better than the tokens' mean row, and below it worse. */
  readonly r2: number;
}

/** The fit on held-out tokens, beside its control. */
export interface Emb2EmbCheck {
  readonly heldOut: CarriedTokens;
  /** The same tokens under a map fitted on the same rows, paired at random. */
  readonly shuffled: CarriedTokens;
  readonly trained: number;
  readonly tested: number;
}

/** Fits on some of the pairs and tests on the others; equal pairs count once. */
export async function checkEmb2Emb(
  from: Tensor<Float32Array>,
  to: Tensor<Float32Array>,
  pairs: readonly TokenPair[],
  options: Emb2EmbOptions & {
    /** Of the split and the shuffle. */ readonly seed: number;
    /** Share of the pairs. Default 0.2. */ readonly heldOut?: number;
  },
): Promise<Emb2EmbCheck> {
  const { seed, heldOut = 0.2 } = options;
  checkRequest({ from, to, pairs }, options);
  if (!(heldOut > 0 && heldOut < 1)) throw failure(`heldOut must be above 0 and below 1, got ${heldOut}`);
  const random = seededRandom(seed);
  const order = shuffled(onceEach(pairs), random);
  const tested = order.slice(0, Math.ceil(heldOut * order.length));
  const trained = order.slice(tested.length);
  if (Math.min(trained.length, tested.length) < 2)
    throw failure(`needs two pairs to fit on and two to test on, got ${trained.length} and ${tested.length}`);
  const ids = trained.map(([, id]) => id);
  const targets = shuffled(ids, random);
  const mixed = trained.map(([id], i): TokenPair => [id, targets[i]!]);
  const solve = await equations(columnsReader(from, trained, 0), options);
  const mapOn = async (part: readonly TokenPair[]): Promise<Emb2Emb> => {
    return { from: widthOf(from), to: widthOf(to), map: await solve(columnsReader(to, part, 1)), pairs: part.length };
  };
  const test = (map: Emb2Emb): CarriedTokens => carriedTokens(map, { from, to, pairs: tested });
  return { heldOut: test(await mapOn(trained)), shuffled: test(await mapOn(mixed)), trained: trained.length, tested: tested.length };
}

interface Sides {
  readonly from: Tensor<Float32Array>;
  readonly to: Tensor<Float32Array>;
  readonly pairs: readonly TokenPair[];
}

function checkRequest({ from, to, pairs }: Sides, { ridge = 0 }: Emb2EmbOptions): void {
  if (!(ridge >= 0 && Number.isFinite(ridge))) throw failure(`ridge must be 0 or more, got ${ridge}`);
  if (pairs.length === 0) throw failure("needs a pair of tokens or more");
  for (const [side, table] of [from, to].entries()) {
    const [vocab = 0] = table.shape;
    if (table.shape.length !== 2) throw failure(`the ${side ? "second" : "first"} table must have axes vocab, d_model`);
    const stray = pairs.find((pair) => !Number.isInteger(pair[side]) || pair[side]! < 0 || pair[side]! >= vocab);
    if (stray) throw failure(`pair ${stray.join(", ")}: the ${side ? "second" : "first"} id is not one of ${vocab}`);
  }
}

/** Equal pairs once; a token with two partners is refused, since it would stand on both sides of the split. */
function onceEach(pairs: readonly TokenPair[]): TokenPair[] {
  const partners = new Map<number, number>();
  for (const [from, to] of pairs) {
    const known = partners.get(from) ?? to;
    if (known !== to) throw failure(`token ${from} is paired with ${known} and with ${to}`);
    partners.set(from, to);
  }
  return [...partners];
}

/** Rows of some pairs, from one up to another, as columns over those pairs. */
interface ColumnsReader {
  readonly width: number;
  readonly pairs: number;
  read(first: number, last: number): Float64Array[];
}

function columnsReader(table: Tensor<Float32Array>, pairs: readonly TokenPair[], side: 0 | 1): ColumnsReader {
  const width = widthOf(table);
  const read = (first: number, last: number): Float64Array[] => {
    const ids = pairs.slice(first, last).map((pair) => pair[side]);
    return Array.from({ length: width }, (_, column) => Float64Array.from(ids, (id) => table.data[id * width + column]!));
  };
  return { width, pairs: pairs.length, read };
}

/** Solves for one A and any B of the same tokens; by AᵀA, or by A Aᵀ where there are fewer tokens than coordinates. */
async function equations(a: ColumnsReader, options: Emb2EmbOptions): Promise<(b: ColumnsReader) => Promise<Float64Array>> {
  const { ridge = 0, signal } = options;
  if (a.pairs >= a.width) {
    const inverse = shiftedInverse(await productOf(a, a, options), a.width, ridge);
    return async (b) => {
      const side = await productOf(a, b, options);
      return solved(inverse, side, b.width, signal);
    };
  }
  const columns = a.read(0, a.pairs);
  const gram = new Float64Array(a.pairs ** 2);
  for (const column of columns) for (let i = 0; i < a.pairs; i++) addTo(gram.subarray(i * a.pairs, (i + 1) * a.pairs), column[i]!, column);
  const inverse = shiftedInverse(gram, a.pairs, ridge);
  return async (b) => {
    const rows = new Float64Array(b.pairs * b.width);
    b.read(0, b.pairs).forEach((column, j) => column.forEach((value, i) => (rows[i * b.width + j] = value)));
    const shares = await solved(inverse, rows, b.width, signal);
    const map = new Float64Array(a.width * b.width);
    for (const [i, column] of columns.entries())
      for (let n = 0; n < a.pairs; n++)
        addTo(map.subarray(i * b.width, (i + 1) * b.width), column[n]!, shares.subarray(n * b.width, (n + 1) * b.width));
    return map;
  };
}

/** AᵀB over all tokens: width of A, width of B. Of AᵀA one triangle is computed. */
async function productOf(a: ColumnsReader, b: ColumnsReader, { signal, onProgress }: RunOptions): Promise<Float64Array> {
  const out = new Float64Array(a.width * b.width);
  for (let first = 0; first < a.pairs; first += CHUNK) {
    await pause(signal);
    onProgress?.({ stage: "tokens", done: first, total: a.pairs });
    const left = a.read(first, first + CHUNK);
    const right = a === b ? left : b.read(first, first + CHUNK);
    for (const [i, x] of left.entries()) {
      const end = a === b ? i + 1 : b.width;
      for (let j = 0; j < end; j++) out[i * b.width + j]! += dot(x, right[j]!);
    }
  }
  onProgress?.({ stage: "tokens", done: a.pairs, total: a.pairs });
  if (a === b) for (let i = 0; i < a.width; i++) for (let j = 0; j < i; j++) out[j * a.width + i] = out[i * a.width + j]!;
  return out;
}

/** (M + ridge I)⁻¹ times a vector; where M has not full rank, its pseudo-inverse. */
function shiftedInverse(matrix: Float64Array, size: number, ridge: number): (b: Float64Array) => Float64Array {
  for (let i = 0; i < size; i++) matrix[i * size + i]! += ridge;
  const factor = cholesky(matrix, size);
  if (factor.rank === size) return (b) => choleskySolve(factor, b);
  const { values, vectors } = symmetricEigen(matrix, size);
  const least = LEAST_EIGENVALUE * size * (values[0] ?? 0);
  const kept = vectors.map((vector, i) => ({ vector, value: values[i]! })).filter(({ value }) => value > least);
  return (b) => {
    const out = new Float64Array(size);
    for (const { vector, value } of kept) addTo(out, dot(vector, b) / value, vector);
    return out;
  };
}

/** The inverse of every column of a row-major matrix. */
async function solved(
  inverse: (b: Float64Array) => Float64Array,
  side: Float64Array,
  columns: number,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const rows = side.length / columns;
  const out = new Float64Array(side.length);
  for (let column = 0; column < columns; column++) {
    if (column % CHUNK === 0) await pause(signal);
    const x = inverse(Float64Array.from({ length: rows }, (_, row) => side[row * columns + column]!));
    for (let row = 0; row < rows; row++) out[row * columns + column] = x[row]!;
  }
  return out;
}

function carriedTokens(map: Emb2Emb, { from, to, pairs }: Sides): CarriedTokens {
  const rowOf = (table: Tensor<Float32Array>, id: number): Float64Array =>
    Float64Array.from(table.data.subarray(id * widthOf(table), (id + 1) * widthOf(table)));
  const middle = new Float64Array(map.to);
  for (const [, id] of pairs) addTo(middle, 1 / pairs.length, rowOf(to, id));
  let [cosines, missed, spread] = [0, 0, 0];
  for (const [source, target] of pairs) {
    const [carried, row] = [carry(map, rowOf(from, source)), rowOf(to, target)];
    const norms = Math.sqrt(dot(carried, carried) * dot(row, row));
    cosines += norms > 0 ? dot(carried, row) / norms : 0;
    addTo(carried, -1, row);
    missed += dot(carried, carried);
    addTo(row, -1, middle);
    spread += dot(row, row);
  }
  return { cosine: cosines / pairs.length, r2: 1 - missed / spread };
}

function widthOf({ shape }: Tensor): number {
  return shape[1] ?? 0;
}

function failure(what: string): SextantError {
  return new SextantError("request", `Emb2Emb: ${what}`);
}
