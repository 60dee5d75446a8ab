/** @file A model held against a golden: points, logits, edits, short rows and continuations that another program computed. */
import { must } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { allPlaces } from "../../models/address.js";
import { POINT_NAMES } from "../../models/points.js";
import type { Golden, GoldenContinuation, GoldenRun } from "../golden-file.js";
import { judged, notApplicable, type Check, type Subject } from "./check.js";
import { differenceOf, type Values } from "./compare.js";

/**
 * Relative. Two programs' float32, each off by its own roundings: seen are up to 5.5e-6, over 45 models; a wrong setting
 * shows at 1e-3 and above.
 */
const TOLERANCE = 1e-4;

/** Greedy tokens may part where the two best logits are closer than this. */
const TIE = 1e-3;

/** The checks that a golden allows. */
export async function* parityChecks(subject: Subject, golden: Golden): AsyncGenerator<Check> {
  for (const run of golden.runs) yield* runChecks(subject, run);
  for (const continuation of golden.continuations) yield* continuationChecks(subject, continuation);
}

async function* runChecks({ model, options }: Subject, run: GoldenRun): AsyncGenerator<Check> {
  const { edits, points, logits } = run;
  const tokens = run.beside ? [...run.tokens, run.beside] : run.tokens;
  const has = new Set<string>(allPlaces(model.spec).map(({ address }) => address));
  const read = Object.keys(points).filter((address) => has.has(address));
  const result = await model.forward({ tokens, edits, read, logits: { positions: "all" } }, options);
  const label = run.name && ` (${run.name})`;
  if (logits) {
    const ours = lastPositions(must(result.logits, "logits"), run.tokens, logits.shape);
    const { relative, absolute, cosine } = differenceOf(ours, logits);
    yield judged(`parity: logits${label}`, relative, TOLERANCE, `max |Δ| ${absolute.toExponential(1)}, ${cosineText(cosine)}`);
  }
  yield* pointChecks(result.activations, points, label);
}

/** Logits of the first rows at their last positions, as many as the shape says. */
function lastPositions(ours: Tensor, rows: GoldenRun["tokens"], shape: readonly number[]): Tensor {
  const [width = 0, vocab = 0] = ours.shape.slice(1);
  const count = shape[1] ?? 0;
  const out = new Float32Array(rows.length * count * vocab);
  rows.forEach((row, index) => {
    const from = (index * width + row.length - count) * vocab;
    out.set(ours.data.subarray(from, from + count * vocab), index * count * vocab);
  });
  return tensor(out, [rows.length, count, vocab], ["batch", "pos", "vocab"]);
}

/** One check a point, over all its layers. The first to differ in forward order is where to look: those behind it differ for it. */
function* pointChecks(ours: Values, theirs: Values, label: string): Generator<Check> {
  const names = POINT_NAMES.filter((point) => Object.keys(theirs).some((address) => address.split(".")[0] === point));
  for (const name of names) {
    const found = Object.entries(theirs).filter(([address]) => address.split(".")[0] === name);
    const all = found.map(([address, value]) => ({ address, ...differenceOf(ours[address], value) }));
    const worst = all.toSorted((a, b) => b.relative - a.relative)[0]!;
    const first = all.find(({ relative }) => relative > TOLERANCE);
    const lowest = Math.min(...all.map(({ cosine }) => cosine));
    const where = first ? `first at ${first.address}${ours[first.address] ? "" : ", which the model lacks or has in another shape"}; ` : "";
    yield judged(`parity: ${name}${label}`, worst.relative, TOLERANCE, `${where}${cosineText(lowest)}`);
  }
}

function cosineText(cosine: number): string {
  return 1 - cosine < 5e-8 ? "cosine 1" : `cosine ${cosine.toFixed(7)}`;
}

async function* continuationChecks({ model, options }: Subject, golden: GoldenContinuation): AsyncGenerator<Check> {
  const { prompts, tokens, smallestGap, logits } = golden;
  const maxNew = must(tokens[0], "a row").length;
  const made = await model.generate({ tokens: prompts, maxNew, stopTokens: [], logits: true, beyondContext: true }, options);
  const name = `parity: tokens (${golden.name})`;
  const other = made.tokens.flat().filter((token, index) => token !== tokens.flat()[index]).length;
  if (other > 0 && smallestGap !== undefined && smallestGap < TIE)
    yield notApplicable(name, `the two best logits come as close as ${smallestGap.toExponential(1)}, so rounding decides`);
  else yield judged(name, other, 0, `${other} of ${tokens.flat().length} tokens differ`);
  if (!logits || other > 0) return;
  const { relative, cosine } = differenceOf(must(made.logits, "logits"), logits);
  yield judged(`parity: logits (${golden.name})`, relative, TOLERANCE, cosineText(cosine));
}
