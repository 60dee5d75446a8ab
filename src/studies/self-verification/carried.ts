/** @file The probe's rows carried to another model by a map between both unembeddings, beside what other maps and chance would give. */
import { carry, checkEmb2Emb, fitEmb2Emb, type Emb2Emb, type Emb2EmbCheck, type TokenPair } from "../../analyses/mechanism/emb2emb.js";
import { normalNumbers, seedFrom, shuffled } from "../../base/draws.js";
import type { Tokenizer } from "../../formats/tokenizer.js";
import type { StepContext, Subject } from "../study.js";
import { leads } from "./judged-by.js";
import type { SelfVerificationParameters } from "./parameters.js";

/** Directions in the other model, one a layer of it. */
export interface Carried {
  readonly name: string;
  readonly vectors: readonly Float32Array[];
}

/** The probe's rows through the map, and through that of shuffled pairs; random ones; how well the map carries tokens. */
export async function carryOver(
  context: StepContext<SelfVerificationParameters>,
  other: Subject,
  pairs: readonly TokenPair[],
): Promise<{ readonly directions: readonly Carried[]; readonly check: Emb2EmbCheck }> {
  const { subject, parameters, signal, random } = context;
  const { ridge } = parameters.transfer;
  const [from, to] = [subject.weights.unembedding(), other.weights.unembedding()];
  const map = await fitEmb2Emb(from, to, pairs, { ridge, signal });
  const mixed = shuffled(
    pairs.map(([, id]) => id),
    random("shuffled"),
  );
  const mixedPairs = pairs.map(([id], i): TokenPair => [id, mixed[i]!]);
  const placebo = await fitEmb2Emb(from, to, mixedPairs, { ridge, signal });
  const check = await checkEmb2Emb(from, to, pairs, { ridge, seed: seedFrom(random("map")), signal });
  const rows = leads(context.earlier("probe").tensors["probe"]!);
  const { layers, dModel } = other.model.spec;
  const draw = random("random");
  const directions = [
    { name: "carried", vectors: carriedRows(map, rows, layers.length) },
    { name: "shuffled_pairs", vectors: carriedRows(placebo, rows, layers.length) },
    { name: "random", vectors: layers.map(() => Float32Array.from(normalNumbers(dModel, draw))) },
  ];
  return { directions, check };
}

/** Tokens of the same text in both models, special ones left out. Texts that several tokens of a model have, or that are pieces of a character, name no token. */
export function sharedTokens(a: Subject, b: Subject): TokenPair[] {
  const other = tokensByText(b);
  return [...tokensByText(a)].flatMap(([text, id]) => (other.has(text) ? [[id, other.get(text)!] as const] : []));
}

function tokensByText({ tokenizer, model }: Subject): Map<string, number> {
  const found = new Map<string, number>();
  const repeated = new Set<string>();
  for (let id = 0; id < Math.min(tokenizer.vocabSize, model.spec.vocab); id++) {
    if (tokenizer.specialIds.has(id)) continue;
    const text = textOf(tokenizer, id);
    if (found.has(text)) repeated.add(text);
    found.set(text, id);
  }
  for (const text of found.keys()) if (repeated.has(text) || text.includes("\uFFFD")) found.delete(text);
  return found;
}

function textOf(tokenizer: Tokenizer, id: number): string {
  return tokenizer.decode([id]) || tokenizer.token(id);
}

/** The rows in the other model, by its layers: layer l gets the row of the layer of the same relative depth. */
function carriedRows(map: Emb2Emb, rows: readonly Float32Array[], layers: number): Float32Array[] {
  const carried = rows.map((row) => Float32Array.from(carry(map, row)));
  return Array.from({ length: layers }, (_, layer) => carried[Math.min(rows.length - 1, Math.floor((layer / layers) * rows.length))]!);
}
