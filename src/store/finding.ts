/** @file What a step of a study found: one number with its unit, its interval, what it must be held against, and how near a second run must come. */

/** The bounds of an interval and how they were had. */
export interface FindingInterval {
  readonly low: number;
  readonly high: number;
  /** Between 0 and 1, such as 0.95. */
  readonly level: number;
  readonly method: "wilson" | "bootstrap" | "clopper_pearson" | "range";
}

/** What a number is to be read beside: a placebo, chance, another seed. Same unit as the finding. */
export interface Control {
  readonly name: string;
  readonly value: number;
  readonly interval?: FindingInterval;
}

/** What was published of the same quantity on another model. It is never a claim about the model of the run. */
export interface Published {
  readonly value: number;
  /** Where it stands, such as `Lee et al. 2025, notebook of the released code`. */
  readonly source: string;
  /** In what the protocol here differs from the published one. */
  readonly differs: string;
}

/** How far a second run may be off: |a − b| ≤ absolute + relative · max(|a|, |b|). 0 and 0: the same number. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** One number that a run stands for. */
export interface Finding {
  /** Unique in the run, words and places joined by dots, such as `ablation.heads_3.disabled`. */
  readonly id: string;
  /** A sentence's subject, such as `cases in which three heads off disable verification`. */
  readonly title: string;
  /** Null: there is no such number here, and `note` says why. */
  readonly value: number | null;
  /** `share`, `AUROC`, `cosine`, `nats`, `heads`, `tokens`, `logits` … */
  readonly unit: string;
  readonly interval?: FindingInterval;
  /** Independent cases behind the number. */
  readonly n?: number;
  readonly controls?: readonly Control[];
  readonly published?: Published;
  readonly tolerance: Tolerance;
  readonly note?: string;
}

/** Whether two values agree within the tolerance; two nulls do. */
export function agrees(a: number | null, b: number | null, { absolute, relative }: Tolerance): boolean {
  if (a === null || b === null) return a === b;
  if (Object.is(a, b) || a === b) return true;
  return Math.abs(a - b) <= absolute + relative * Math.max(Math.abs(a), Math.abs(b));
}
