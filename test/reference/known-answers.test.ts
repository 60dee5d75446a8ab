import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readJsonObject } from "../../src/formats/json-file.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { hasShared, sharedPath } from "../shared.js";
import { activation } from "./activations.js";
import { floats } from "./arrays.js";
import { compareRuns } from "./compare.js";
import { openReference, referenceForward } from "./reference.js";

it.each([
  [0, 0],
  [0.5, 0.34573123063700656],
  [1, 0.8413447460685429],
  [2, 1.9544997361036416],
  [-1, -0.15865525393145707],
  [3.6, 3.599427209075433],
  [-5, -1.4332578593959731e-6],
])("the error function is good to float64: gelu(%f)", (x, wanted) => {
  expect(activation("gelu")(x)).toBeCloseTo(wanted, 14);
});

/** Uniform numbers below `n`, the same every time. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * n);
  };
}

function best(logits: Float64Array): number {
  return logits.indexOf(Math.max(...logits));
}

describe.skipIf(!hasShared)("trained models do what they were trained for", () => {
  it("modadd-p113-nowd adds modulo 113", () => {
    const run = openReference(sharedPath("models", "modadd-p113-nowd"));
    const roll = dice(1);
    const sums = Array.from({ length: 60 }, () => [roll(113), roll(113), 113] as const);
    const { rows } = run(sums, { points: [] });
    expect(rows.map(({ logits }) => best(logits.data.slice(-114, -1)))).toEqual(sums.map(([a, b]) => (a + b) % 113));
  });

  it("induction-2l-attn goes on as it did the last time, and cannot before", () => {
    const run = openReference(sharedPath("models", "induction-2l-attn"));
    const roll = dice(7);
    const random = (count: number): number[] => Array.from({ length: count }, () => roll(128));
    const phrase = random(16);
    const tokens = [...random(12), ...phrase, ...random(8), ...phrase, ...random(8), ...phrase];
    const { data } = run([tokens], { points: [] }).rows[0]!.logits;
    const hits = tokens.map((_, t) => (best(data.slice(t * 128, (t + 1) * 128)) === tokens[t + 1] ? 1 : 0));
    const share = (from: number, to: number): number => hits.slice(from, to).reduce<number>((sum, hit) => sum + hit, 0) / (to - from);
    expect(share(62, tokens.length - 1)).toBeGreaterThan(0.6);
    expect(share(0, 27)).toBeLessThan(0.1);
  });

  it("gpt-nano-sort sorts", () => {
    const folder = sharedPath("models", "gpt-nano-sort");
    let tokens = [2, 0, 1, 1, 0, 2];
    for (let i = 0; i < 6; i++) tokens = [...tokens, best(referenceForward(folder, [tokens], { points: [] }).logits.data.slice(-3))];
    expect(tokens.slice(6)).toEqual([0, 0, 1, 1, 2, 2]);
  });
});

describe.skipIf(!hasShared).each(["stories260K", "shakespeare-char-gpt2-4l128"])("real text through %s", (name) => {
  const folder = hasShared ? sharedPath("goldens", "real", name) : "";
  const tensors = hasShared ? readSafetensors(join(folder, "golden.safetensors")) : new Map<string, never>();
  const prompts = (hasShared ? readJsonObject(join(folder, "golden.json"))["prompts"] : []) as { tokens: number[] }[];

  it.each(prompts.map(({ tokens }, i) => [i, tokens] as const))("agrees with transformers on prompt %i", (i, tokens) => {
    const run = openReference(sharedPath("models", name));
    const ours = run([tokens]);
    const own = [...tensors].filter(([key]) => key.startsWith(`${i}.`)).map(([key, x]) => [key.slice(`${i}.`.length), x] as const);
    const last4 = tensors.get(`${i}.logits_last4`)!;
    const logits = floats(last4.shape, ours.logits.data.slice(-last4.data.length));
    const points = new Map(own.filter(([address]) => address !== "logits_last4"));
    const limits = { name, relative: 2e-5, logits: 1e-4, theirs: "transformers" };
    const { agrees, message } = compareRuns({ points: ours.points, logits }, { points, logits: last4 }, limits);
    expect(agrees, message).toBe(true);
  });
});

it("covers every golden family", () => {
  const goldens = hasShared ? readdirSync(sharedPath("goldens", "tiny")) : [];
  for (const name of goldens) expect(() => openReference(sharedPath("goldens", "tiny", name))).not.toThrow();
});
