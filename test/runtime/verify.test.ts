/** @file The verifier: what it checks, that it finds planted faults by name, and what it says where a check does not apply. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { readGolden } from "../../src/runtime/golden-file.js";
import { loadModel } from "../../src/runtime/load.js";
import type { ForwardRequest, ForwardResult, GenerateResult, Model } from "../../src/runtime/model.js";
import { verifyModel, type VerifyOptions } from "../../src/runtime/verify.js";
import type { Check } from "../../src/runtime/verify/check.js";
import { hasShared, sharedPath } from "../shared.js";
import { fixture, loadFixture, rowsOf } from "./support.js";

const scratch = mkdtempSync(join(tmpdir(), "verify-"));
let model: Model;
beforeAll(async () => {
  model = await loadFixture("gpt2-hub-names");
});
afterAll(async () => {
  rmSync(scratch, { recursive: true });
  await model.close();
});

/** The names of the checks that differ, without the kind of edit. */
async function faults(faulty: Model, options: VerifyOptions = {}): Promise<string[]> {
  const { checks, ok } = await verifyModel(faulty, options);
  const names = new Set(checks.filter(({ verdict }) => verdict === "differs").map(({ name }) => name.split(",")[0]!));
  expect(ok).toBe(names.size === 0);
  return [...names];
}

interface Disturbance {
  readonly asked?: (request: ForwardRequest) => ForwardRequest;
  readonly forward?: (result: ForwardResult, request: ForwardRequest) => ForwardResult;
  readonly generate?: (result: GenerateResult) => GenerateResult;
}

/** A model whose requests or results are not what they should be. */
function disturbed(by: Disturbance, from: Model = model): Model {
  const { asked = (request) => request, forward = (result) => result, generate = (result) => result } = by;
  return {
    spec: from.spec,
    forward: async (request, options) => forward(await from.forward(asked(request), options), request),
    generate: async (request, options) => generate(await from.generate(request, options)),
    runUntil: (...request) => from.runUntil(...request),
    runFrom: (...request) => from.runFrom(...request),
    forecast: (request) => from.forecast(request),
    close: () => from.close(),
  };
}

/** The tensor with one element moved by 0.1 % of the largest. */
function nudged<T extends Tensor>({ data, shape, axes }: T, index = 3): T {
  const copy = data.slice();
  copy[index] = copy[index]! + 1e-3 * Math.max(...copy.filter(Number.isFinite).map(Math.abs));
  return tensor(copy, shape, axes) as T;
}

function withPoint(result: ForwardResult, address: string): ForwardResult {
  const value = result.activations[address];
  return value ? { ...result, activations: { ...result.activations, [address]: nudged(value) } } : result;
}

describe("a sound model", () => {
  it("passes all checks, each of which is reported as it is done", async () => {
    const seen: Check[] = [];
    const { checks, ok } = await verifyModel(model, { onCheck: (check) => seen.push(check) });
    expect(ok).toBe(true);
    expect(seen).toEqual(checks);
    expect(checks.map(({ name }) => name).slice(0, 8)).toMatchInlineSnapshot(`
      [
        "Σ head_out + b_O = attention output",
        "pattern · v = z",
        "resid_pre + attn_out = resid_mid",
        "resid_mid + mlp_out = resid_post",
        "resid_pre + attn_out + mlp_out = resid_post",
        "the lens at the last layer = logits",
        "a patch with the run's own value changes nothing (24 points)",
        "batch of N = N batches of 1, unedited",
      ]
    `);
    expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
  });

  it("agrees with its golden, point by point", async () => {
    const { checks, ok } = await verifyModel(model, { golden: readGolden(fixture("gpt2-hub-names")) });
    expect(ok).toBe(true);
    const parity = checks.filter(({ name }) => name.startsWith("parity"));
    expect(parity.map(({ name }) => name)).toMatchInlineSnapshot(`
      [
        "parity: logits",
        "parity: resid_pre",
        "parity: ln1_normalized",
        "parity: q",
        "parity: k",
        "parity: v",
        "parity: rot_q",
        "parity: rot_k",
        "parity: attn_scores",
        "parity: pattern",
        "parity: z",
        "parity: attn_out",
        "parity: resid_mid",
        "parity: ln2_normalized",
        "parity: mlp_pre",
        "parity: mlp_post",
        "parity: mlp_out",
        "parity: resid_post",
        "parity: final_normalized",
        "parity: logits (edited: steer)",
        "parity: logits (edited: zero_heads)",
        "parity: logits (edited: knockout)",
        "parity: logits (edited: interchange)",
        "parity: logits (edited: scale_units)",
        "parity: logits (short, alone)",
        "parity: logits (short, padded beside a longer row)",
        "parity: tokens (greedy)",
        "parity: logits (greedy)",
      ]
    `);
    expect(parity.every(({ measured, tolerance }) => measured <= tolerance && tolerance <= 1e-4)).toBe(true);
  });
});
