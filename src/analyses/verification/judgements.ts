/** @file What a model would say next where it judges, and by how much it prefers one verdict to the other. */
import { must, SextantError } from "../../base/errors.js";
import type { Edit } from "../../runtime/edit.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { topTokens } from "../probabilities.js";

export interface JudgementRequest {
  /** Each ends in the token in front of a judgement. */
  readonly rows: readonly (readonly number[])[];
  /** The tokens of both verdicts. */
  readonly valid: number;
  readonly invalid: number;
  readonly edits?: readonly Edit[];
  /** Rows a pass, 32 by default. */
  readonly batch?: number;
}

/** One row's judgement. */
export interface Judgement {
  /** Logit of `valid` minus logit of `invalid`. */
  readonly lead: number;
  /** The most probable token of all. */
  readonly top: number;
}

/** The judgement of each row, in their order. */
export async function judgements(model: Model, request: JudgementRequest, options: RunOptions = {}): Promise<Judgement[]> {
  const { rows, valid, invalid, edits = [], batch = 32 } = request;
  if (!(Number.isInteger(batch) && batch > 0)) throw new SextantError("request", `batch must be a whole number above 0, got ${batch}`);
  const order = rows.map((_, row) => row).toSorted((a, b) => rows[a]!.length - rows[b]!.length);
  const found: Judgement[] = Array.from({ length: rows.length });
  for (let from = 0; from < order.length; from += batch) {
    const chosen = order.slice(from, from + batch);
    const request = { tokens: chosen.map((row) => rows[row]!), edits, logits: { positions: "last" } } as const;
    const { logits } = await model.forward(request, options.signal ? { signal: options.signal } : {});
    const { data, shape } = must(logits, "logits");
    const vocab = shape.at(-1)!;
    for (const [place, row] of chosen.entries()) {
      const own = data.subarray(place * vocab, (place + 1) * vocab);
      found[row] = { lead: own[valid]! - own[invalid]!, top: topTokens(own, 1)[0]!.token };
    }
    options.onProgress?.({ stage: "judging", done: Math.min(from + batch, order.length), total: order.length });
  }
  return found;
}
