/**
 * @file A Llama whose self-verification is built by hand, so that each step of a study can be held against the truth (`planted-truth.ts`). Read from top to
 * bottom:
 *
 * Head 0.0 brings each token what stands before it. At ` (` that is the result. Heads 1.0, 1.1 and 1.2 look from the result and from ` (` at the digit behind ` target`,
 * and each copies it into the stream if it is one of its own digits; head 1.3 looks there too, and what it writes nothing reads. In the MLP of layer 1 one unit writes
 * −2v at each ` (`, and one unit a digit writes +4v where result and target are both that digit. The unembedding reads `this` along v and `not` against it; what
 * follows a verdict is told by the token alone. All else is noise, too small to matter.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { normalNumbers } from "../../../src/base/draws.js";
import { seededRandom, type Random } from "../../../src/base/random.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import { writeSafetensors } from "../../../src/formats/safetensors-writer.js";
import { idOf, tokenizerFiles, TOKENS } from "../../../src/tasks/countdown/vocabulary.js";
import { DIGITS, digitTokens, NOISE, PAIRS, SIZES, SQUARED_LENGTH, STREAM, STRENGTH, tokenCoordinate } from "./planted-layout.js";
import { plantedTruth, type PlantedHead, type PlantedUnit } from "./planted-truth.js";

/** A matrix `[row, column]`, row-major; a linear layer computes `y = matrix · x`. A norm's weight is one column. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** All tensors by their Hugging Face names. */
type Weights = ReadonlyMap<string, Matrix>;

/** Weighted coordinates of the stream. */
type Terms = readonly (readonly [coordinate: number, weight: number])[];

const ONE = STREAM.ONE[0]!;

/** Always 1, as a gate, a query or a value reads it. */
const ALWAYS: Terms = [[ONE, 1 / STRENGTH.one]];

/** Writes the model's four files into `folder`, which is made if it is not there. The seed is of the noise. */
export function buildPlantedModel(folder: string, seed = 1): void {
  mkdirSync(folder, { recursive: true });
  writeSafetensors(join(folder, "model.safetensors"), plantedTensors(seed), { format: "pt" });
  for (const [name, content] of Object.entries({ "config.json": modelConfig(), ...tokenizerFiles() }))
    writeFileSync(join(folder, name), `${JSON.stringify(content, undefined, 2)}\n`);
}

/** The weights in float32 by their Hugging Face names. */
export function plantedTensors(seed = 1): Readonly<Record<string, Tensor<Float32Array>>> {
  const weights = noisyWeights(seededRandom(seed));
  embed(part(weights, "model.embed_tokens"));
  plantPreviousTokenHead(weights);
  plantTargetHeads(weights);
  plantUnits(weights, seededRandom(seed, 1));
  unembed(part(weights, "lm_head"));
  return Object.fromEntries([...weights].map(([name, matrix]) => [name, toTensor(matrix)] as const));
}

function modelConfig(): object {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: SIZES.vocab,
    hidden_size: SIZES.dModel,
    intermediate_size: SIZES.dMlp,
    num_hidden_layers: SIZES.layers,
    num_attention_heads: SIZES.heads,
    num_key_value_heads: SIZES.kvHeads,
    head_dim: SIZES.dHead,
    hidden_act: "silu",
    max_position_embeddings: SIZES.context,
    rms_norm_eps: SIZES.normEps,
    rope_theta: SIZES.ropeTheta,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    bos_token_id: TOKENS.bos,
    eos_token_id: TOKENS.eos,
    pad_token_id: TOKENS.pad,
    torch_dtype: "float32",
  };
}

/** A token is its own coordinate and `ONE`. */
function embed(matrix: Matrix): void {
  STREAM.TOKEN.forEach((coordinate, id) => {
    put(matrix, id, coordinate, 1);
    put(matrix, id, ONE, STRENGTH.one);
  });
}

/**
 * Looks at the token before, whatever it is: query and key are constants, the query turned back by one position, so that the score is
 * Σ nats · cos(turn · (distance − 1)) over the distance pairs.
 */
