/**
 * @file What became of verification behind a right result, by what the model then writes. "disabled" is the intervention's success: the model does not see that
 * the attempt works. Of the paper's format the labels are those of the released code of Lee et al. (2025); of ours they are in their spirit.
 */
import type { Outcome } from "./format.js";

/** What the released code splits a continuation into. `</answer>` falls into `/` and `answer`. */
const PIECE = /\d+|<\w+>|[A-Za-z_]+|[()+\-*/=]/g;
const ARITHMETIC = /^(?:\d+|[()+\-*/=]|not)$/;
const ENDING = new Set(["so", "So", "the", "answer", "is", "<answer>", "</answer>", "</think>", "think", "equation", "that", "equals"]);

/**
 * The label of a continuation in the paper's format. `this works` verifies. Nothing but numbers, operators, brackets and `not`: disabled. Besides these only the words of
 * the ending: partial. Else by what appears: `Wait`, `That works` (added for R1), `correct` or `<answer>` is partial, `not` disabled. Nothing at all is unknown.
 */
export function paperOutcome(continuation: string): Outcome {
  if (continuation.includes("this works")) return "verifies";
  const pieces: readonly string[] = continuation.match(PIECE) ?? [];
  if (pieces.length === 0) return "unknown";
  if (pieces.every((piece) => ARITHMETIC.test(piece))) return "disabled";
  if (pieces.every((piece) => ARITHMETIC.test(piece) || ENDING.has(piece))) return "partial";
  if (/\bWait\b|That works|\bcorrect\b|<answer>/.test(continuation)) return "partial";
  return pieces.includes("not") ? "disabled" : "unknown";
}

/**
 * The label of a continuation in our format, up to its first line break: `this works` verifies; `not` with nothing but numbers, operators and brackets is disabled; an
 * answer without `not` is partial; anything else is unknown.
 */
export function countdownOutcome(continuation: string): Outcome {
  const line = continuation.split("\n", 1)[0]!;
  if (line.includes("this works")) return "verifies";
  const pieces: readonly string[] = line.match(PIECE) ?? [];
  if (pieces.includes("not")) return pieces.every((piece) => ARITHMETIC.test(piece)) ? "disabled" : "unknown";
  return pieces.includes("answer") ? "partial" : "unknown";
}
