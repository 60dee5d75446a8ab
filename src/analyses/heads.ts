/**
 * @file What attention heads look at, and what depends on them. Scores are means over a head's queries of the attention that
 * goes to one kind of key; a head with a high previous-token score copies from one position back, one with a high induction
 * score looks at what followed the current token's earlier occurrence (Olsson et al. 2022, arXiv 2209.11895).
 *
 * When scores mislead: attention says where a head reads from, not what it moves nor whether anything uses it; mass on the
 * first token is mostly a resting place; and the induction score needs a prompt that repeats. `ablateHeads` measures use: it
 * switches a head off (its z set to 0) and reports the answer's log-probability. When that misleads: zero is not a value the
 * model has seen, later heads may take over (McGrath et al. 2023, arXiv 2307.15771), and effects of heads do not add up.
 */
import { must, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import type { Edit } from "../runtime/edit.js";
import type { Model, RunOptions } from "../runtime/model.js";
import { standingOf, topTokens, type TokenStanding } from "./probabilities.js";

/** One head by its place. */
export interface HeadPlace {
  readonly layer: number;
  readonly head: number;
}

/** Whether two places are of one head. */
export function isSameHead(a: HeadPlace, b: HeadPlace): boolean {
  return a.layer === b.layer && a.head === b.head;
}

/** Shares of attention in 0..1, means over all queries but the first (which can only look at itself). */
export interface HeadScores {
  /** To the token before the query. */
  readonly previous: number;
  /** To the first token. */
  readonly first: number;
  /** To the query itself. */
  readonly self: number;
  /** To the tokens that followed earlier occurrences of the query's token; absent when no token of the prompt occurs again. */
  readonly induction?: number;
  /** Of the attention distribution, in nats. */
  readonly entropy: number;
}

/** A head with its scores and its attention in the prompt, axes `query, key`. */
export interface ScoredHead extends HeadPlace {
  readonly scores: HeadScores;
  readonly pattern: Tensor<Float32Array>;
}

/** One head's attention in one row: axes `query, key`, both of the row's length. */
export function patternOf(pattern: Tensor, row: number, head: number, length: number): Tensor<Float32Array> {
  const [rows = 0, heads = 0, queries = 0, keys = 0] = pattern.shape;
  if (row >= rows || head >= heads)
    throw new SextantError("request", `patternOf: row ${row}, head ${head} is outside [${pattern.shape.join(", ")}]`);
  const out = new Float32Array(length * length);
  for (let query = 0; query < length; query++) {
    const start = ((row * heads + head) * queries + query) * keys;
    for (let key = 0; key < length; key++) out[query * length + key] = pattern.data[start + key]!;
  }
  return tensor(out, [length, length], ["query", "key"]);
}

/** The scores of one head's attention (axes `query, key`) over the row's tokens. */
export function scoreHead(attention: Tensor<Float32Array>, tokens: readonly number[]): HeadScores {
  const length = tokens.length;
  const at = (query: number, key: number): number => attention.data[query * length + key]!;
  const queries = Array.from({ length: length - 1 }, (_, i) => i + 1);
  const induced = queries.map((query) => ({ query, keys: keysAfterEarlier(tokens, query) })).filter(({ keys }) => keys.length > 0);
  const scores = {
    previous: mean(queries.map((query) => at(query, query - 1))),
    first: mean(queries.map((query) => at(query, 0))),
    self: mean(queries.map((query) => at(query, query))),
    entropy: mean(queries.map((query) => entropyOf(attention.data.subarray(query * length, (query + 1) * length)))),
  };
  if (induced.length === 0) return scores;
  return { ...scores, induction: mean(induced.map(({ query, keys }) => keys.reduce((sum, key) => sum + at(query, key), 0))) };
}

/** The scores of every head of the model in one row, in layer order. */
export async function scoreHeads(
  model: Model,
  request: { readonly tokens: readonly number[]; readonly edits?: readonly Edit[]; readonly beyondContext?: boolean },
  options: RunOptions = {},
): Promise<ScoredHead[]> {
  const { tokens } = request;
  const { activations } = await model.forward({ ...request, tokens: [tokens], read: ["pattern.*"], logits: false }, options);
  return headsOf(model).map(({ layer, head }) => {
    const pattern = patternOf(must(activations[`pattern.${layer}`], `pattern.${layer}`), 0, head, tokens.length);
    return { layer, head, scores: scoreHead(pattern, tokens), pattern };
  });
}

/** Every head of the model, in layer order. */
export function headsOf(model: Pick<Model, "spec">): HeadPlace[] {
  return model.spec.layers.flatMap(({ attention }, layer) => Array.from({ length: attention.heads }, (_, head) => ({ layer, head })));
}

/** A prompt, the token whose probability at its end is watched, and the heads to switch off one at a time. */
export interface AblationRequest {
  readonly tokens: readonly number[];
  /** Default: the model's own most probable next token. */
  readonly target?: number;
  /** Default: all. */
  readonly heads?: readonly HeadPlace[];
  readonly beyondContext?: boolean;
}

/** What the answer's standing becomes without one head. */
export interface HeadEffect extends HeadPlace {
  readonly after: TokenStanding;
  /** Log-probability without the head minus with it, in nats: negative where the head helps. */
  readonly change: number;
}

/** The answer's standing with all heads, and without each of them, in layer order. */
export async function ablateHeads(
  model: Model,
  request: AblationRequest,
  options: RunOptions = {},
): Promise<{ readonly before: TokenStanding; readonly effects: HeadEffect[] }> {
  const heads = (request.heads ?? headsOf(model)).toSorted((a, b) => a.layer - b.layer || a.head - b.head);
  const beyondContext = request.beyondContext ?? false;
  const whole = await model.forward({ tokens: [request.tokens], beyondContext }, { ...(options.signal && { signal: options.signal }) });
  const logits = must(whole.logits, "logits").data;
  const before = request.target === undefined ? topTokens(logits, 1)[0]! : standingOf(logits, request.target);
  const after = new Map<number, TokenStanding>();
  const take = (without: Float32Array, { counterfactual }: { counterfactual?: number }): number => {
    const standing = standingOf(without, before.token);
    if (counterfactual !== undefined) after.set(counterfactual, standing);
    return standing.logProbability;
  };
  const counterfactuals = heads.map(({ layer, head }) => ({ edits: [{ at: `z.${layer}`, op: "set", value: 0, heads: [head] } as const] }));
  const sweep = { pairs: [{ clean: request.tokens }], counterfactuals, metrics: ["standing"], beyondContext };
  await model.sweep(sweep, { ...options, measures: { standing: take } });
  const effects = heads.map((place, index): HeadEffect => {
    const standing = must(after.get(index), "a head's effect");
    return { ...place, after: standing, change: standing.logProbability - before.logProbability };
  });
  return { before, effects };
}

/** The keys right behind earlier occurrences of the query's token, the query itself excepted. */
function keysAfterEarlier(tokens: readonly number[], query: number): number[] {
  const keys: number[] = [];
  for (let earlier = 0; earlier < query - 1; earlier++) if (tokens[earlier] === tokens[query]) keys.push(earlier + 1);
  return keys;
}

function entropyOf(shares: Float32Array): number {
  let entropy = 0;
  for (const share of shares) if (share > 0) entropy -= share * Math.log(share);
  return entropy;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
