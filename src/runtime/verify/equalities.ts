/**
 * @file Ways of computing the same thing that must give the same: row by row and as a batch, padded and not, resumed in the
 * middle and whole, with cached keys and values and without. Each under every kind of edit.
 */
import { must } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { allPlaces, parseAddress, stageOf } from "../../models/address.js";
import { dependsOnLength } from "../../models/rotary.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Edit } from "../edit.js";
import type { ForwardRequest, ForwardResult } from "../model.js";
import { judged, notApplicable, toleranceOf, type Check, type Subject } from "./check.js";
import { differenceOf, rowOf, worse, worstOf, type Values, type Worst } from "./compare.js";
import { editCases, editedLayer, type EditCase } from "./edit-cases.js";

/**
 * Relative, at any point or on the logits. Both sides are float32 sums in another order: seen are up to 6e-6, over 46 models. A
 * wrong mask, position or cache entry shows at 1e-2 and above.
 */
const TOLERANCE = 1e-4;

/** New tokens in the comparison of cached and recomputed logits. */
const STEPS = 4;

const NONE: Worst = { name: "", relative: 0 };

/** The four equalities under each case of edits. */
export async function* equalityChecks(subject: Subject): AsyncGenerator<Check> {
  const tolerance = toleranceOf(subject.model, TOLERANCE);
  let unedited: Tensor | undefined;
  for (const edit of await editCases(subject)) {
    const whole = await run(subject, { tokens: subject.tokens, edits: edit.edits });
    unedited ??= whole["logits"];
    const moved = differenceOf(whole["logits"], must(unedited, "logits")).relative;
    const how = edit.name === "unedited" ? "unedited" : `under ${edit.name}`;
    const effect = edit.name === "unedited" ? undefined : `the edits move the logits by ${moved.toPrecision(2)} of the largest`;
    const check = (name: string, worst: Worst): Check =>
      judged(`${name}, ${how}`, worst.relative, tolerance, worst.relative > tolerance ? `most at ${worst.name}` : effect);
    yield check("batch of N = N batches of 1", await batched(subject, edit, whole));
    yield check("padded = unpadded", await padded(subject, edit));
    yield check("resumed in the middle = whole", await resumed(subject, edit, whole));
    const steps = decodableSteps(subject);
    if (typeof steps === "string") yield notApplicable(`cached decode = recomputation, ${how}`, steps);
    else yield check("cached decode = recomputation", await decoded(subject, edit, steps));
  }
}

/** Every point and, under `logits`, the logits at every position. */
async function run({ model, options }: Subject, request: ForwardRequest): Promise<Record<string, Tensor>> {
  const read = pointsOf(model.spec, request.resume?.layer);
  return valuesOf(await model.forward({ ...request, read, logits: { positions: "all" } }, options));
}

function valuesOf({ activations, logits }: Pick<ForwardResult, "activations" | "logits">): Record<string, Tensor> {
  return { ...activations, ...(logits && { logits }) };
}

/** All points from a layer on; `head_out` is `z` times a weight and as wide as all heads' streams together. */
function pointsOf(spec: ModelSpec, from = -1): string[] {
  const wanted = allPlaces(spec).filter((place) => stageOf(place) >= from && place.point !== "head_out" && place.point !== "logits");
  return wanted.map(({ address }) => address);
}

async function batched(subject: Subject, { edits }: EditCase, whole: Values): Promise<Worst> {
  let worst = NONE;
  for (const [row, tokens] of subject.tokens.entries()) {
    const alone = await run(subject, { tokens: [tokens], edits });
    worst = worse(worst, worstOf(rowOf(whole, row, tokens.length), alone));
  }
  return worst;
}

