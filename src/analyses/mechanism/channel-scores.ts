/**
 * @file How well a head's OV circuit feeds the gates and inputs of given units, by weights alone: the inter-layer channel score. With g and u a unit's
 * gate and up rows, W_V (`d_model, d_head`) and W_O (`d_head, d_model`) of a head with its group's value matrix:
 *
 *     diagonal:     ov[m] = Σ_h W_V[m,h] W_O[h,m]                      mean over units of act(g · ov) (u · ov)
 *     composition:  c(r) = ‖W_V W_O rᵀ‖ / (‖W_V W_O‖_F ‖r‖)           mean over units of √(c(g) c(u))
 *
 * The first is what Lee et al. 2025 (arXiv 2504.14379) released; it takes the diagonal of the OV matrix for a vector that the head writes. The second is
 * composition as in Elhage et al. 2021 (A Mathematical Framework for Transformer Circuits) and Merullo et al. 2024 (arXiv 2406.09519), for one row at a
 * time; random directions give about 1/√d_model, which `baseline` measures by the same formula.
 *
 * When they mislead: the diagonal depends on the basis of the stream, so that turning it changes the score but nothing in the model, and it has no scale: read the
 * order only. Both know neither what the head reads nor what it attends to; norms in front of the head and behind it (sandwich norms) are left out,
 * and so are the blocks between; a head with one strong direction scores high or low by that direction alone. The released code lets a head
 * feed units of layers before its own (`causal` does not).
 */
