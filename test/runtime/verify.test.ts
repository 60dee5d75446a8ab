/** @file The verifier: what it checks, that it finds planted faults by name, and what it says where a check does not apply. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { readGolden } from "../../src/runtime/golden-file.js";
import { loadModel } from "../../src/runtime/load.js";
import type { ForwardRequest, ForwardResult, GenerateResult, Model } from "../../src/runtime/model.js";
import type { SweepRequest } from "../../src/runtime/sweep/request.js";
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
  readonly swept?: (request: SweepRequest) => SweepRequest;
}

/** A model whose requests or results are not what they should be. */
function disturbed(by: Disturbance, from: Model = model): Model {
  const { asked = (request) => request, forward = (result) => result, generate = (result) => result, swept = (request) => request } = by;
  return {
    spec: from.spec,
    forward: async (request, options) => forward(await from.forward(asked(request), options), request),
    generate: async (request, options) => generate(await from.generate(request, options)),
    runUntil: (...request) => from.runUntil(...request),
    runFrom: (...request) => from.runFrom(...request),
    forecast: (request) => from.forecast(request),
    sweep: (request, options) => from.sweep(swept(request), options),
    forecastSweep: (request, options) => from.forecastSweep(request, options),
    gradient: (request, options) => from.gradient(request, options),
    runNode: (request, options) => from.runNode(request, options),
    pullNode: (request, options) => from.pullNode(request, options),
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

describe("a planted fault is found by the check that it concerns", () => {
  const isWhole = ({ tokens }: ForwardRequest): boolean => tokens.length === 2;
  const isIdentityRun = ({ read = [] }: ForwardRequest): boolean => read.includes("head_out.0");
  const nudgedLogits = <R extends ForwardResult | GenerateResult>(result: R): R =>
    result.logits ? { ...result, logits: nudged(result.logits) } : result;

  const cases: readonly { readonly fault: string; readonly by: Disturbance; readonly found: readonly string[] }[] = [
    { fault: "none", by: {}, found: [] },
    {
      fault: "logits of the cached decode",
      by: { generate: nudgedLogits },
      found: ["cached decode = recomputation"],
    },
    {
      fault: "a point read during the cached decode",
      by: { generate: (result) => ({ ...result, activations: { ...result.activations, "k.1": nudged(result.activations["k.1"]!) } }) },
      found: ["cached decode = recomputation"],
    },
    {
      fault: "a batch",
      by: { forward: (result, request) => (isWhole(request) ? nudgedLogits(result) : result) },
      found: ["batch of N = N batches of 1"],
    },
    {
      fault: "a point in a batch",
      by: { forward: (result, request) => (isWhole(request) ? withPoint(result, "pattern.1") : result) },
      found: ["batch of N = N batches of 1"],
    },
    {
      fault: "a padded row",
      by: { forward: (result, request) => (request.tokens.length === 4 ? withPoint(result, "resid_mid.0") : result) },
      found: ["padded = unpadded"],
    },
    {
      fault: "edits lost where a run is resumed",
      by: { asked: (request) => (request.resume ? { ...request, edits: [] } : request) },
      found: ["resumed in the middle = whole"],
    },
    {
      fault: "edits lost where a run is not a generation",
      by: { asked: (request) => ({ ...request, edits: [] }) },
      found: ["cached decode = recomputation", "sweep = runs one by one"],
    },
    {
      fault: "a head's term",
      by: { forward: (result, request) => (isIdentityRun(request) ? withPoint(result, "head_out.0") : result) },
      found: ["Σ head_out + b_O = attention output"],
    },
    {
      fault: "z",
      by: { forward: (result, request) => (isIdentityRun(request) ? withPoint(result, "z.0") : result) },
      found: ["pattern · v = z"],
    },
    {
      fault: "mlp_out",
      by: { forward: (result, request) => (isIdentityRun(request) ? withPoint(result, "mlp_out.0") : result) },
      found: ["resid_mid + mlp_out = resid_post", "resid_pre + attn_out + mlp_out = resid_post"],
    },
    {
      fault: "resid_mid",
      by: { forward: (result, request) => (isIdentityRun(request) ? withPoint(result, "resid_mid.0") : result) },
      found: ["resid_pre + attn_out = resid_mid", "resid_mid + mlp_out = resid_post"],
    },
    {
      fault: "the readout of the last stream",
      by: { forward: (result, { resume, tokens }) => (resume && tokens.length === 1 ? nudgedLogits(result) : result) },
      found: ["the lens at the last layer = logits"],
    },
    {
      fault: "a patch",
      by: { forward: (result, { edits = [], tokens }) => (edits.length === 1 && tokens.length === 1 ? nudgedLogits(result) : result) },
      found: [
        "a patch with the run's own value changes nothing (24 points)",
        "batch of N = N batches of 1",
        "padded = unpadded",
        "sweep = runs one by one",
      ],
    },
    {
      fault: "a sweep that takes the runs for one another",
      by: { swept: (request) => ({ ...request, direction: "noise" }) },
      found: ["sweep = runs one by one"],
    },
  ];

  it.each(cases)("$fault", async ({ by, found }) => {
    expect(await faults(disturbed(by), { tokens: rowsOf(5, 5) })).toEqual(found);
  });

  it("names the address where a point first leaves the golden", async () => {
    const golden = readGolden(fixture("gpt2-hub-names"));
    const [run, ...others] = golden.runs;
    const points = { ...run!.points, "z.1": nudged(run!.points["z.1"]!) };
    const { checks, ok } = await verifyModel(model, { golden: { ...golden, runs: [{ ...run!, points }, ...others] } });
    expect(ok).toBe(false);
    expect(checks.filter(({ verdict }) => verdict === "differs")).toEqual([
      {
        name: "parity: z",
        verdict: "differs",
        measured: expect.closeTo(1e-3, 4) as number,
        tolerance: 1e-4,
        detail: "first at z.1; cosine 1",
      },
    ]);
  });

  it("finds a point that the model lacks, an edited run and another token", async () => {
    const golden = readGolden(fixture("gpt2-hub-names"));
    const lacking = { ...golden.runs[0]!, points: { "attn_out_raw.0": tensor(new Float32Array(2 * 9 * 32), [2, 9, 32]) } };
    expect(await faults(model, { golden: { runs: [lacking], continuations: [] } })).toEqual(["parity: attn_out_raw"]);
    const edited = golden.runs.find(({ name }) => name === "edited: knockout")!;
    expect(await faults(model, { golden: { runs: [{ ...edited, edits: [] }], continuations: [] } })).toEqual([
      "parity: logits (edited: knockout)",
    ]);
    const [continuation] = golden.continuations;
    const tokens = continuation!.tokens.map((row) => [...row.slice(0, -1), (row.at(-1)! + 1) % 61]);
    expect(await faults(model, { golden: { runs: [], continuations: [{ ...continuation!, tokens }] } })).toEqual([
      "parity: tokens (greedy)",
    ]);
  });
});

describe("where a check does not apply, it says why", () => {
  const reasons = async (of: Model, options: VerifyOptions = {}): Promise<Record<string, string | undefined>> => {
    const { checks, ok } = await verifyModel(of, options);
    expect(ok).toBe(true);
    const missing = checks.filter(({ verdict }) => verdict === "not applicable");
    return Object.fromEntries(missing.map(({ name, detail }) => [name.split(",")[0], detail]));
  };
  const reasonsOf = async (name: string, options: VerifyOptions = {}): Promise<Record<string, string | undefined>> => {
    const loaded = await loadFixture(name);
    return reasons(loaded, options).finally(() => loaded.close());
  };

  it("sums of the stream, by family", async () => {
    expect(await reasons(model)).toEqual({});
    const parallel = "attention and MLP run in parallel, so the stream has no middle";
    expect(await reasonsOf("gpt-neox-v5-yarn")).toEqual({
      "resid_pre + attn_out = resid_mid": parallel,
      "resid_mid + mlp_out = resid_post": parallel,
    });
    expect(Object.values(await reasonsOf("bloom-five-heads-untied"))).toEqual(Array(3).fill("each branch is added to a norm's output"));
  });

  it("cached keys, where the rotary factors change with the length and the cache is not made anew", async () => {
    const boundary = "beyond 11 positions longrope rotary turns new keys otherwise than those in the cache; use shorter rows";
    expect(await reasonsOf("llama-longrope-crossing", { tokens: rowsOf(11, 8) })).toEqual({ "cached decode = recomputation": boundary });
    expect(await reasonsOf("llama-longrope-crossing", { tokens: rowsOf(10, 8) })).toEqual({});
    expect(await reasonsOf("llama-longrope-crossing", { tokens: rowsOf(12, 13) })).toEqual({});
    expect(await reasonsOf("phi3-longrope-crossing", { tokens: rowsOf(11, 8) })).toEqual({});
  });

  it("cached keys, where the context is full", async () => {
    expect(await reasons(model, { tokens: rowsOf(64, 5) })).toEqual({
      "cached decode = recomputation": "the rows fill the context of 64 positions; use shorter rows",
    });
  });

  it("greedy tokens, where the two best logits are as good as equal", async () => {
    const [continuation] = readGolden(fixture("gpt2-hub-names")).continuations;
    const tokens = continuation!.tokens.map((row) => [...row.slice(0, -1), 60]);
    const golden = { runs: [], continuations: [{ ...continuation!, tokens, smallestGap: 1e-4 }] };
    expect(await reasons(model, { golden })).toEqual({
      "parity: tokens (greedy)": "the two best logits come as close as 1.0e-4, so rounding decides",
    });
  });

  it.skipIf(!hasShared)("attention-only models, and a context of three positions", async () => {
    const attentionOnly = await loadModel(sharedPath("models", "induction-2l-attn"));
    expect(Object.values(await reasons(attentionOnly))).toEqual(Array(2).fill("the layers have attention only"));
    await attentionOnly.close();
    const short = await loadModel(sharedPath("models", "modadd-p113-nowd"));
    expect(await reasons(short)).toEqual({ "cached decode = recomputation": "the rows fill the context of 3 positions; use shorter rows" });
    await short.close();
  });
});

describe("what it is given", () => {
  it("is refused when a row is too short to hold an edited position and one before it", async () => {
    await expect(verifyModel(model, { tokens: [[1, 2]] })).rejects.toThrow("verifyModel: a row needs at least 3 tokens, got 2");
  });

  it("stops when the caller aborts", async () => {
    const controller = new AbortController();
    const seen: Check[] = [];
    const onCheck = (check: Check): void => {
      seen.push(check);
      if (seen.length === 4) controller.abort();
    };
    await expect(verifyModel(model, { onCheck, signal: controller.signal })).rejects.toMatchObject({ kind: "interrupted" });
    expect(seen).toHaveLength(4);
  });
});

describe("readGolden", () => {
  it("gives runs with their edits resolved, and the continuation", () => {
    const { runs, continuations } = readGolden(fixture("gpt2-hub-names"));
    expect(runs.map(({ name, tokens }) => `${name}: ${tokens.map((row) => row.length).join(" and ")} tokens`)).toEqual([
      ": 9 and 9 tokens",
      "edited: steer: 9 and 9 tokens",
      "edited: zero_heads: 9 and 9 tokens",
      "edited: knockout: 9 and 9 tokens",
      "edited: interchange: 9 and 9 tokens",
      "edited: scale_units: 9 and 9 tokens",
      "short, alone: 6 tokens",
      "short, padded beside a longer row: 6 tokens",
    ]);
    expect(runs.find(({ name }) => name === "edited: steer")!.edits[0]).toMatchObject({ op: "add", vector: { shape: [32] } });
    expect(runs.at(-1)!.beside).toEqual(runs[0]!.tokens[0]);
    expect(continuations[0]!.tokens.map((row) => row.length)).toEqual([8, 8]);
  });

  it.skipIf(!hasShared)("gives one run and one continuation a prompt of a real model", () => {
    const { runs, continuations } = readGolden(sharedPath("goldens", "real", "stories260K"));
    expect(runs.length).toBeGreaterThan(0);
    for (const [i, { name, points, logits, tokens }] of runs.entries()) {
      expect(name).toBe(`prompt ${i}`);
      expect(logits!.shape.slice(0, 2)).toEqual([1, 4]);
      expect(points["resid_post.0"]!.shape).toEqual([1, tokens[0]!.length, 64]);
      expect(continuations[i]!.tokens[0]).toHaveLength(40);
    }
  });

  it("names the file and the field that it cannot read", () => {
    const folder = join(scratch, "bad");
    cpSync(fixture("gpt2-hub-names"), folder, { recursive: true });
    const said = (json: unknown): string => {
      writeFileSync(join(folder, "golden.json"), JSON.stringify(json));
      try {
        readGolden(folder);
      } catch (error) {
        return (error as Error).message.replace(folder, "…");
      }
      return "nothing";
    };
    expect(said({ tokens: [[1, 2.5]] })).toMatchInlineSnapshot(`"…/golden.json: tokens must be rows of token ids, got […]"`);
    expect(said({ tokens: [[1]], edits: { strange: [{ at: "z.0", op: "set", value: 0 }] } })).toMatchInlineSnapshot(
      `"…/golden.json speaks of edited.strange.logits, which golden.safetensors lacks"`,
    );
    expect(said({ tokens: [[1]], edits: { steer: [{ at: "z.0", op: "multiply" }] } })).toMatchInlineSnapshot(
      `"…/golden.json: steer: edits[0].op: must be one of set, add, scale, project_out, clamp, interchange, rotate, knockout, got the string "multiply""`,
    );
    expect(said({ prompts: [{ tokens: [] }] })).toMatchInlineSnapshot(
      `"…/golden.json: prompts[0].tokens must be rows of token ids, got […]"`,
    );
    expect(said({ prompts: [7] })).toMatchInlineSnapshot(`"…/golden.json: prompts[0] must be an object, got the number 7"`);
    expect(() => readGolden(join(scratch, "missing"))).toThrow("golden.json");
  });
});
