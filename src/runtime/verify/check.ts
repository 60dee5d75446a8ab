/** @file One check of a model: what was held against what, how far apart they were, and how far apart they may be. */
import { isQuantised } from "../../models/quantised.js";
import type { Model } from "../model.js";

/** `measured` is a relative difference, or what `detail` says it is; `not applicable` has a reason in `detail`. */
export interface Check {
  readonly name: string;
  readonly verdict: "agrees" | "differs" | "not applicable";
  readonly measured: number;
  readonly tolerance: number;
  readonly detail?: string;
}

/** What the checks of one model share. */
export interface Subject {
  readonly model: Model;
  readonly tokens: readonly (readonly number[])[];
  readonly options: { readonly signal?: AbortSignal };
}

/**
 * Relative, where weights are quantised. Then the values that a map multiplies are rounded to 8 bits, and where two float32 sums in another order fall on either side of a
 * rounding, what follows differs by its step: seen are up to 2.4e-2, over 17 models. A sum over heads, which are computed from values that are not rounded, differs
 * as much.
 */
const ROUNDED = 5e-2;

/** How far apart two ways of computing may be: `otherwise` where no weights are quantised. */
export function toleranceOf({ spec }: Model, otherwise: number): number {
  return isQuantised(spec) ? ROUNDED : otherwise;
}

/** The check with the verdict that its measurement gives. */
export function judged(name: string, measured: number, tolerance: number, detail?: string): Check {
  const verdict = measured <= tolerance ? "agrees" : "differs";
  return { name, verdict, measured, tolerance, ...(detail !== undefined && { detail }) };
}

/** A check that this model has nothing to show for, and why. */
export function notApplicable(name: string, why: string): Check {
  return { name, verdict: "not applicable", measured: 0, tolerance: 0, detail: why };
}
