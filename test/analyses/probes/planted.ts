/** @file Examples with a known answer for the tests of probes. */
import { normalNumbers } from "../../../src/base/draws.js";
import { seededRandom } from "../../../src/base/random.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";

export interface PlantedSetup {
  readonly seed: number;
  readonly groups: number;
  readonly perGroup: number;
  readonly width: number;
  /** How far the means of the classes lie from the middle along the planted direction, in deviations of the noise; 0 plants nothing. */
  readonly strength: number;
  /** Layers before the one in which the direction is planted; 0 by default. */
  readonly emptyLayers?: number;
  /** Whether all examples of a group have one label; false by default. */
  readonly isConstant?: boolean;
}

export interface Planted {
  readonly examples: Tensor<Float32Array>;
  readonly labels: number[];
  readonly groups: string[];
  readonly direction: Float64Array;
}

/** Two classes in unit noise, whose means lie apart along one random direction of the last layer, the groups each with an offset of its own. */
export function plantedExamples(setup: PlantedSetup): Planted {
  const { groups: groupCount, perGroup, width, strength, emptyLayers = 0 } = setup;
  const random = seededRandom(setup.seed);
  const direction = unit(normalNumbers(width, random));
  const count = groupCount * perGroup;
  const layers = emptyLayers + 1;
  const labels = Array.from({ length: count }, (_, i) => (setup.isConstant ? Math.floor(i / perGroup) : i) % 2);
  const data = new Float32Array(count * layers * width);
  for (let example = 0; example < count; example++) {
    for (let layer = 0; layer < layers; layer++) {
      const row = normalNumbers(width, random);
      const along = layer === emptyLayers ? strength * (labels[example]! * 2 - 1) : 0;
      data.set(
        row.map((value, i) => value + along * direction[i]!),
        (example * layers + layer) * width,
      );
    }
  }
  const groups = labels.map((_, i) => `prompt ${Math.floor(i / perGroup)}`);
  return { examples: tensor(data, [count, layers, width], ["example", "layer", "d_model"]), labels, groups, direction };
}

export function unit(x: ArrayLike<number>): Float64Array {
  const length = Math.hypot(...Array.from(x));
  return Float64Array.from(x, (value) => value / length);
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return unit(a).reduce((sum, value, i) => sum + value * unit(b)[i]!, 0);
}
