/** @file How far a model with quantised weights is from the same one with float32 weights, over a passage of English. */
import { isSextantError } from "../base/errors.js";
import type { ModelComparison } from "../runtime/compare-models.js";
import type { WeightForm } from "../runtime/weight-forms.js";
import type { Opened } from "./inputs.js";

/** Lewis Carroll, Alice's Adventures in Wonderland (1865), the beginning. */
const PASSAGE = `Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had peeped into the book her \
sister was reading, but it had no pictures or conversations in it, "and what is the use of a book," thought Alice "without pictures or conversations?" So she was \
considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth \
the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.`;

/** The comparison, or why there is none. */
export type Compared = ModelComparison | { readonly none: string };

/** Loads the model once more, as float32, beside the one that is open, and runs both. */
export async function compareWithFloats(opened: Opened, signal: AbortSignal): Promise<Compared> {
  const { compareModels } = await import("../runtime/compare-models.js");
  const tokenizer = await opened.tokenizer();
  if (!tokenizer) return { none: "there is no tokenizer, and on made-up tokens differences grow that mean nothing" };
  const { spec } = opened.model;
  const ids = tokenizer.encode(PASSAGE).ids.slice(0, spec.context?.length);
  if (ids.some((id) => id >= spec.vocab)) return { none: "the tokenizer has ids that the model lacks" };
  try {
    const reference = await opened.inFloats();
    try {
      return await compareModels(reference, opened.model, { tokens: [ids], signal });
    } finally {
      await reference.close();
    }
  } catch (error) {
    if (isSextantError(error, "memory")) return { none: error.message };
    throw error;
  }
}

/** The comparison in lines for people. */
export function describeComparison(compared: Compared, weights: WeightForm): string {
  if ("none" in compared) return `Not compared with float32 weights: ${compared.none}.`;
  const { positions, kl, sameBest, points } = compared;
  const [address, worst] = Object.entries(points).toSorted((a, b) => b[1] - a[1])[0] ?? ["", 0];
  const last = Object.entries(points).findLast(([name]) => name.startsWith("resid_post"))?.[1] ?? 0;
  return [
    `${weights} against float32 weights, over ${positions} positions of English text:`,
    `  next token     KL ${kl.mean.toPrecision(2)} nats in the mean, ${kl.max.toPrecision(2)} at most; the same best token at ${(100 * sameBest).toFixed(1)} %`,
    `  last stream    root mean square of the difference ${percent(last)} of the values'`,
    `  worst point    ${address}, ${percent(worst)}`,
  ].join("\n");
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(2)} %`;
}