function plantPreviousTokenHead(weights: Weights): void {
  const place = plantedTruth.previousTokenHead;
  const strength = rootOfScore(STRENGTH.distanceNats);
  for (const pair of PAIRS.distance) {
    const turn = SIZES.ropeTheta ** ((-2 * pair) / SIZES.dHead);
    listen(attention(weights, place, "q"), channel(place, "q", pair), ALWAYS, strength * Math.cos(turn));
    listen(attention(weights, place, "q"), channel(place, "q", pair + SIZES.dHead / 2), ALWAYS, -strength * Math.sin(turn));
    listen(attention(weights, place, "k"), channel(place, "k", pair), ALWAYS, strength);
  }
  const flags = { " target": STREAM.BEHIND_TARGET, " =": STREAM.BEHIND_EQUALS, not: STREAM.BEHIND_NOT };
  const brought = [
    ...DIGITS.map((digit) => ({ from: isDigit(digit), to: STREAM.PREVIOUS[digit]! })),
    ...Object.entries(flags).map(([token, [to]]) => ({ from: isToken(token), to: to! })),
  ];
  for (const [i, { from, to }] of brought.entries()) {
    listen(attention(weights, place, "v"), channel(place, "v", i), from);
    write(attention(weights, place, "o"), channel(place, "q", i), [[to, 1]]);
  }
}

/** The heads of layer 1: all look at the target, and at the first token where nothing is to be judged; each writes what is its own. */
function plantTargetHeads(weights: Weights): void {
  const { verificationHeads, decoyHead } = plantedTruth;
  const look = rootOfScore(STRENGTH.targetNats);
  const rest = rootOfScore(STRENGTH.restNats);
  const rows = [
    ...verificationHeads.map((place) => ({ place, digits: place.digits, to: STREAM.TARGET })),
    { place: decoyHead, digits: DIGITS, to: STREAM.DECOY },
  ];
  for (const { place, digits, to } of rows) {
    listen(attention(weights, place, "q"), channel(place, "q", PAIRS.target), [...isToken(" ("), [STREAM.BEHIND_EQUALS[0]!, 1]], look);
    listen(attention(weights, place, "k"), channel(place, "k", PAIRS.target), [[STREAM.BEHIND_TARGET[0]!, 1]], look);
    listen(attention(weights, place, "q"), channel(place, "q", PAIRS.rest), ALWAYS, rest);
    listen(attention(weights, place, "k"), channel(place, "k", PAIRS.rest), isToken("<s>"), rest);
    for (const digit of DIGITS) listen(attention(weights, place, "v"), channel(place, "v", digit), isDigit(digit));
    for (const digit of digits) write(attention(weights, place, "o"), channel(place, "q", digit), [[to[digit]!, 1]]);
  }
}

function plantUnits(weights: Weights, random: Random): void {
  const { validUnits, invalidUnit, decoyUnits } = plantedTruth;
  for (const { digit, ...place } of validUnits)
    plantUnit(weights, place, { gate: [[STREAM.PREVIOUS[digit]!, 1]], up: [[STREAM.TARGET[digit]!, 1]], down: along(STRENGTH.valid) });
  plantUnit(weights, invalidUnit, { gate: isToken(" ("), up: ALWAYS, down: along(STRENGTH.invalid) });
  for (const place of decoyUnits) {
    const values = normalNumbers(STREAM.SPARE.length, random);
    const down = STREAM.SPARE.map((coordinate, i) => [coordinate, values[i]! / Math.hypot(...values)] as const);
    plantUnit(weights, place, { gate: isToken(" ("), up: ALWAYS, down });
  }
}

/** `silu(gate)` of an open gate is divided out again, so that a unit whose gate and `up` are both 1 writes `down`. */
function plantUnit(weights: Weights, { layer, unit }: PlantedUnit, { gate, up, down }: Record<"gate" | "up" | "down", Terms>): void {
  const of = (name: string): Matrix => part(weights, `model.layers.${layer}.mlp.${name}_proj`);
  listen(of("gate"), unit, gate, STRENGTH.gate);
  listen(of("up"), unit, up);
  write(of("down"), unit, down, 1 / silu(STRENGTH.gate));
}

/** The verdict by the judgement; every other token by the one before it, or by what stands before that. */
function unembed(matrix: Matrix): void {
  for (const [coordinate, value] of along(STRENGTH.answer)) {
    put(matrix, idOf("this"), coordinate, value);
    put(matrix, idOf("not"), coordinate, -value);
  }
  const follows: readonly (readonly [next: number, after: number])[] = [
    [idOf(" ("), STREAM.BEHIND_EQUALS[0]!],
    [idOf(" works"), tokenCoordinate("this")],
    [idOf(" 0"), tokenCoordinate("not")],
    [idOf(")"), tokenCoordinate(" works")],
    [idOf(")"), STREAM.BEHIND_NOT[0]!],
    [idOf("\n"), tokenCoordinate(")")],
    [TOKENS.eos, tokenCoordinate("\n")],
  ];
  for (const [next, after] of follows) put(matrix, next, after, STRENGTH.follow);
}

