import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../shared.js";
import { floats, type Floats } from "./arrays.js";
import { compareRuns, type Limits } from "./compare.js";
import { readGolden } from "./golden.js";
import { openReference, type ReferenceResult } from "./reference.js";

/**
 * The goldens are float32, so they are off by the roundings of two to four blocks. Seen: 4e-6 of a point's largest value; on logits
 * 2e-5, and 3.2e-5 under one edit. It is rounding: `transformers` run in float64 is within 5e-14 of these logits.
 */
const LIMITS = { relative: 8e-6, logits: 5e-5, theirs: "transformers" };

const GOLDENS = hasShared ? sharedPath("goldens", "tiny") : undefined;
const VARIANTS = new URL("../fixtures/variants/", import.meta.url).pathname;

for (const root of [GOLDENS, VARIANTS]) {
  for (const name of root ? readdirSync(root).sort() : []) describe(name, () => testGolden(`${root}/${name}`, name));
}

function testGolden(folder: string, name: string): void {
  const golden = readGolden(folder);
  const run = openReference(folder);

  it("agrees at every point", () => {
    expectAgreement(run(golden.tokens), { points: golden.points }, name);
  });

  it.each(golden.edited)("agrees under $name", ({ name: edit, edits, logits }) => {
    const ours = run(golden.tokens, { edits, vectors: golden.vectors, points: [] });
    expectAgreement(ours, { points: new Map(), logits }, `${name}/${edit}`);
  });

  it("agrees on a short row, alone and beside a longer one", () => {
    const { tokens, logits } = golden.short!;
    expectAgreement(run(tokens, { points: [] }), { points: new Map(), logits }, `${name}/short`);
    const beside = run([golden.tokens[0]!, ...tokens], { points: [] }).rows[1]!;
    expectAgreement({ points: new Map(), logits: batchOfOne(beside.logits) }, { points: new Map(), logits }, `${name}/beside`);
  });

  it("continues greedily with the same tokens and logits", () => {
    const { tokens, logits } = golden.generated!;
    const [B = 0, steps = 0, V = 0] = logits.shape;
    const ours = floats([B, steps, V]);
    for (let b = 0; b < B; b++)
      for (let step = 0; step < steps; step++) {
        const prompt = golden.tokens[b]!;
        const row = run([[...prompt, ...tokens[b]!.slice(0, step)]], { points: [], decodedFrom: prompt.length }).rows[0]!;
        const last = row.logits.data.slice(-V);
        expect(last.indexOf(Math.max(...last)), `row ${b}, step ${step}`).toBe(tokens[b]![step]);
        ours.data.set(last, (b * steps + step) * V);
      }
    expectAgreement({ points: new Map(), logits: ours }, { points: new Map(), logits }, `${name}/generated`);
  });
}

type Compared = Parameters<typeof compareRuns>[1];

function expectAgreement(ours: Pick<ReferenceResult, "points" | "logits">, theirs: Compared, name: string): void {
  const limits: Limits = { ...LIMITS, name };
  const { agrees, message } = compareRuns(ours, theirs, limits);
  expect(agrees, message).toBe(true);
}

function batchOfOne({ shape, data }: Floats): Floats {
  return floats([1, ...shape], data);
}
