/**
 * @file MLP units whose value vectors (rows of `down`) point along a probe's vector, by cosine (Lee et al. 2025, arXiv 2504.14379, released code), from
 * one of two pools. `same_layer`: of each layer the first so many against that layer's own vector; whom they switch off. `all_below`: for each probe
 * layer p and each layer l ≤ p the first so many, merged; what they score heads by. With the antipode, the lowest cosines.
 *
 * When it misleads: a cosine of 0.2 is high in 2048 dimensions and still leaves 96 % of the vector unexplained; it says what a unit would write,
 * not whether it is ever active; the last of a pool's units are there because so many were asked for, so compare with `randomTopCosines`; and random
 * directions are a weak control, since value vectors and probes share the few directions in which all streams are large: run it with other
 * probes' vectors too.
 */
import { SextantError } from "../../base/errors.js";
import { normalNumbers } from "../../base/draws.js";
import { seededRandom } from "../../base/random.js";
import { dot } from "../../base/vectors.js";
import type { ModelSpec } from "../../models/spec.js";
import type { RunOptions } from "../../runtime/model.js";
import type { ModelWeights } from "../../runtime/weights.js";
import { Best } from "./best.js";
import { pause } from "./pause.js";

/** One unit by its place. */
export interface UnitPlace {
  readonly layer: number;
  readonly unit: number;
}

/** A unit with the cosine of its value vector to the vector of layer `probe`. */
export interface NearUnit extends UnitPlace {
  readonly cosine: number;
  readonly probe: number;
}

export interface NearestUnitsRequest {
  /** The vector of each layer, in the stream's coordinates; only those of `layers` are looked at. */
  readonly probes: readonly (ArrayLike<number> | undefined)[];
  /** Layers whose vectors are used. */
  readonly layers: readonly number[];
  /** Units taken from each pair of vector and layer. */
  readonly perLayer: number;
  readonly pool: "same_layer" | "all_below";
  /** `probe` (default): highest cosines. `antipode`: lowest. */
  readonly side?: "probe" | "antipode";
  /** Units in the result; all of the pool by default. */
  readonly count?: number;
}

/** The pool's units, each once, nearest first; a unit that several vectors found has the one that it is nearest to. */
export async function nearestUnits(
  weights: Pick<ModelWeights, "down">,
  spec: ModelSpec,
  request: NearestUnitsRequest,
  options: RunOptions = {},
): Promise<NearUnit[]> {
  const directions = directionsOf(spec, request);
  const [pool] = await pools(weights, [directions], request, options);
  return pool!;
}

export interface RandomCosinesRequest extends NearestUnitsRequest {
  readonly seed: number;
  /** Sets of random directions. Default 20. */
  readonly repeats?: number;
}

/**
 * The control: of each of `repeats` sets of random directions in the vectors' place, drawn evenly over the sphere, the cosine of the nearest unit of the pool (for the
 * antipode the lowest), in ascending order. Cosines do not know the vectors' norms.
 */
export async function randomTopCosines(
  weights: Pick<ModelWeights, "down">,
  spec: ModelSpec,
  request: RandomCosinesRequest,
  options: RunOptions = {},
): Promise<number[]> {
  const { seed, repeats = 20 } = request;
  if (!Number.isInteger(repeats) || repeats < 1) throw failure(`repeats must be a whole number above 0, got ${repeats}`);
  const directions = directionsOf(spec, request);
  const sets = Array.from({ length: repeats }, (_, repeat) => {
    const random = seededRandom(seed, repeat);
    return new Map([...directions.keys()].map((layer) => [layer, unit(normalNumbers(spec.dModel, random))] as const));
  });
  const found = await pools(weights, sets, { ...request, perLayer: 1, count: 1 }, options);
  return found.map(([nearest]) => nearest!.cosine).toSorted((a, b) => a - b);
}

/** A unit vector for each layer that has one. */
type Directions = ReadonlyMap<number, Float64Array>;

