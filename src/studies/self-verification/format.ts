/**
 * @file How a model's search is asked for and read: the prompt, the words at which it judges an attempt, where the target is mentioned, and what became
 * of a judgement. Nothing else in this study knows one format from another.
 */
import type { Task } from "../../tasks/countdown/task.js";

/** What the model is asked. */
export interface Prompt {
  readonly task: Pick<Task, "numbers" | "target">;
  readonly text: string;
}

/** The texts of the tokens at which a judgement is made; each must be one token of the tokenizer. */
export interface JudgementWords {
  /** In front of each judgement, ` (`: the time step that is probed. */
  readonly open: string;
  /** What follows it where the attempt is right, `this`. */
  readonly valid: string;
  /** What follows it where it is wrong, `not`. */
  readonly invalid: string;
}

/** What became of verification when the model went on behind a right result (Lee et al. 2025, released code; page 1.8 of the paper's notes). */
export type Outcome = "disabled" | "partial" | "verifies" | "unknown";

/** One format. */
export interface VerificationFormat {
  readonly name: string;
  readonly words: JudgementWords;
  /** Texts that end a search or a continuation. */
  readonly stop: { readonly search: readonly string[]; readonly continuation: readonly string[] };
  /** The most tokens of a search, and of a continuation behind a right result. */
  readonly most: { readonly search: number; readonly continuation: number };
  /** Whether the tokenizer's beginning-of-text token stands in front. */
  readonly hasStartToken: boolean;
  /** Tasks that no two are alike, held out from training where that is known, with worked examples in front if asked for (the in-context variant). */
  prompts(count: number, seed: number, options?: { readonly examples?: number }): readonly Prompt[];
  /** Up to which character of prompt + response the target's mentions count for heads that look back at it. */
  contextEnd(text: string): number;
  /** Whether a whole response keeps to the format, and whether its answer is right. */
  judge(task: Prompt["task"], response: string): { readonly inFormat: boolean; readonly solved: boolean };
  /** What a continuation behind the right result and ` (` says. */
  outcomeOf(continuation: string): Outcome;
}