import { normalNumbers } from "../../base/draws.js";
import { must, SextantError } from "../../base/errors.js";
import { seededRandom } from "../../base/random.js";
import type { Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";
import type { ModelSpec } from "../../models/spec.js";
import type { RunOptions } from "../../runtime/model.js";
import type { ModelWeights } from "../../runtime/weights.js";
import { headsOf, type HeadPlace } from "../heads.js";
import { activationOf } from "./activation.js";
import type { UnitPlace } from "./nearest-units.js";
import { pause } from "./pause.js";

export interface ChannelRequest {
  /** The units that are fed. */
  readonly units: readonly UnitPlace[];
  /** Default: all. */
  readonly heads?: readonly HeadPlace[];
  /** Only units that the head comes before: of its layer or later, or later where attention and MLP are parallel. Default false, as released. */
  readonly causal?: boolean;
  /** Multiply gates and inputs by the factors of the norm in front of the MLP. Default false, as released. */
  readonly foldNorm?: boolean;
  /** Of the random directions. */
  readonly seed: number;
  /** Pairs of random directions. Default 200. */
  readonly draws?: number;
}

/** A head's scores; none where no unit comes after it. */
export interface ChannelScore extends HeadPlace {
  readonly diagonal: number | undefined;
  /** 0 … 1. */
  readonly composition: number | undefined;
  /** The composition score with random directions in place of gates and inputs: what a head gets that feeds none in particular. */
  readonly baseline: number;
  /** Units behind the means. */
  readonly units: number;
}

/** The scores of each head, in the order asked for. */
export async function channelScores(
  weights: Pick<ModelWeights, "value" | "output" | "gate" | "up" | "mlpNorm">,
  spec: ModelSpec,
  request: ChannelRequest,
  { signal, onProgress }: RunOptions = {},
): Promise<ChannelScore[]> {
  const { heads = headsOf({ spec }), causal = false, foldNorm = false, draws = 200, seed } = request;
  if (!Number.isInteger(draws) || draws < 1) throw failure(`draws must be a whole number above 0, got ${draws}`);
  const receivers = await readReceivers(weights, spec, { units: request.units, foldNorm }, signal);
  const random = seededRandom(seed);
  const controls = Array.from({ length: draws }, () => [normalNumbers(spec.dModel, random), normalNumbers(spec.dModel, random)] as const);
  const scores: ChannelScore[] = [];
  for (const place of heads) {
    await pause(signal);
    onProgress?.({ stage: "heads", done: scores.length, total: heads.length });
    const circuit = new OvCircuit(weights.value(place.layer, place.head), weights.output(place.layer, place.head));
    const fed = causal ? receivers.filter(({ layer }) => comesBefore(spec, place.layer, layer)) : receivers;
    const baseline = meanOf(controls.map(([a, b]) => circuit.composition(a, b)))!;
    scores.push({
      layer: place.layer,
      head: place.head,
      diagonal: meanOf(fed.map(({ gate, up, activate }) => activate(dot(gate, circuit.diagonal)) * dot(up, circuit.diagonal))),
      composition: meanOf(fed.map(({ gate, up }) => circuit.composition(gate, up))),
      baseline,
      units: fed.length,
    });
  }
  onProgress?.({ stage: "heads", done: heads.length, total: heads.length });
  return scores;
}

/** What a unit listens to. */
interface Receiver extends UnitPlace {
  readonly gate: Float64Array;
  readonly up: Float64Array;
  readonly activate: (x: number) => number;
}

/** The gates and inputs of the units; each layer's matrices are read once and let go. */
async function readReceivers(
  weights: Pick<ModelWeights, "gate" | "up" | "mlpNorm">,
  spec: ModelSpec,
  { units, foldNorm }: { readonly units: readonly UnitPlace[]; readonly foldNorm: boolean },
  signal: AbortSignal | undefined,
): Promise<Receiver[]> {
  if (units.length === 0) throw failure("units must name one unit or more");
  const receivers: Receiver[] = [];
  for (const layer of [...new Set(units.map((unit) => unit.layer))].toSorted((a, b) => a - b)) {
    await pause(signal);
    const [gates, ups] = [weights.gate(layer), weights.up(layer)];
    const factors = foldNorm ? weights.mlpNorm(layer)?.data : undefined;
    const mlp = must(spec.layers[layer]?.mlp, `the MLP of layer ${layer}`);
    const activate = activationOf("activation" in mlp ? mlp.activation : "");
    for (const place of units.filter((unit) => unit.layer === layer))
      receivers.push({ ...place, gate: rowOf(gates, place, factors), up: rowOf(ups, place, factors), activate });
  }
  return receivers;
}

function rowOf(
  { data, shape: [units = 0, width = 0] }: Tensor,
  { layer, unit }: UnitPlace,
  factors: ArrayLike<number> | undefined,
): Float64Array {
  if (!Number.isInteger(unit) || unit < 0 || unit >= units) throw failure(`unit ${unit} is not one of the ${units} of layer ${layer}`);
  const row = Float64Array.from(data.subarray(unit * width, (unit + 1) * width));
  return factors ? row.map((value, i) => value * factors[i]!) : row;
}

/** Whether what a head of one layer writes can reach the MLP of another. */
function comesBefore({ layers }: ModelSpec, head: number, unit: number): boolean {
  return unit > head || (unit === head && layers[unit]?.wiring === "sequential");
}

/** W_V W_O of one head, never multiplied out: ‖W_V W_O rᵀ‖² = yᵀ (W_Vᵀ W_V) y with y = W_O rᵀ. */
class OvCircuit {
  /** Its diagonal, along the stream. */
  readonly diagonal: Float64Array;
  readonly #gram: readonly Float64Array[];
  readonly #output: readonly Float64Array[];
  /** ‖W_V W_O‖_F. */
  readonly #norm: number;

  constructor(value: Tensor<Float32Array>, output: Tensor<Float32Array>) {
    const [width = 0, size = 0] = value.shape;
    const columns = Array.from({ length: size }, (_, h) => Float64Array.from({ length: width }, (_unused, m) => value.data[m * size + h]!));
    this.#output = Array.from({ length: size }, (_, h) => Float64Array.from(output.data.subarray(h * width, (h + 1) * width)));
    this.#gram = columns.map((a) => Float64Array.from(columns, (b) => dot(a, b)));
    this.diagonal = Float64Array.from({ length: width }, (_, m) => columns.reduce((sum, v, h) => sum + v[m]! * this.#output[h]![m]!, 0));
    const squares = this.#gram.map((row, h) => row.reduce((sum, product, k) => sum + product * dot(this.#output[h]!, this.#output[k]!), 0));
    this.#norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  }

  /** √(c(a) c(b)). */
  composition(a: Float64Array, b: Float64Array): number {
    return Math.sqrt(this.#share(a) * this.#share(b));
  }

  /** ‖W_V W_O rᵀ‖ / (‖W_V W_O‖_F ‖r‖); 0 where a norm is. */
  #share(row: Float64Array): number {
    const y = Float64Array.from(this.#output, (out) => dot(out, row));
    const square = this.#gram.reduce((sum, products, h) => sum + y[h]! * dot(products, y), 0);
    const whole = this.#norm * Math.sqrt(dot(row, row));
    return whole > 0 ? Math.sqrt(Math.max(0, square)) / whole : 0;
  }
}

function meanOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function failure(what: string): SextantError {
  return new SextantError("request", `channelScores: ${what}`);
}