function directionsOf(spec: ModelSpec, { probes, layers, perLayer, count = 1 }: NearestUnitsRequest): Directions {
  if (layers.length === 0) throw failure("layers must name one layer or more");
  for (const [name, value] of Object.entries({ perLayer, count }))
    if (!Number.isInteger(value) || value < 1) throw failure(`${name} must be a whole number above 0, got ${value}`);
  return new Map(layers.map((layer) => [layer, directionOf(spec, probes, layer)] as const));
}

function directionOf({ layers, dModel }: ModelSpec, probes: NearestUnitsRequest["probes"], layer: number): Float64Array {
  if (!layers[layer]) throw failure(`layer ${layer} is not one of the model's ${layers.length} (0 to ${layers.length - 1})`);
  const probe = probes[layer];
  if (probe?.length !== dModel) throw failure(`probes[${layer}] must have ${dModel} coordinates, got ${probe?.length ?? "none"}`);
  const direction = unit(Float64Array.from(probe));
  if (!direction.every(Number.isFinite)) throw failure(`probes[${layer}] must be finite and not zero`);
  return direction;
}

/** The pool of each set of directions; every layer's weights are read once. */
async function pools(
  weights: Pick<ModelWeights, "down">,
  sets: readonly Directions[],
  { layers, perLayer, pool, side = "probe", count }: NearestUnitsRequest,
  { signal, onProgress }: RunOptions,
): Promise<NearUnit[][]> {
  const sign = side === "probe" ? 1 : -1;
  const last = Math.max(...layers);
  const searched = pool === "same_layer" ? [...new Set(layers)].toSorted((a, b) => a - b) : Array.from({ length: last + 1 }, (_, l) => l);
  const found: NearUnit[][] = sets.map(() => []);
  for (const [done, layer] of searched.entries()) {
    await pause(signal);
    onProgress?.({ stage: "layers", done, total: searched.length });
    const listening = sets.map((set) => [...set].filter(([probe]) => (pool === "same_layer" ? probe === layer : layer <= probe)));
    const searches = listening.map((pairs) => pairs.map(([probe, direction]) => ({ probe, direction, best: new Best<number>(perLayer) })));
    offerUnits(weights.down(layer), searches.flat(), sign);
    for (const [i, list] of searches.entries())
      for (const { probe, best } of list)
        for (const { item, score } of best.found) found[i]!.push({ layer, unit: item, cosine: sign * score, probe });
  }
  onProgress?.({ stage: "layers", done: searched.length, total: searched.length });
  return found.map((units) => onceEach(units, sign).slice(0, count));
}

/** Offers each unit to each search, by its cosine; a unit that writes nothing has none. */
function offerUnits(
  { data, shape: [units = 0, width = 0] }: ReturnType<ModelWeights["down"]>,
  searches: readonly { readonly direction: Float64Array; readonly best: Best<number> }[],
  sign: number,
): void {
  for (let index = 0; index < units; index++) {
    const row = Float64Array.from(data.subarray(index * width, (index + 1) * width));
    const scale = sign / Math.sqrt(dot(row, row));
    if (!Number.isFinite(scale)) continue;
    for (const { direction, best } of searches) best.offer(index, scale * dot(row, direction));
  }
}

/** Nearest first, by layer and unit where cosines are equal; each unit where it comes first. */
function onceEach(units: readonly NearUnit[], sign: number): NearUnit[] {
  const sorted = units.toSorted((a, b) => sign * (b.cosine - a.cosine) || a.layer - b.layer || a.unit - b.unit || a.probe - b.probe);
  const seen = new Set<string>();
  return sorted.filter(({ layer, unit: index }) => {
    const place = `${layer}.${index}`;
    const isNew = !seen.has(place);
    seen.add(place);
    return isNew;
  });
}

function unit(vector: Float64Array): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  return vector.map((value) => value / norm);
}

function failure(what: string): SextantError {
  return new SextantError("request", `nearestUnits: ${what}`);
}
