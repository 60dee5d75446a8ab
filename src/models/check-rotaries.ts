/** @file Refuses rotary settings that give angles which are not numbers, before ONNX Runtime is handed any. */
import { SextantError } from "../base/errors.js";
import { attentionFactorOf, dependsOnLength, frequenciesOf } from "./rotary.js";
import type { ModelSpec, RotarySpec } from "./spec.js";

/** Lengths that stand for all: dynamic and long ropes change behind their original context. */
const LENGTHS = [1, 2 ** 10, 2 ** 20] as const;

/** Throws unless every rotary of the spec fits its layers' heads and turns by finite angles. */
export function checkRotaries(spec: ModelSpec, where: string): void {
  for (const rotary of spec.rotaries) {
    const lengths = dependsOnLength(rotary.rope) ? LENGTHS : LENGTHS.slice(0, 1);
    const finite = Number.isFinite(attentionFactorOf(rotary.rope)) && lengths.every((length) => isFiniteAt(rotary, length));
    if (finite) continue;
    const keys = "rope_theta, rope_scaling or rope_parameters";
    throw new SextantError("format", `${where}: ${keys} of type ${rotary.rope.type} give angles that are not finite numbers`);
  }
  for (const { attention } of spec.layers) {
    const dims = attention.rotary === undefined ? 0 : (spec.rotaries[attention.rotary]?.dims ?? 0);
    if (dims % 2 === 0 && dims <= attention.dHead) continue;
    throw new SextantError("format", `${where}: rotary of ${dims} of a head's ${attention.dHead} coordinates; they turn in pairs`);
  }
}

function isFiniteAt(rotary: RotarySpec, length: number): boolean {
  return frequenciesOf(rotary, length).every((frequency) => Number.isFinite(frequency));
}
