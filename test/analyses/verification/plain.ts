/** @file Continuations, token by token and row by row: a full pass over one row for each token, which nothing is kept from. */
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";

/** The logits behind the last token of one row. */
export async function lastLogits(model: Model, tokens: readonly number[], edits: readonly Edit[] = []): Promise<number[]> {
  const { logits } = await model.forward({ tokens: [tokens], edits, logits: { positions: "last" } });
  return [...logits!.data];
}

/** The first of the largest. */
export function argmax(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

export interface PlainContinuation {
  readonly open: number;
  readonly edits: readonly Edit[];
  readonly maxNew: number;
  readonly stopTokens?: readonly number[];
  /** Whether what was written ends there. */
  readonly hasStopped?: (written: readonly number[]) => boolean;
}

/** What is written behind a row, with edits in force only where its last token is `open`. */
export async function continuePlainly(model: Model, row: readonly number[], request: PlainContinuation): Promise<number[]> {
  const { open, edits, maxNew, stopTokens = [], hasStopped = () => false } = request;
  const written: number[] = [];
  const context = model.spec.context?.length ?? Infinity;
  while (written.length < maxNew && row.length + written.length < context) {
    const tokens = [...row, ...written];
    written.push(argmax(await lastLogits(model, tokens, tokens.at(-1) === open ? edits : [])));
    if (stopTokens.includes(written.at(-1)!) || hasStopped(written)) break;
  }
  return written;
}
