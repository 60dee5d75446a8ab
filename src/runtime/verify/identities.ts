/**
 * @file What must be true inside a single run of any transformer, whatever its weights: sums that must come out, and changes that
 * must change nothing. None of them can hold by luck.
 */
import { must } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { allPlaces, type Place } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import type { LayerSpec } from "../../models/spec.js";
import { judged, notApplicable, toleranceOf, type Check, type Subject } from "./check.js";
import { differenceOf, worse, type Values, type Worst } from "./compare.js";
import { editedLayer } from "./edit-cases.js";

/**
 * Relative. Sums of at most some thousand float32 terms, whose order differs: seen are up to 1.4e-6; a missing term shows at 1e-2
 * and above.
 */
const TOLERANCE = 1e-4;

const NONE: Worst = { name: "", relative: 0 };

/** The identities of one run. */
export async function* identityChecks(subject: Subject): AsyncGenerator<Check> {
  const { model, tokens, options } = subject;
  const row = [tokens.toSorted((a, b) => b.length - a.length)[0]!];
  const read = allPlaces(model.spec).map(({ address }) => address);
  const { activations } = await model.forward({ tokens: row, read, logits: false }, options);
  const run: Run = { layers: model.spec.layers, values: activations, tolerance: toleranceOf(model, TOLERANCE) };
  yield headSum(run);
  yield mixing(run);
  yield* streamSums(run);
  yield await lastLens(subject, row, activations);
  yield await patchedWithItself(subject, row, activations);
}

/** One row's values at every point. */
interface Run {
  readonly layers: readonly LayerSpec[];
  readonly values: Values;
  /** Where one side is computed in another way. */
  readonly tolerance: number;
}

/** The residual sum_h head_out − attention output is b_O, which is no point: it must be one vector at all positions, or zero. */
function headSum({ layers, values, tolerance }: Run): Check {
  let worst = NONE;
  let hasBias = false;
  for (const [layer, { attention }] of layers.entries()) {
    const name = `attn_out_raw.${layer}` in values ? `attn_out_raw.${layer}` : `attn_out.${layer}`;
    const out = must(values[name], name);
    const sums = summedHeads(must(values[`head_out.${layer}`], "head_out"));
    const rest = out.data.map((value, i) => value - sums[i]!);
    const width = out.shape.at(-1) ?? 1;
    const bias = attention.out.bias ? meanRow(rest, width) : new Float64Array(width);
    hasBias ||= attention.out.bias !== undefined;
    const expected = tensor(
      Float32Array.from(sums, (sum, i) => sum + bias[i % width]!),
      out.shape,
    );
    worst = worse(worst, { name, relative: differenceOf(expected, out).relative });
  }
  const detail = hasBias ? "b_O is no point: taken as the mean difference, which must be the same at every position" : undefined;
  return checked("Σ head_out + b_O = attention output", worst, { detail, tolerance });
}

/** Sums over heads of batch, pos, head, d_model. */
function summedHeads({ data, shape }: Tensor): Float64Array {
  const [heads = 1, width = 1] = shape.slice(2);
  const sums = new Float64Array(data.length / heads);
  data.forEach((value, i) => (sums[Math.floor(i / (heads * width)) * width + (i % width)]! += value));
  return sums;
}

function meanRow(values: ArrayLike<number>, width: number): Float64Array {
  const mean = new Float64Array(width);
  for (let i = 0; i < values.length; i++) mean[i % width]! += (values[i]! * width) / values.length;
  return mean;
}

/** z of a head is its pattern times the values of the key head that it shares. */
function mixing({ layers, values }: Run): Check {
  let worst = NONE;
  layers.forEach((_, layer) => {
    const [pattern, v, z] = ["pattern", "v", "z"].map((point) => must(values[`${point}.${layer}`], point));
    worst = worse(worst, { name: `z.${layer}`, relative: differenceOf(mixed(pattern!, v!), z!).relative });
  });
  return checked("pattern · v = z", worst);
}

/** One row: pattern (1, head, query, key) times v (1, key, kv_head, d_head). */
function mixed(pattern: Tensor, v: Tensor): Tensor {
  const [, heads = 0, positions = 0] = pattern.shape;
  const [kvHeads = 1, width = 1] = v.shape.slice(2);
  const out = new Float32Array(positions * heads * width);
  for (let index = 0; index < out.length; index++) {
    const [query, head, unit] = [Math.floor(index / (heads * width)), Math.floor(index / width) % heads, index % width];
    const shared = Math.floor((head * kvHeads) / heads);
    let sum = 0;
    for (let key = 0; key <= query; key++) {
      sum += pattern.data[(head * positions + query) * positions + key]! * v.data[(key * kvHeads + shared) * width + unit]!;
    }
    out[index] = sum;
  }
  return tensor(out, [1, positions, heads, width]);
}

