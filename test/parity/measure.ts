/**
 * @file What parity is: the engine against everything that a golden folder records. The tests demand it, `report.ts` prints it.
 */
import { join } from "node:path";
import { readJsonObject } from "../../src/formats/json-file.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import type { Model } from "../../src/runtime/model.js";
import { compareRuns, type Compared, type ComparedRun, type Comparison, type Difference, type Limits } from "../reference/compare.js";
import { readGolden, type Golden } from "../reference/golden.js";
import { sharedPath } from "../shared.js";
import { engineEdits, engineRun, onlyLogits, oneRow } from "./engine-run.js";

/**
 * Both sides are float32, and a model's blocks pass the roundings of sums of up to a few hundred terms on. Seen: 3e-6 of a point's
 * largest value in tiny models and 6e-6 in a real one, and 6e-5 on logits (under an edit of gpt-neo-local, whose attention is not scaled).
 * `cosine`: how far below 1 it may be; a scale error leaves it at 1, a turn by an angle of 1e-5 takes 5e-11 off.
 */
export const LIMITS = { relative: 2e-5, logits: 1e-4, cosine: 1e-9, theirs: "transformers" };

/** How many of the greedy tokens are the same; both sides where not all are. */
export interface Greedy {
  readonly equal: number;
  readonly total: number;
  readonly problem?: string;
}

/** The engine against one golden. */
export interface Measured {
  readonly name: string;
  readonly family: string;
  /** Without edits: one run, or one a prompt. */
  readonly clean: readonly Comparison[];
  readonly edited: readonly { readonly name: string; readonly comparison: Comparison }[];
  /** A row beside a longer one against the same row alone. */
  readonly short?: Comparison;
  /** Logits that greedy tokens were chosen from. */
  readonly continued?: Comparison;
  readonly greedy: Greedy;
}

/** One prompt of a real golden. */
export interface Prompt {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly greedy: readonly number[];
  readonly greedy_text: string;
  readonly smallest_gap: number;
}

/** A tiny model against its golden folder. */
export async function measureGolden(model: Model, folder: string, name: string): Promise<Measured> {
  const golden = readGolden(folder);
  const addresses = [...golden.points.keys()].filter((address) => address !== "logits");
  const clean = compare(await engineRun(model, { tokens: golden.tokens, read: addresses }), { points: golden.points }, name);
  const edited = [];
  for (const { name: edit, edits, logits } of golden.edited) {
    const ours = await engineRun(model, { tokens: golden.tokens, edits: engineEdits(edits, golden.vectors) });
    edited.push({ name: edit, comparison: compare(ours, onlyLogits(logits), `${name}/${edit}`) });
  }
  const short = await measureShort(model, golden, name);
  return { name, family: model.spec.family, clean: [clean], edited, ...short, ...(await measureGenerated(model, golden, name)) };
}

async function measureShort(model: Model, { tokens, short }: Golden, name: string): Promise<Pick<Measured, "short">> {
  if (!short) return {};
  const row = short.tokens[0]!;
  const { logits } = await engineRun(model, { tokens: [tokens[0]!, row] });
  return { short: compare(onlyLogits(oneRow(logits!, 1, row.length)), onlyLogits(short.logits), `${name}/short`) };
}

async function measureGenerated(
  model: Model,
  { tokens, generated }: Golden,
  name: string,
): Promise<Pick<Measured, "continued" | "greedy">> {
  if (!generated) return { greedy: { equal: 0, total: 0 } };
  const maxNew = generated.tokens[0]!.length;
  const made = await model.generate({ tokens, maxNew, stopTokens: [], logits: true, beyondContext: true });
  const greedy = compareTokens(made.tokens, generated.tokens);
  return { greedy, continued: compare(onlyLogits(made.logits!), onlyLogits(generated.logits), `${name}/generated`) };
}

/** A real model against its golden folder, prompt by prompt. */
export async function measureReal(model: Model, name: string): Promise<Measured> {
  const tensors = readSafetensors(sharedPath("goldens", "real", name, "golden.safetensors"));
  const clean: Comparison[] = [];
  let greedy: Greedy = { equal: 0, total: 0 };
  for (const [i, prompt] of realPrompts(name).entries()) {
    const own = [...tensors].filter(([key]) => key.startsWith(`${i}.`)).map(([key, x]) => [key.slice(`${i}.`.length), x] as const);
    clean.push(await measurePrompt(model, prompt, { name: `${name}/${i}`, golden: new Map<string, Compared>(own) }));
    const next = await measureGreedy(model, prompt);
    greedy = { ...greedy, ...next, equal: greedy.equal + next.equal, total: greedy.total + next.total };
  }
  return { name, family: model.spec.family, clean, edited: [], greedy };
}

/** The prompts of a real golden. */
export function realPrompts(name: string): readonly Prompt[] {
  return readJsonObject(join(sharedPath("goldens", "real", name), "golden.json"))["prompts"] as unknown as Prompt[];
}

async function measurePrompt(model: Model, { tokens }: Prompt, to: { name: string; golden: Map<string, Compared> }): Promise<Comparison> {
  const { logits_last4: logits, ...points } = Object.fromEntries(to.golden) as Record<string, Compared>;
  const read = Object.keys(points);
  const ours = await engineRun(model, { tokens: [tokens], read, logits: { positions: [-4, -3, -2, -1] } });
  return compare(ours, { points: new Map(Object.entries(points)), logits: logits! }, to.name);
}

async function measureGreedy(model: Model, { tokens, greedy }: Prompt): Promise<Greedy> {
  const made = await model.generate({ tokens: [tokens], maxNew: greedy.length, stopTokens: [] });
  return compareTokens(made.tokens, [greedy]);
}

function compareTokens(ours: readonly (readonly number[])[], theirs: readonly (readonly number[])[]): Greedy {
  const total = theirs.flat().length;
  const equal = theirs.flatMap((row, b) => row.filter((token, step) => ours[b]?.[step] === token)).length;
  const same = equal === total && ours.flat().length === total;
  return { equal, total, ...(!same && { problem: `ours ${JSON.stringify(ours)} transformers ${JSON.stringify(theirs)}` }) };
}

function compare(ours: ComparedRun, theirs: ComparedRun, name: string): Comparison {
  const limits: Limits = { ...LIMITS, name };
  return compareRuns(ours, theirs, limits);
}

/** The points of all runs of a model, logits apart. */
export function pointsOf({ clean }: Pick<Measured, "clean">): readonly Difference[] {
  return clean.flatMap(({ differences }) => differences.filter(({ address }) => address !== "logits"));
}

/** The logits of all runs of a model. */
export function logitsOf({ clean }: Pick<Measured, "clean">): readonly Difference[] {
  return clean.flatMap(({ differences }) => differences.filter(({ address }) => address === "logits"));
}