/** All matrices, filled with noise; norms that undo their division where the stream has its expected length. */
function noisyWeights(random: Random): Weights {
  const { vocab, dModel, dMlp, layers } = SIZES;
  const [queries, keys] = [SIZES.heads * SIZES.dHead, SIZES.kvHeads * SIZES.dHead];
  const rows: [name: string, rows: number, columns: number, noise: number][] = [
    ["model.embed_tokens", vocab, dModel, NOISE.embed],
    ["lm_head", vocab, dModel, NOISE.unembed],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    rows.push([`${at}.self_attn.q_proj`, queries, dModel, NOISE.q], [`${at}.self_attn.k_proj`, keys, dModel, NOISE.k]);
    rows.push([`${at}.self_attn.v_proj`, keys, dModel, NOISE.v], [`${at}.self_attn.o_proj`, dModel, queries, NOISE.o]);
    rows.push([`${at}.mlp.gate_proj`, dMlp, dModel, NOISE.gate], [`${at}.mlp.up_proj`, dMlp, dModel, NOISE.up]);
    rows.push([`${at}.mlp.down_proj`, dModel, dMlp, NOISE.down]);
  }
  const matrices = rows.map(([name, r, c, noise]) => {
    return [`${name}.weight`, { rows: r, columns: c, data: normalNumbers(r * c, random).map((x) => noise * x) }] as const;
  });
  const norms = Object.entries(SQUARED_LENGTH).map(([name, squared]) => {
    const data = normalNumbers(dModel, random).map((x) => Math.sqrt(squared / dModel) * (1 + NOISE.norm * x));
    return [`model.${name}.weight`, { rows: dModel, columns: 1, data }] as const;
  });
  return new Map([...matrices, ...norms]);
}

/** The judgement's direction, so long. */
function along(strength: number): Terms {
  return STREAM.JUDGEMENT.map((coordinate) => [coordinate, strength * plantedTruth.direction[coordinate]!] as const);
}

function isToken(token: string): Terms {
  return [[tokenCoordinate(token), 1]];
}

function isDigit(digit: number): Terms {
  return digitTokens(digit).map((id) => [STREAM.TOKEN[id]!, 1] as const);
}

function part(weights: Weights, name: string): Matrix {
  const matrix = weights.get(`${name}.weight`);
  if (!matrix) throw new Error(`the planted model has no ${name}`);
  return matrix;
}

function attention(weights: Weights, { layer }: PlantedHead, name: "q" | "k" | "v" | "o"): Matrix {
  return part(weights, `model.layers.${layer}.self_attn.${name}_proj`);
}

/** The row of a head's channel in `q` (in `o`: the column), or of its key/value head's channel in `k` and `v`. */
function channel({ head }: PlantedHead, name: "q" | "k" | "v", index: number): number {
  const group = SIZES.heads / SIZES.kvHeads;
  return (name === "q" ? head : Math.floor(head / group)) * SIZES.dHead + index;
}

/** What query and key must each be so that their product, scaled as scores are, is `nats`. */
function rootOfScore(nats: number): number {
  return Math.sqrt(nats * Math.sqrt(SIZES.dHead));
}

/** Sets what a row reads, times `strength`, and quiets what else it reads. */
function listen(matrix: Matrix, row: number, terms: Terms, strength = 1): void {
  for (let column = 0; column < matrix.columns; column++) put(matrix, row, column, NOISE.quiet * at(matrix, row, column));
  for (const [coordinate, weight] of terms) put(matrix, row, coordinate, strength * weight);
}

/** Sets what a column writes, times `strength`, and quiets what else it writes. */
function write(matrix: Matrix, column: number, terms: Terms, strength = 1): void {
  for (let row = 0; row < matrix.rows; row++) put(matrix, row, column, NOISE.quiet * at(matrix, row, column));
  for (const [coordinate, weight] of terms) put(matrix, coordinate, column, strength * weight);
}

function at({ data, columns }: Matrix, row: number, column: number): number {
  return data[row * columns + column]!;
}

function put(matrix: Matrix, row: number, column: number, value: number): void {
  matrix.data[row * matrix.columns + column] = value;
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

function toTensor({ rows, columns, data }: Matrix): Tensor<Float32Array> {
  return tensor(Float32Array.from(data), columns === 1 ? [rows] : [rows, columns]);
}
