/** @file Rows of the probe that is kept in the run: axes `layer, class, d_model`. */
import { SextantError } from "../../base/errors.js";
import { mean } from "../../base/statistics.js";
import type { Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";

/** The row of a class (0: `not`, 1: `this`) of a layer's probe. */
export function classVector({ data, shape }: Tensor, layer: number, label: 0 | 1): Float32Array {
  const [layers = 0, classes = 0, width = 0] = shape;
  if (!(layer >= 0 && layer < layers) || classes !== 2) throw new SextantError("internal", `no probe of class ${label} of layer ${layer}`);
  const from = (layer * 2 + label) * width;
  return (data as Float32Array).subarray(from, from + width);
}

/** The rows of a class, by layer. */
export function classVectors(probe: Tensor, label: 0 | 1): Float32Array[] {
  return Array.from({ length: probe.shape[0] ?? 0 }, (_, layer) => classVector(probe, layer, label));
}

/** The products of a vector with every token's row, and their standard deviation. */
export function productsWith(
  vector: Float32Array,
  { data, vocab, width }: { readonly data: Float32Array; readonly vocab: number; readonly width: number },
): { readonly products: Float64Array; readonly deviation: number } {
  const products = Float64Array.from({ length: vocab }, (_, token) => dot(vector, data.subarray(token * width, (token + 1) * width)));
  const middle = mean(products);
  return { products, deviation: Math.sqrt(mean(products.map((value) => (value - middle) ** 2))) };
}
