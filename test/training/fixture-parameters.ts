/** @file The weights of a fixture model as parameters that are trained. */
import { readSafetensors } from "../../src/formats/safetensors.js";
import { weightsOf } from "../../src/models/check-weights.js";
import { readSpec } from "../../src/runtime/load.js";
import type { ModelSpec } from "../../src/models/spec.js";
import type { Parameter } from "../../src/training/step-types.js";
import { fixture } from "../runtime/support.js";

/** The spec of a fixture model, and every tensor that it uses. */
export function fixtureParameters(name: string): { spec: ModelSpec; parameters: Map<string, Parameter> } {
  const { spec, checkpoint } = readSpec(fixture(name));
  checkpoint.close();
  const used = new Set(weightsOf(spec).map((weight) => weight.name));
  const tensors = [...readSafetensors(`${fixture(name)}/model.safetensors`)].filter(([key]) => used.has(key));
  const parameters = tensors.map(([key, { data, shape }]) => [key, { data: Float32Array.from(data, Number), shape }] as const);
  return { spec, parameters: new Map(parameters) };
}

/** Σ aᵢ bᵢ in float64. */
export function product(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
}
