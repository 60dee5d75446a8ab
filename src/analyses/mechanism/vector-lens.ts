/**
 * @file The logit lens of vectors that no run produced, such as a probe's rows or the value vectors of units: score(token) = vector · the token's row of the
 * unembedding, without the last norm (Lee et al. 2025, arXiv 2504.14379; value vectors: Geva et al. 2022, arXiv 2203.14680).
 *
 * When it misleads: the last norm's factors are left out, so that a coordinate that the norm makes small counts in full; rows of large norm come up for
 * any vector; a vector that other layers read shows tokens that mean nothing; and words are found in noise by who looks for them: count
 * hits against the same reading of random vectors. An activation that turns negative (SiLU) writes the antipode, so look at the bottom too.
 */
import { SextantError } from "../../base/errors.js";
import { dot } from "../../base/vectors.js";
import type { RunOptions } from "../../runtime/model.js";
import type { ModelWeights } from "../../runtime/weights.js";
import { Best } from "./best.js";
import { pause } from "./pause.js";

/** A token with its score, in the unit of vector · row. */
export interface ScoredToken {
  readonly token: number;
  readonly score: number;
}

/** What one vector decodes to. */
export interface VectorReading {
  /** Highest scores, best first; of equal ones the smaller id. */
  readonly top: readonly ScoredToken[];
  /** Lowest scores, lowest first: the top of the vector's antipode, whose scores have the other sign. */
  readonly bottom: readonly ScoredToken[];
}

export interface VectorLensOptions extends RunOptions {
  /** Tokens at either end. Default 10. */
  readonly top?: number;
}

/** Rows of the unembedding that are read between two rests. */
const ROWS = 2048;

/**
 * What each vector decodes to, in their order. The unembedding is read once and held once; beside it only the tokens found so far are kept. Who calls more than
 * once can hand over `{ unembedding: () => table }`.
 */
export async function vectorLens(
  weights: Pick<ModelWeights, "unembedding">,
  vectors: readonly ArrayLike<number>[],
  { top = 10, signal, onProgress }: VectorLensOptions = {},
): Promise<VectorReading[]> {
  const table = weights.unembedding();
  const [vocab = 0, width = 0] = table.shape;
  checkRequest(vectors, width, top);
  const read = vectors.map((vector) => ({ vector: Float64Array.from(vector), top: new Best<number>(top), bottom: new Best<number>(top) }));
  for (let token = 0; token < vocab; token++) {
    if (token % ROWS === 0) {
      await pause(signal);
      onProgress?.({ stage: "tokens", done: token, total: vocab });
    }
    const row = Float64Array.from(table.data.subarray(token * width, (token + 1) * width));
    for (const reading of read) {
      const score = dot(reading.vector, row);
      reading.top.offer(token, score);
      reading.bottom.offer(token, -score);
    }
  }
  onProgress?.({ stage: "tokens", done: vocab, total: vocab });
  return read.map((reading) => ({
    top: reading.top.found.map(({ item, score }) => ({ token: item, score })),
    bottom: reading.bottom.found.map(({ item, score }) => ({ token: item, score: -score })),
  }));
}

function checkRequest(vectors: readonly ArrayLike<number>[], width: number, top: number): void {
  if (!Number.isInteger(top) || top < 1) throw new SextantError("request", `vectorLens: top must be a whole number above 0, got ${top}`);
  for (const [i, vector] of vectors.entries()) {
    if (vector.length !== width)
      throw new SextantError("request", `vectorLens: vector ${i} must have ${width} coordinates, got ${vector.length}`);
    if (!Array.from(vector).every(Number.isFinite))
      throw new SextantError("request", `vectorLens: vector ${i} has a coordinate that is not finite`);
  }
}
