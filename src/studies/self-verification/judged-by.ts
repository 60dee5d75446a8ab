/** @file Directions held against the judgements of searches: how well each layer's tells the verdicts apart. */
import { collectAt } from "../../analyses/collect.js";
import { seedFrom } from "../../base/draws.js";
import { weightedAuroc, type WeightedAuroc } from "../../base/auroc.js";
import type { Interval } from "../../base/bootstrap.js";
import { must } from "../../base/errors.js";
import { bootstrapOverGroups } from "../../base/group-bootstrap.js";
import type { Tensor } from "../../base/tensor.js";
import { dot } from "../../base/vectors.js";
import type { Control, Finding } from "../../store/finding.js";
import { bootstrapped, judgementsOf, numberFinding } from "../finding-of.js";
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
  /** Searches that the judgements are of. */
  readonly searches: number;
  /** By layer; undefined where a verdict does not occur or there is no direction. */
  readonly aurocs: readonly (number | undefined)[];
  /** By layer, drawing searches whole. */
  readonly intervals: readonly (Interval | undefined)[];
}

/** The row of `this` minus the row of `not`, by layer. */
export function leads(probe: Tensor): Float32Array[] {
  return Array.from({ length: probe.shape[0]! }, (_, layer) => {
    const not = classVector(probe, layer, 0);
    return classVector(probe, layer, 1).map((value, i) => value - not[i]!);
  });
}

/** The judgements of searches, and the stream at each. */
export interface ReadJudgements {
  readonly labels: readonly (0 | 1)[];
  /** The search of each. */
  readonly groups: readonly number[];
  /** By address, axes `example, d_model`; nothing where there is no judgement. */
  readonly streams: Readonly<Record<string, Tensor<Float32Array>>>;
  /** Of intervals. */
  readonly seed: number;
}

/** Reads the stream behind every block at the judgements of searches of a model. */
export async function readJudgements(
  { parameters, signal, random }: Context,
  { model, tokenizer }: Subject,
  written: readonly Written[],
): Promise<ReadJudgements> {
  const words = wordIds(tokenizer, formatNamed(parameters.format).words);
  const steps = written.flatMap(({ tokens, asked }, row) =>
    findTimeSteps(tokens, words, { from: asked.length, tokenizer }).map((step) => ({ row, ...step })),
  );
  const rows = written.map(({ tokens }) => tokens);
  const sites = steps.map(({ row, open }) => ({ row, position: open }));
  const streams = steps.length === 0 ? {} : await collectAt(model, { rows, sites, read: ["resid_post.*"] }, { signal });
  const seed = seedFrom(random("intervals"));
  return { labels: steps.map(({ label }) => label), groups: steps.map(({ row }) => row), streams, seed };
}

/** Holds directions, one a layer, against judgements. */
export function judgedAlong({ labels, groups, streams, seed }: ReadJudgements, vectors: readonly (Float32Array | undefined)[]): Judged {
  const searches = new Set(groups).size;
  if (labels.length === 0) return { labels, searches, aurocs: [], intervals: [] };
  const areas = vectors.map((vector, layer) =>
    vector ? areaOf(must(streams[`resid_post.${layer}`], "the stream"), vector, labels) : undefined,
  );
  return {
    labels,
    searches,
    aurocs: areas.map((area) => area?.(new Float64Array(labels.length).fill(1))),
    intervals: areas.map((area) => area && bootstrapOverGroups(groups, area, { seed })),
  };
}

function areaOf({ data }: Tensor<Float32Array>, vector: Float32Array, labels: readonly (0 | 1)[]): WeightedAuroc {
  const width = vector.length;
  const scores = labels.map((_, i) => dot(vector, data.subarray(i * width, (i + 1) * width)));
  return weightedAuroc(
    scores,
    labels.map((label) => label === 1),
  );
}

/** The last layer's AUROC, and the best; `beside` gives the controls of each. */
export function aurocFindings(
  id: string,
  what: string,
  { labels, searches, aurocs, intervals }: Judged,
  beside: (read: typeof lastOf) => readonly Control[],
): Finding[] {
  const whole = judgementsOf(labels.length, searches);
  const finding = (name: string, title: string, { of, caveat }: { of: typeof lastOf; caveat: string }): Finding => {
    const value = of(aurocs);
    return numberFinding(`${id}.${name}`, title, {
      value: value ?? null,
      unit: "AUROC",
      n: searches,
      ...bootstrapped(value === undefined ? undefined : intervals[aurocs.lastIndexOf(value)]),
      controls: beside(of),
      tolerance: { absolute: 0.02, relative: 0 },
      note: value === undefined ? `${whole}: both verdicts are needed, and one never came` : `${whole}${caveat}`,
    });
  };
  return [
    finding("auroc_last", `AUROC in the last layer of ${what}`, { of: lastOf, caveat: "" }),
    finding("auroc_best", `best AUROC over layers of ${what}`, {
      of: bestOf,
      caveat: `; the best of ${aurocs.length} layers on these judgements, which makes it too good`,
    }),
  ];
}

type Aurocs = readonly (number | null | undefined)[];

function lastOf(aurocs: Aurocs): number | undefined {
  return aurocs.at(-1) ?? undefined;
}

function bestOf(aurocs: Aurocs): number | undefined {
  const known = aurocs.filter((value) => typeof value === "number");
  return known.length === 0 ? undefined : Math.max(...known);
}
