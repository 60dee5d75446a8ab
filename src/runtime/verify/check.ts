/** @file One check of a model: what was held against what, how far apart they were, and how far apart they may be. */
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

/** The check with the verdict that its measurement gives. */
export function judged(name: string, measured: number, tolerance: number, detail?: string): Check {
  const verdict = measured <= tolerance ? "agrees" : "differs";
  return { name, verdict, measured, tolerance, ...(detail !== undefined && { detail }) };
}

/** A check that this model has nothing to show for, and why. */
export function notApplicable(name: string, why: string): Check {
  return { name, verdict: "not applicable", measured: 0, tolerance: 0, detail: why };
}