/** A sum of the stream: its terms as far as a layer has them, what they make, and why a layer has no such sum. */
interface StreamSum {
  readonly terms: readonly string[];
  readonly total: string;
  readonly absence?: (layer: LayerSpec) => string | undefined;
}

const STREAM_SUMS: readonly StreamSum[] = [
  { terms: ["resid_pre", "attn_out"], total: "resid_mid", absence: noMiddle },
  { terms: ["resid_mid", "mlp_out"], total: "resid_post", absence: noMiddle },
  { terms: ["resid_pre", "attn_out", "mlp_out"], total: "resid_post" },
];

function noMiddle({ mlp, wiring }: LayerSpec): string | undefined {
  if (!mlp) return "the layers have attention only";
  return wiring === "parallel" ? "attention and MLP run in parallel, so the stream has no middle" : undefined;
}

/** Why the stream of a layer is not the sum of what is added to it. */
function notSummed({ streamNorms, residualFromNorm }: LayerSpec): string | undefined {
  if (streamNorms) return "a norm stands in the stream behind each sum";
  return residualFromNorm ? "each branch is added to a norm's output" : undefined;
}

function* streamSums({ layers, values }: Run): Generator<Check> {
  for (const { terms, total, absence } of STREAM_SUMS) {
    const name = `${terms.join(" + ")} = ${total}`;
    const reasons = layers.map((layer) => notSummed(layer) ?? absence?.(layer));
    const mine = [...layers.keys()].filter((layer) => reasons[layer] === undefined);
    if (mine.length === 0) yield notApplicable(name, reasons[0] ?? "the model has no layers");
    else yield checked(name, worstSum(values, terms, { total, layers: mine }));
  }
}

function worstSum(values: Values, terms: readonly string[], at: { total: string; layers: readonly number[] }): Worst {
  let worst = NONE;
  for (const layer of at.layers) {
    const name = `${at.total}.${layer}`;
    const whole = must(values[name], name);
    const parts = terms.flatMap((term) => values[`${term}.${layer}`]?.data ?? []);
    const summed = Float32Array.from(whole.data, (_, i) => parts.reduce((sum, part) => sum + part[i]!, 0));
    worst = worse(worst, { name, relative: differenceOf(tensor(summed, whole.shape), whole).relative });
  }
  return worst;
}

/** The logit lens behind the last block: its stream through the last norm and the unembedding. */
async function lastLens({ model, options }: Subject, tokens: Subject["tokens"], values: Values): Promise<Check> {
  const layer = model.spec.layers.length;
  const resid = must(values[`resid_post.${layer - 1}`], "the last stream") as Tensor<Float32Array>;
  const { logits } = await model.forward({ tokens, resume: { layer, resid }, logits: { positions: "all" } }, options);
  const { relative } = differenceOf(logits, must(values["logits"], "logits"));
  return judged("the lens at the last layer = logits", relative, TOLERANCE);
}

/** Each point of one layer and outside the layers set to what it is anyway, one at a time. */
async function patchedWithItself({ model, options }: Subject, tokens: Subject["tokens"], values: Values): Promise<Check> {
  const layer = editedLayer(model.spec);
  const places = allPlaces(model.spec).filter((place) => !pointRow(place.point).readOnly && (place.layer ?? layer) === layer);
  let worst = NONE;
  for (const place of places) {
    const edit = { at: place.address, op: "set", value: settable(place, must(values[place.address], place.address)) } as const;
    const { logits } = await model.forward({ tokens, edits: [edit], logits: { positions: "all" } }, options);
    worst = worse(worst, { name: place.address, relative: differenceOf(logits, must(values["logits"], "logits")).relative });
  }
  return checked(`a patch with the run's own value changes nothing (${places.length} points)`, worst, {
    tolerance: toleranceOf(model, TOLERANCE),
  });
}

/** A value as an edit takes it: finite floats. Masked scores are left as they are, so any number may stand for them. */
function settable({ point }: Place, { data, shape, axes }: Tensor): Tensor<Float32Array> {
  const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => (point === "attn_scores" && data[i] === -Infinity ? 0 : data[i]!));
  return tensor(values, shape, axes);
}

function checked(
  name: string,
  worst: Worst,
  { detail, tolerance = TOLERANCE }: { detail?: string | undefined; tolerance?: number } = {},
): Check {
  return judged(name, worst.relative, tolerance, worst.relative > tolerance ? `most at ${worst.name}` : detail);
}
