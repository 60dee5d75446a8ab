/** @file How the linear maps of a model can be stored and multiplied. */

import { refuse, SextantError } from "../base/errors.js";
import type { Device } from "./device.js";

/** `float32` as the checkpoint has them; the others as whole numbers of at most so many bits. */
export const WEIGHT_FORMS = ["float32", "int8", "int4"] as const;

export type WeightForm = (typeof WEIGHT_FORMS)[number];

/** The form, where it is one. */
export function checkWeightForm(weights: string): WeightForm {
  const found = WEIGHT_FORMS.find((form) => form === weights);
  if (found) return found;
  throw new SextantError("usage", `weights must be one of ${WEIGHT_FORMS.join(", ")}, got ${weights}`);
}

/** Throws where a device is not known to multiply weights of that form as the CPU does. */
export function checkFormOn(device: Device, weights: WeightForm): void {
  if (device === "cpu" || weights === "float32") return;
  const why = "their products were checked on the CPU only";
  throw refuse({ what: `cannot compute with ${weights} weights on ${device}`, why, instead: "use float32 weights there, or the CPU" });
}
