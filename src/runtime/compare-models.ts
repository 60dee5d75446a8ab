/** @file How far one model is from another of the same shape, such as a quantised one from what it was made of: next-token distributions, and values at every point. */
import { logSumExp } from "../base/log-sum-exp.js";
import { SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { allPlaces } from "../models/address.js";
import type { Model } from "./model.js";

export interface ModelComparison {
  /** Positions that were compared. */
  readonly positions: number;
  /** KL(reference ‖ model) of the distributions over the next token, in nats, over all positions. */
  readonly kl: { readonly mean: number; readonly max: number };
  /** The share of positions at which both find the same token most probable. */
  readonly sameBest: number;
  /** By address: the root mean square of the difference over that of the reference. Scores in front of the softmax and whole numbers are not compared. */
  readonly points: Readonly<Record<string, number>>;
}

export interface CompareOptions {
  /** Rows of text that the model was made for: on others, differences grow that mean nothing. */
  readonly tokens: readonly (readonly number[])[];
  readonly signal?: AbortSignal;
}

/** Runs both models on the same rows. */
export async function compareModels(reference: Model, model: Model, { tokens, signal }: CompareOptions): Promise<ModelComparison> {
  const read = comparable(reference);
  const other = new Set(comparable(model));
  const stray = read.find((address) => !other.has(address));
  if (stray !== undefined || reference.spec.vocabOut !== model.spec.vocabOut)
    throw new SextantError("request", `compareModels: the models are not of one shape${stray === undefined ? "" : `: one lacks ${stray}`}`);
  const run = (one: Model) => one.forward({ tokens, read, logits: { positions: "all" } }, signal ? { signal } : {});
  const [theirs, ours] = [await run(reference), await run(model)];
  const points = read.map((address) => [address, relativeDifference(ours.activations[address]!, theirs.activations[address]!)] as const);
  return { ...distributions(theirs.logits!, ours.logits!, tokens), points: Object.fromEntries(points) };
}

function comparable({ spec }: Model): string[] {
  const isLeft = (point: string): boolean => point === "logits" || point === "attn_scores" || point === "head_out" || point === "experts";
  return allPlaces(spec).flatMap(({ point, address }) => (isLeft(point) ? [] : [address as string]));
}

function relativeDifference(ours: Tensor, theirs: Tensor): number {
  let [apart, size] = [0, 0];
  theirs.data.forEach((value, i) => {
    apart += (ours.data[i]! - value) ** 2;
    size += value ** 2;
  });
  return apart === 0 ? 0 : Math.sqrt(apart / size);
}

function distributions(theirs: Tensor, ours: Tensor, tokens: CompareOptions["tokens"]): Omit<ModelComparison, "points"> {
  const [, width = 0, vocab = 0] = theirs.shape;
  const found = tokens.flatMap((row, index) =>
    row.map((_, position) => {
      const from = (index * width + position) * vocab;
      return divergence(theirs.data.subarray(from, from + vocab), ours.data.subarray(from, from + vocab));
    }),
  );
  const mean = found.reduce((sum, { kl }) => sum + kl, 0) / found.length;
  const sameBest = found.filter(({ isSame }) => isSame).length / found.length;
  return { positions: found.length, kl: { mean, max: Math.max(...found.map(({ kl }) => kl)) }, sameBest };
}

/** KL(p ‖ q) of two rows of logits, and whether both have the same largest one. */
function divergence(p: Tensor["data"], q: Tensor["data"]): { kl: number; isSame: boolean } {
  const [sumP, sumQ] = [logSumExp(p), logSumExp(q)];
  let [kl, bestP, bestQ] = [0, 0, 0];
  for (let i = 0; i < p.length; i++) {
    const logP = p[i]! - sumP;
    kl += Math.exp(logP) * (logP - (q[i]! - sumQ));
    if (p[i]! > p[bestP]!) bestP = i;
    if (q[i]! > q[bestQ]!) bestQ = i;
  }
  return { kl: Math.max(kl, 0), isSame: bestP === bestQ };
}
