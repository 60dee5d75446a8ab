/** @file `--weights`: what a model would be, how far it is from the floats, and that a sweep's state is of one form. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { temporaryFolder } from "../formats/folder.js";
import { MODEL, sextant, sextantJson } from "./sextant.js";
import { PAIR } from "./sweeping.js";

const { path } = temporaryFolder();
const before = process.env["SEXTANT_CACHE"];
beforeAll(() => void (process.env["SEXTANT_CACHE"] = path("cache")));
afterAll(() => {
  if (before === undefined) delete process.env["SEXTANT_CACHE"];
  else process.env["SEXTANT_CACHE"] = before;
});

const TOKENS = ["--tokens", "[0,1,33,11,17,49,58,29,1,34,9,49]"];

test("model says how many maps are stored how, and makes nothing", async () => {
  const facts = await sextantJson<object>("model", MODEL, "--weights", "int4");
  const quantised = [
    { bits: 4, block: 32, maps: 14 },
    { bits: 8, block: 32, maps: 1 },
  ];
  expect(facts).toMatchObject({ parameters: 80_320, weights: { form: "int4", quantised, floats: 0 } });
  const { out } = await sextant(["model", MODEL, "--weights", "int4"]);
  expect(out).toContain(
    "14 linear maps of 4 bits in blocks of 32; 1 linear map of 8 bits in blocks of 32; embeddings, norms and biases of float32",
  );
  expect(out).toMatch(/memory .* for the weights as int4/);
  expect(existsSync(path("cache"))).toBe(false);
});

test("verify-model compares with the floats over text", async () => {
  interface Report {
    ok: boolean;
    comparison: { positions: number; kl: { mean: number; max: number }; sameBest: number; points: Record<string, number> };
  }
  const { ok, comparison } = await sextantJson<Report>("verify-model", MODEL, "--weights", "int8");
  expect(ok).toBe(true);
  expect(comparison.positions).toBeGreaterThan(50);
  expect(comparison.kl.mean).toBeGreaterThan(0);
  expect(comparison.kl.mean).toBeLessThan(0.01);
  expect(comparison.points["resid_post.1"]).toBeLessThan(0.03);
  const { out } = await sextant(["verify-model", MODEL, "--weights", "int8"]);
  expect(out).toMatch(/int8 against float32 weights, over \d+ positions of English text:\n {2}next token {5}KL [\d.]+ nats in the mean/);
});

test("a sweep's state of another form is refused", async () => {
  const sweep = ["patch", ...PAIR, "--point", "z", "--by", "pos", "--state", path("state.jsonl")];
  const [floats, small] = [await sextant(sweep), await sextant([...sweep, "--weights", "int8"])];
  expect(floats.code).toBe(0);
  expect(small.code).not.toBe(0);
  expect(small.err).toContain("state.jsonl");
});

test("another form is a wrong use", async () => {
  const { code, err } = await sextant(["read", MODEL, ...TOKENS, "--points", "z.0", "--weights", "int3"]);
  expect(code).toBe(2);
  expect(err).toContain('--weights must be one of float32, int8, int4, got "int3"');
});