/** The first half of each row, beside whole rows and alone. */
async function padded(subject: Subject, { edits }: EditCase): Promise<Worst> {
  const halves = subject.tokens.map((row) => row.slice(0, Math.ceil(row.length / 2)));
  const together = await run(subject, { tokens: [...halves, ...subject.tokens], edits });
  let worst = NONE;
  for (const [row, half] of halves.entries()) {
    const alone = await run(subject, { tokens: [half], edits });
    worst = worse(worst, worstOf(rowOf(together, row, half.length), alone));
  }
  return worst;
}

/** From the edited layer, from the one behind it, and from behind the last one: the edits are then ahead of or in the stream. */
async function resumed(subject: Subject, { edits }: EditCase, whole: Values): Promise<Worst> {
  const { tokens, model } = subject;
  const count = model.spec.layers.length;
  const middle = editedLayer(model.spec);
  let worst = NONE;
  for (const layer of new Set([middle, Math.min(middle + 1, count), count])) {
    const address = layer < count ? `resid_pre.${layer}` : `resid_post.${count - 1}`;
    const resid = must(whole[address], address) as Tensor<Float32Array>;
    const ahead = edits.filter((edit) => isAhead(model.spec, edit, layer));
    worst = worse(worst, worstOf(whole, await run(subject, { tokens, edits: ahead, resume: { layer, resid } })));
  }
  return worst;
}

/** Whether an edit is not yet in the stream before a layer. */
function isAhead(spec: ModelSpec, { at }: Edit, layer: number): boolean {
  const place = parseAddress(spec, at);
  return stageOf(place) > layer || (stageOf(place) === layer && place.point !== "resid_pre");
}

/**
 * Generation with the cache, held against a pass over what each step had before it. So no tie between two tokens can part them, and
 * each step has the rotary factors of its own length.
 */
async function decoded({ model, tokens, options }: Subject, { edits }: EditCase, steps: number): Promise<Worst> {
  const read = pointsOf(model.spec);
  const made = await model.generate({ tokens, maxNew: steps, edits, read, logits: true, stopTokens: [] }, options);
  const prefixes = tokens.flatMap((row, index) =>
    Array.from({ length: steps }, (_, step) => [...row, ...must(made.tokens[index], `row ${index}`).slice(0, step)]),
  );
  const again = await model.forward({ tokens: prefixes, edits, read }, options);
  const { data, shape } = must(made.logits, "logits");
  let worst = worstOf({ logits: tensor(data, [prefixes.length, 1, shape[2] ?? 0]) }, { logits: must(again.logits, "logits") });
  for (const [row, length] of made.lengths.entries()) {
    const theirs = rowOf(again.activations, (row + 1) * steps - 1, length);
    worst = worse(worst, worstOf(rowOf(made.activations, row, length), theirs));
  }
  return worst;
}

/** How many new tokens cached keys stay valid for, or why there are none. */
function decodableSteps({ model, tokens }: Subject): number | string {
  const { spec } = model;
  const room = (limit: number): number => Math.min(...tokens.map((row) => limit + 1 - row.length));
  const steps = Math.min(STEPS, ...limitsOf(spec, tokens).map(({ length }) => room(length)));
  if (steps >= 2) return steps;
  const reason = limitsOf(spec, tokens).find(({ length }) => room(length) < 2)?.reason ?? "";
  return `${reason}; use shorter rows`;
}

function limitsOf({ context, rotaries, recomputeAt }: ModelSpec, tokens: Subject["tokens"]): { length: number; reason: string }[] {
  const limits = context ? [{ length: context.length, reason: `the rows fill the context of ${context.length} positions` }] : [];
  if (recomputeAt !== undefined) return limits;
  for (const { rope } of rotaries) {
    if (!dependsOnLength(rope) || !("original" in rope)) continue;
    if (rope.type === "longrope" && tokens.every((row) => row.length > rope.original)) continue;
    const reason = `beyond ${rope.original} positions ${rope.type} rotary turns new keys otherwise than those in the cache`;
    limits.push({ length: rope.original, reason });
  }
  return limits;
}
