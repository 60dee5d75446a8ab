/** @file Step 12: the probe carried to another model by Emb2Emb, and put to that model's own judgements. */
import type { Emb2EmbCheck } from "../../../analyses/mechanism/emb2emb.js";
import { judgements } from "../../../analyses/verification/judgements.js";
import { collectAt } from "../../../analyses/collect.js";
import { seedFrom } from "../../../base/draws.js";
import { must } from "../../../base/errors.js";
import { mean } from "../../../base/statistics.js";
import type { Tensor } from "../../../base/tensor.js";
import { dot } from "../../../base/vectors.js";
import type { Finding } from "../../../store/finding.js";
import type { StepOutput } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { groupedShareFinding, numberFinding } from "../../finding-of.js";
import type { Step, StepContext, Subject } from "../../study.js";
import { carryOver, sharedTokens, type Carried } from "../carried.js";
import { formatNamed } from "../formats/table.js";
import { evenly } from "../judged.js";
import type { SelfVerificationParameters } from "../parameters.js";
import { findTimeSteps, wordIds } from "../time-steps.js";
import { searchLines, writeSearches, type Written } from "../write-searches.js";
import { aurocFindings, judgedAlong, readJudgements, type Judged } from "../judged-by.js";

type Context = StepContext<SelfVerificationParameters>;

export const transferStep: Step<SelfVerificationParameters> = {
  name: "transfer",
  title: "The probe in another model",
  about:
    "A linear map from this model's unembedding to another's is fitted on the tokens that both have, and the probe's rows go through it; layer p goes to the other model's layer of the same relative depth. The carried rows are held against the other model's own judgements, and steer it. Controls: the same rows through a map of shuffled pairs, and random directions.",
  async run(context) {
    const other = await context.other("other");
    if (!other) return { findings: [], skipped: "no other model was given" };
    return transferTo(context, other);
  },
};

/** Shared tokens below which no map is fitted. */
const LEAST_PAIRS = 10;

async function transferTo(context: Context, other: Subject): Promise<StepOutput> {
  const pairs = sharedTokens(context.subject, other);
  if (pairs.length < LEAST_PAIRS)
    return { findings: [], skipped: `the models have ${pairs.length} tokens in common, too few to fit a map on and to test it` };
  const { directions, check } = await carryOver(context, other, pairs);
  const written = await otherSearches(context, other);
  const read = await readJudgements(context, other, written);
  const judged = directions.map(({ vectors }) => judgedAlong(read, vectors));
  if (judged[0]!.labels.length === 0)
    return { findings: [], skipped: "the other model judged nothing in its searches", generations: { searches: searchLines(written) } };
  const steered = await steerOther(context, other, { written, directions });
  return {
    findings: [mapFinding(check), ...readFindings(directions, judged), ...steered],
    tables: [tableFrom(directions, judged)],
    generations: { searches: searchLines(written) },
    notes: [
      `${pairs.length} tokens are in both vocabularies; the models have ${context.subject.model.spec.dModel} and ${other.model.spec.dModel} coordinates. With fewer tokens than coordinates the map is the smallest that fits, and what of a direction lies outside the tokens' span is lost.`,
      "AUROC tells a direction from chance only by its distance from 0.5: random directions in a space with few active dimensions spread widely around it.",
    ],
  };
}

function mapFinding({ heldOut, shuffled: control, tested }: Emb2EmbCheck): Finding {
  return numberFinding("transfer.map_r2", "share of the variance of held-out tokens' rows that the map explains", {
    value: heldOut.r2,
    unit: "R²",
    n: tested,
    controls: [{ name: "pairs shuffled", value: control.r2 }],
    tolerance: { absolute: 0.01, relative: 0.02 },
  });
}

function readFindings(directions: readonly Carried[], judged: readonly Judged[]): Finding[] {
  return aurocFindings("transfer", "the carried probe's lead of `this` in the other model", judged[0]!, (read) =>
    directions.slice(1).flatMap(({ name }, i) => {
      const value = read(judged[i + 1]!.aurocs);
      return value === undefined ? [] : [{ name: name.replace("_", " "), value }];
    }),
  );
}

