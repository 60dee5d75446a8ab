/** @file Directions held against the judgements of searches: how well each layer's tells the verdicts apart. */
import { collectAt } from "../../analyses/collect.js";
import { auroc } from "../../base/auroc.js";
import { must } from "../../base/errors.js";
import type { Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";
import type { Finding } from "../../store/finding.js";
import { numberFinding } from "../finding-of.js";
import type { StepContext, Subject } from "../study.js";
import { formatNamed } from "./formats/table.js";
import type { SelfVerificationParameters } from "./parameters.js";
import { classVector } from "./probe-vectors.js";
import { findTimeSteps, wordIds } from "./time-steps.js";
import type { Written } from "./write-searches.js";

type Context = StepContext<SelfVerificationParameters>;

/** What a set of directions, one a layer, tells of the judgements of searches. */
export interface Judged {
  readonly labels: readonly (0 | 1)[];
  /** By layer; undefined where a verdict does not occur or there is no direction. */
  readonly aurocs: readonly (number | undefined)[];
}

/** The row of `this` minus the row of `not`, by layer. */
export function leads(probe: Tensor): Float32Array[] {
  return Array.from({ length: probe.shape[0]! }, (_, layer) => {
    const not = classVector(probe, layer, 0);
    return classVector(probe, layer, 1).map((value, i) => value - not[i]!);
  });
}

/** Holds directions against the judgements of searches of a model. */
export async function judgedBy(
  { parameters, signal }: Context,
  { model, tokenizer }: Subject,
  { written, vectors }: { readonly written: readonly Written[]; readonly vectors: readonly (Float32Array | undefined)[] },
): Promise<Judged> {
  const words = wordIds(tokenizer, formatNamed(parameters.format).words);
  const steps = written.flatMap(({ tokens, asked }, row) =>
    findTimeSteps(tokens, words, { from: asked.length, tokenizer }).map((step) => ({ row, ...step })),
  );
  const labels = steps.map(({ label }) => label);
  if (steps.length === 0) return { labels, aurocs: [] };
  const rows = written.map(({ tokens }) => tokens);
  const sites = steps.map(({ row, open }) => ({ row, position: open }));
  const values = await collectAt(model, { rows, sites, read: ["resid_post.*"] }, { signal });
  const aurocs = vectors.map((vector, layer) =>
    vector ? aurocOf(must(values[`resid_post.${layer}`], "the stream"), vector, labels) : undefined,
  );
  return { labels, aurocs };
}

function aurocOf({ data }: Tensor<Float32Array>, vector: Float32Array, labels: readonly (0 | 1)[]): number | undefined {
  if (new Set(labels).size < 2) return undefined;
  const width = vector.length;
  const scores = labels.map((_, i) => dot(vector, data.subarray(i * width, (i + 1) * width)));
  return auroc(
    scores,
    labels.map((label) => label === 1),
  );
}

/** The last layer's AUROC, and the best. */
export function aurocFindings(id: string, what: string, { labels, aurocs }: Judged): Finding[] {
  const tolerance = { absolute: 0.02, relative: 0 };
  const known = aurocs.filter((value) => value !== undefined);
  const note = known.length === 0 ? { note: "both verdicts are needed, and one never came" } : {};
  return [
    numberFinding(`${id}.auroc_last`, `AUROC in the last layer of ${what}`, {
      value: aurocs.at(-1) ?? null,
      unit: "AUROC",
      n: labels.length,
      tolerance,
      ...note,
    }),
    numberFinding(`${id}.auroc_best`, `best AUROC over layers of ${what}`, {
      value: known.length === 0 ? null : Math.max(...known),
      unit: "AUROC",
      n: labels.length,
      tolerance,
      ...note,
    }),
  ];
}
