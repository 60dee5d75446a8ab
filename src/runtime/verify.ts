/**
 * @file Holds a model against what must be true of it: the ways of computing it agree with each other under every kind of edit, its
 * sums come out, and where a golden of another program is given it agrees with that.
 */
import { refuse, SextantError } from "../base/errors.js";
import { seededRandom } from "../base/random.js";
import type { ModelSpec } from "../models/spec.js";
import { isQuantised } from "../models/quantised.js";
import { dependsOnLength } from "../models/rotary.js";
import { throwIfAborted } from "./engine.js";
import type { Golden } from "./golden-file.js";
import type { Model } from "./model.js";
import type { Check } from "./verify/check.js";
import { equalityChecks } from "./verify/equalities.js";
import { identityChecks } from "./verify/identities.js";
import { parityChecks } from "./verify/parity.js";
import { sweepChecks } from "./verify/sweeps.js";

export interface VerifyOptions {
  /** What another program computed: from `readGolden`. */
  readonly golden?: Golden;
  /** Rows of at least four tokens. Default: two random rows of nine, shorter where the context is. */
  readonly tokens?: readonly (readonly number[])[];
  /** Called with each check as it is done. */
  readonly onCheck?: (check: Check) => void;
  readonly signal?: AbortSignal;
}

export interface VerifyReport {
  readonly checks: readonly Check[];
  /** No check differs. */
  readonly ok: boolean;
}

/** Every check of a model, and whether none differs. */
export async function verifyModel(model: Model, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { golden, onCheck, signal } = options;
  const tokens = options.tokens ?? randomRows(model.spec);
  const short = tokens.find((row) => row.length < LEAST);
  if (short) throw new SextantError("request", `verifyModel: a row needs at least ${LEAST} tokens, got ${short.length}`);
  if (golden && isQuantised(model.spec)) {
    const instead = "verify the float32 model against it, and compare this one with that (compareModels)";
    throw refuse(
      { what: "cannot hold the model against the golden", why: "its weights are quantised, the golden's are not", instead },
      "request",
    );
  }
  const subject = { model, tokens, options: signal ? { signal } : {} };
  const checks: Check[] = [];
  const take = async (some: AsyncIterable<Check>): Promise<void> => {
    for await (const check of some) {
      checks.push(check);
      onCheck?.(check);
      throwIfAborted(signal);
    }
  };
  await take(identityChecks(subject));
  await take(equalityChecks(subject));
  await take(sweepChecks(subject));
  if (golden) await take(parityChecks(subject, golden));
  return { checks, ok: checks.every(({ verdict }) => verdict !== "differs") };
}

/** Fewest tokens of a row: half of it must hold the key that a knockout cuts, and one before it. */
const LEAST = 3;
const LENGTH = 9;
/** Positions kept free for generation. */
const FREE = 3;

/** Two rows that fit the context and, where rotary factors depend on the length, stay on one side of the boundary. */
function randomRows({ vocab, context, rotaries }: ModelSpec): number[][] {
  const boundaries = rotaries.flatMap(({ rope }) => (dependsOnLength(rope) && "original" in rope ? [rope.original] : []));
  const room = Math.min(context?.length ?? Infinity, ...boundaries) - FREE;
  const random = seededRandom(0);
  const length = Math.min(context?.length ?? LENGTH, Math.max(LEAST + 1, Math.min(LENGTH, room)));
  return [0, 1].map(() => Array.from({ length }, () => Math.floor(random() * vocab)));
}