function tableFrom(directions: readonly Carried[], judged: readonly Judged[]): Table {
  return tableOf(
    {
      name: "transfer",
      title: "AUROC of carried directions at the other model's judgements, by its layers",
      tolerance: { absolute: 0.02, relative: 0 },
    },
    [{ name: "layer", type: "int" }, ...directions.map(({ name }) => ({ name, type: "double", unit: "AUROC" }) as const)],
    directions[0]!.vectors.map((_, layer) => ({
      layer,
      ...Object.fromEntries(directions.map(({ name }, i) => [name, judged[i]!.aurocs[layer] ?? null])),
    })),
  );
}

async function otherSearches(context: Context, other: Subject): Promise<Written[]> {
  const { transfer } = context.parameters;
  const format = formatNamed(context.parameters.format);
  const seed = seedFrom(context.random("tasks"));
  const prompts = format.prompts(transfer.prompts, seed, { examples: transfer.examples });
  return writeSearches(context, { prompts, format, stopTokens: [...other.tokenizer.eosIds], subject: other });
}

/** Steps as long as the longest of this model's, in mean lengths, along each direction in the upper third of the other model, at its `not` judgements. */
async function steerOther(
  { parameters, signal, random }: Context,
  other: Subject,
  { written, directions }: { readonly written: readonly Written[]; readonly directions: readonly Carried[] },
): Promise<Finding[]> {
  const words = wordIds(other.tokenizer, formatNamed(parameters.format).words);
  const wrong = written.flatMap(({ tokens, asked }, search) =>
    findTimeSteps(tokens, words, { from: asked.length, tokenizer: other.tokenizer }).flatMap(({ open, label }) =>
      label === 0 ? [{ search, tokens: tokens.slice(0, open + 1) }] : [],
    ),
  );
  const chosen = evenly(wrong, parameters.steer.cases).map((index) => wrong[index]!);
  const cases = chosen.map(({ tokens }) => tokens);
  const strength = Math.max(...parameters.steer.strengths);
  const turned: (readonly boolean[])[] = [];
  for (const { vectors } of directions)
    turned.push(cases.length === 0 ? [] : await flipped(other, { cases, vectors, strength, words }, signal));
  const shareOf = (hits: readonly boolean[]): number => hits.filter(Boolean).length / cases.length;
  const controls = directions.slice(1).map(({ name }, i) => ({ name: name.replace("_", " "), value: shareOf(turned[i + 1]!) }));
  return [
    groupedShareFinding(
      "transfer.steer.flipped",
      `the other model's \`not\` judgements that become \`this\` with a step of ${strength} mean lengths along the carried probe behind each block of its upper third`,
      {
        hits: turned[0]!,
        groups: chosen.map(({ search }) => search),
        seed: seedFrom(random("intervals")),
        controls: cases.length === 0 ? [] : controls,
        tolerance: { absolute: 0.05, relative: 0 },
      },
    ),
  ];
}

/** Whether each judgement is `this` with the step. */
async function flipped(
  { model }: Subject,
  {
    cases,
    vectors,
    strength,
    words,
  }: {
    cases: readonly (readonly number[])[];
    vectors: readonly Float32Array[];
    strength: number;
    words: { valid: number; invalid: number };
  },
  signal: AbortSignal,
): Promise<boolean[]> {
  const layers = vectors.map((_, layer) => layer).slice(Math.floor((2 * vectors.length) / 3));
  const sites = cases.map(({ length }, row) => ({ row, position: length - 1 }));
  const streams = await collectAt(model, { rows: cases, sites, read: layers.map((layer) => `resid_post.${layer}`) }, { signal });
  const edits = layers.map((layer) => {
    const vector = vectors[layer]!;
    const length = meanLength(must(streams[`resid_post.${layer}`], "the stream")) / Math.sqrt(dot(vector, vector));
    return { at: `resid_post.${layer}`, op: "add", vector: Array.from(vector), strength: strength * length, positions: [-1] } as const;
  });
  const found = await judgements(model, { rows: cases, ...words, edits }, { signal });
  return found.map(({ top }) => top === words.valid);
}

function meanLength({ data, shape: [examples = 0, width = 0] }: Tensor<Float32Array>): number {
  return mean(
    Array.from({ length: examples }, (_, i) =>
      Math.sqrt(dot(data.subarray(i * width, (i + 1) * width), data.subarray(i * width, (i + 1) * width))),
    ),
  );
}
