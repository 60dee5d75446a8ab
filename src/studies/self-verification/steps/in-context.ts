/** @file Step 11: does the probe read the verdict when worked examples stand in front of the task? */
import { collectAt } from "../../../analyses/collect.js";
import { auroc } from "../../../base/auroc.js";
import { must } from "../../../base/errors.js";
import { dot } from "../../../base/vectors.js";
import type { Tensor } from "../../../base/tensor.js";
import type { JsonObject } from "../../../formats/json.js";
import { curveSvg } from "../../../charts/curve.js";
import type { Finding } from "../../../store/finding.js";
import { tableOf } from "../../../store/table.js";
import { numberFinding, shareFinding } from "../../finding-of.js";
import type { Step, StepContext, Subject } from "../../study.js";
import { formatNamed } from "../formats/table.js";
import type { SelfVerificationParameters } from "../parameters.js";
import { classVector } from "../probe-vectors.js";
import type { SearchesState } from "../state.js";
import { findTimeSteps, wordIds } from "../time-steps.js";
import { searchLines, writeSearches, type Written } from "../write-searches.js";

type Context = StepContext<SelfVerificationParameters>;

export const inContextStep: Step<SelfVerificationParameters> = {
  name: "in-context",
  title: "With worked examples in front",
  about:
    "The same tasks are asked behind worked examples of others, and the probe, fitted to searches without them, is put to the new judgements: does what it reads depend on how the task was asked?",
  async run(context) {
    const { inContext } = context.parameters;
    const format = formatNamed(context.parameters.format);
    const { stopTokens } = context.earlier<SearchesState>("searches").state;
    const seed = Math.floor(context.random("tasks")() * 2 ** 31);
    const prompts = format.prompts(inContext.prompts, seed, { examples: inContext.examples });
    const written = await writeSearches(context, { prompts, format, stopTokens });
    const probe = context.earlier("probe").tensors["probe"]!;
    const found = await judgedBy(context, context.subject, { written, vectors: leads(probe) });
    if (found.labels.length === 0) return { findings: [], skipped: "behind worked examples the model judged nothing", generations: { searches: searchLines(written) } };
    return {
      findings: [
        shareFinding("in_context.in_format", "searches behind worked examples that keep to the format", {
          hits: written.filter(({ prompt, response }) => format.judge(prompt.task, response).inFormat).length,
          n: written.length,
        }),
        ...aurocFindings("in_context", "the probe's lead of `this` behind worked examples", found),
      ],
      tables: [
        tableOf(
          { name: "in_context", title: "AUROC of the probe behind worked examples, by layer", tolerance: { absolute: 0.02, relative: 0 } },
          [
            { name: "layer", type: "int" },
            { name: "auroc", type: "double", unit: "AUROC" },
          ],
          found.aurocs.map((value, layer) => ({ layer, auroc: value ?? null })),
        ),
      ],
      generations: { searches: searchLines(written) as JsonObject[] },
      figures: figureOf(found),
    };
  },
};

function figureOf({ aurocs }: Judged) {
  if (aurocs.every((value) => value === undefined)) return [];
  const x = aurocs.map((_, layer) => layer);
  return [
    {
      name: "in_context",
      title: "The probe behind worked examples",
      caption: "AUROC of the probe's lead of `this` over `not`, by layer; 0.5 is chance.",
      svg: curveSvg([{ name: "AUROC", x, y: aurocs, markers: true }], { title: "behind worked examples", xLabel: "layer", yLabel: "AUROC" }),
      table: "in_context",
    },
  ];
}

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
  const steps = written.flatMap(({ tokens, asked }, row) => findTimeSteps(tokens, words, { from: asked.length, tokenizer }).map((step) => ({ row, ...step })));
  const labels = steps.map(({ label }) => label);
  if (steps.length === 0) return { labels, aurocs: [] };
  const rows = written.map(({ tokens }) => tokens);
  const sites = steps.map(({ row, open }) => ({ row, position: open }));
  const values = await collectAt(model, { rows, sites, read: ["resid_post.*"] }, { signal });
  const aurocs = vectors.map((vector, layer) => (vector ? aurocOf(must(values[`resid_post.${layer}`], "the stream"), vector, labels) : undefined));
  return { labels, aurocs };
}

function aurocOf({ data }: Tensor<Float32Array>, vector: Float32Array, labels: readonly (0 | 1)[]): number | undefined {
  if (new Set(labels).size < 2) return undefined;
  const width = vector.length;
  const scores = labels.map((_, i) => dot(vector, data.subarray(i * width, (i + 1) * width)));
  return auroc(scores, labels.map((label) => label === 1));
}

/** The last layer's AUROC, and the best. */
export function aurocFindings(id: string, what: string, { labels, aurocs }: Judged): Finding[] {
  const tolerance = { absolute: 0.02, relative: 0 };
  const known = aurocs.filter((value) => value !== undefined);
  const note = known.length === 0 ? { note: "both verdicts are needed, and one never came" } : {};
  return [
    numberFinding(`${id}.auroc_last`, `AUROC in the last layer of ${what}`, { value: aurocs.at(-1) ?? null, unit: "AUROC", n: labels.length, tolerance, ...note }),
    numberFinding(`${id}.auroc_best`, `best AUROC over layers of ${what}`, { value: known.length === 0 ? null : Math.max(...known), unit: "AUROC", n: labels.length, tolerance, ...note }),
  ];
}
