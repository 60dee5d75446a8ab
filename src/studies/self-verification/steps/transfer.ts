/** @file Step 12: the probe carried to another model by Emb2Emb, and put to that model's own judgements. */
import { carry, checkEmb2Emb, fitEmb2Emb, type Emb2Emb, type Emb2EmbCheck, type TokenPair } from "../../../analyses/mechanism/emb2emb.js";
import { judgements } from "../../../analyses/verification/judgements.js";
import { collectAt } from "../../../analyses/collect.js";
import { normalNumbers, shuffled } from "../../../base/draws.js";
import { must } from "../../../base/errors.js";
import { mean } from "../../../base/statistics.js";
import type { Tensor } from "../../../base/tensor.js";
import { dot } from "../../../base/vectors.js";
import type { Tokenizer } from "../../../formats/tokenizer.js";
import type { Finding } from "../../../store/finding.js";
import type { StepOutput } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { numberFinding, shareFinding } from "../../finding-of.js";
import type { Step, StepContext, Subject } from "../../study.js";
import { formatNamed } from "../formats/table.js";
import type { SelfVerificationParameters } from "../parameters.js";
import { findTimeSteps, wordIds } from "../time-steps.js";
import { searchLines, writeSearches, type Written } from "../write-searches.js";
import { aurocFindings, judgedBy, leads, type Judged } from "../judged-by.js";

type Context = StepContext<SelfVerificationParameters>;

/** Directions in the other model, one a layer of it. */
interface Carried {
  readonly name: string;
  readonly vectors: readonly Float32Array[];
}

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

async function transferTo(context: Context, other: Subject): Promise<StepOutput> {
  const pairs = sharedTokens(context.subject, other);
  const { directions, check } = await carryOver(context, other, pairs);
  const written = await otherSearches(context, other);
  const judged: Judged[] = [];
  for (const { vectors } of directions) judged.push(await judgedBy(context, other, { written, vectors }));
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

/** The probe's rows through the map, and through that of shuffled pairs; random ones; how well the map carries tokens. */
async function carryOver(
  context: Context,
  other: Subject,
  pairs: readonly TokenPair[],
): Promise<{ directions: Carried[]; check: Emb2EmbCheck }> {
  const { subject, parameters, signal, random } = context;
  const { ridge } = parameters.transfer;
  const [from, to] = [subject.weights.unembedding(), other.weights.unembedding()];
  const map = await fitEmb2Emb(from, to, pairs, { ridge, signal });
  const mixed = shuffled(
    pairs.map(([, id]) => id),
    random("shuffled"),
  );
  const mixedPairs = pairs.map(([id], i): TokenPair => [id, mixed[i]!]);
  const placebo = await fitEmb2Emb(from, to, mixedPairs, { ridge, signal });
  const check = await checkEmb2Emb(from, to, pairs, { ridge, seed: Math.floor(random("map")() * 2 ** 31), signal });
  const rows = leads(context.earlier("probe").tensors["probe"]!);
  const { layers, dModel } = other.model.spec;
  const draw = random("random");
  const directions = [
    { name: "carried", vectors: carriedRows(map, rows, layers.length) },
    { name: "shuffled_pairs", vectors: carriedRows(placebo, rows, layers.length) },
    { name: "random", vectors: layers.map(() => Float32Array.from(normalNumbers(dModel, draw))) },
  ];
  return { directions, check };
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

/** Tokens of the same text, special ones left out. */
function sharedTokens(a: Subject, b: Subject): TokenPair[] {
  const idsOf = ({ tokenizer, model }: Subject): Map<string, number> => {
    const count = Math.min(tokenizer.vocabSize, model.spec.vocab);
    const ids = Array.from({ length: count }, (_, id) => id).filter((id) => !tokenizer.specialIds.has(id));
    return new Map(ids.map((id) => [rawText(tokenizer, id), id]));
  };
  const other = idsOf(b);
  return [...idsOf(a)].flatMap(([text, id]) => (other.has(text) ? [[id, other.get(text)!] as const] : []));
}

function rawText(tokenizer: Tokenizer, id: number): string {
  return tokenizer.decode([id]) || tokenizer.token(id);
}

/** The rows in the other model, by its layers: layer l gets the row of the layer of the same relative depth. */
function carriedRows(map: Emb2Emb, rows: readonly Float32Array[], layers: number): Float32Array[] {
  const carried = rows.map((row) => Float32Array.from(carry(map, row)));
  return Array.from({ length: layers }, (_, layer) => carried[Math.min(rows.length - 1, Math.floor((layer / layers) * rows.length))]!);
}

async function otherSearches(context: Context, other: Subject): Promise<Written[]> {
  const { transfer } = context.parameters;
  const format = formatNamed(context.parameters.format);
  const seed = Math.floor(context.random("tasks")() * 2 ** 31);
  const prompts = format.prompts(transfer.prompts, seed, { examples: transfer.examples });
  return writeSearches(context, { prompts, format, stopTokens: [...other.tokenizer.eosIds], subject: other });
}

/** One step of a mean length along each direction at the layers that are steered, at the other model's `not` judgements. */
async function steerOther(
  { parameters, signal }: Context,
  other: Subject,
  { written, directions }: { readonly written: readonly Written[]; readonly directions: readonly Carried[] },
): Promise<Finding[]> {
  const words = wordIds(other.tokenizer, formatNamed(parameters.format).words);
  const rows = written.flatMap(({ tokens, asked }) =>
    findTimeSteps(tokens, words, { from: asked.length, tokenizer: other.tokenizer }).flatMap(({ open, label }) =>
      label === 0 ? [tokens.slice(0, open + 1)] : [],
    ),
  );
  const cases = rows.slice(0, parameters.steer.cases);
  const strength = Math.max(...parameters.steer.strengths);
  const flips: number[] = [];
  for (const { vectors } of directions)
    flips.push(cases.length === 0 ? 0 : await flipped(other, { cases, vectors, strength, words }, signal));
  return [
    shareFinding(
      "transfer.steer.flipped",
      `the other model's \`not\` judgements that become \`this\` with a step of ${strength} mean lengths along the carried probe`,
      {
        hits: flips[0]!,
        n: cases.length,
        controls:
          cases.length === 0
            ? []
            : directions.slice(1).map(({ name }, i) => ({ name: name.replace("_", " "), value: flips[i + 1]! / cases.length })),
        tolerance: { absolute: 0.05, relative: 0 },
      },
    ),
  ];
}

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
): Promise<number> {
  const layers = vectors.map((_, layer) => layer).slice(Math.floor((2 * vectors.length) / 3));
  const sites = cases.map(({ length }, row) => ({ row, position: length - 1 }));
  const streams = await collectAt(model, { rows: cases, sites, read: layers.map((layer) => `resid_post.${layer}`) }, { signal });
  const edits = layers.map((layer) => {
    const vector = vectors[layer]!;
    const length = meanLength(must(streams[`resid_post.${layer}`], "the stream")) / Math.sqrt(dot(vector, vector));
    return { at: `resid_post.${layer}`, op: "add", vector: Array.from(vector), strength: strength * length, positions: [-1] } as const;
  });
  const found = await judgements(model, { rows: cases, ...words, edits }, { signal });
  return found.filter(({ top }) => top === words.valid).length;
}

function meanLength({ data, shape: [examples = 0, width = 0] }: Tensor<Float32Array>): number {
  return mean(
    Array.from({ length: examples }, (_, i) =>
      Math.sqrt(dot(data.subarray(i * width, (i + 1) * width), data.subarray(i * width, (i + 1) * width))),
    ),
  );
}
