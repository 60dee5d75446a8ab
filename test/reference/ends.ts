/** @file The two ends of a model: tokens to vectors, and vectors to logits. */
import { linear, rows, scale, type Floats } from "./arrays.js";
import type { Run } from "./run.js";

/** The rows of the token table `[V, C]` for the run's tokens: `[T, C]`. A file may hold only the head of a tied pair. */
export function tokenRows(run: Run, name: string): Floats {
  return rows(run.weight(run.has(name) ? name : "lm_head.weight"), run.tokens);
}

/** The point `embed`: token rows times `multiplier`. */
export function embed(run: Run, name: string, multiplier = 1): Floats {
  return run.see("embed", scale(tokenRows(run, name), multiplier));
}

/** The point `pos_embed`: the rows `offset, offset + 1, …` of a table of positions. */
export function embedPositions(run: Run, name: string, offset = 0): Floats {
  const positions = run.tokens.map((_, t) => t + offset);
  return run.see("pos_embed", rows(run.weight(name), positions));
}

/** Which matrices a model may unembed with. */
export interface Unembedding {
  /** The head's names, newest first. */
  readonly head: readonly string[];
  readonly embedding: string;
  /** The default of `tie_word_embeddings`. */
  readonly tied: boolean;
  readonly bias?: string;
}

/**
 * x W_U (+ b), before multipliers and caps. A stored head is used even where `tie_word_embeddings` is true: either it equals the
 * embedding, or `transformers` keeps the two apart.
 */
export function unembed(run: Run, x: Floats, { head, embedding, tied, bias }: Unembedding): Floats {
  const stored = head.find((name) => run.has(name));
  if (!stored && !run.config.flag("tie_word_embeddings", tied)) throw new Error(`the checkpoint has no ${head.join(" or ")}`);
  return linear(x, run.weight(stored ?? embedding), bias ? run.weight(bias) : undefined);
}
