/** @file What a vector of logits says about tokens: probabilities, ranks, the most probable ones. Sums in float64. */
import { logSumExp } from "../base/log-sum-exp.js";

/** One token under a distribution over the vocabulary. */
export interface TokenStanding {
  readonly token: number;
  readonly logit: number;
  /** In nats. */
  readonly logProbability: number;
  readonly probability: number;
  /** 1 for the most probable token; tokens of equal logit share the better rank. */
  readonly rank: number;
}

/** The `count` most probable tokens, best first; of equal ones the smaller id. */
export function topTokens(logits: Float32Array, count: number): TokenStanding[] {
  const total = logSumExp(logits);
  const best: number[] = [];
  for (let token = 0; token < logits.length; token++) {
    if (best.length === count && !(logits[token]! > logits[best.at(-1)!]!)) continue;
    let at = best.length;
    while (at > 0 && logits[token]! > logits[best[at - 1]!]!) at--;
    best.splice(at, 0, token);
    if (best.length > count) best.pop();
  }
  return best.map((token) => standing(logits, token, total, 1 + best.findIndex((other) => logits[other] === logits[token])));
}

/** Where one token stands. */
export function standingOf(logits: Float32Array, token: number): TokenStanding {
  let rank = 1;
  for (const logit of logits) if (logit > logits[token]!) rank++;
  return standing(logits, token, logSumExp(logits), rank);
}

function standing(logits: Float32Array, token: number, total: number, rank: number): TokenStanding {
  const logit = logits[token]!;
  const logProbability = logit - total;
  return { token, logit, logProbability, probability: Math.exp(logProbability), rank };
}
