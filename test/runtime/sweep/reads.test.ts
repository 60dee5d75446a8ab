/** @file What a sweep reads in each counterfactual run of each pair is what a plain pass with the same edits reads there. */
import { afterAll, describe, expect, it } from "vitest";
import { must } from "../../../src/base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../../src/base/tensor.js";
import { allPlaces } from "../../../src/models/address.js";
import type { Model } from "../../../src/runtime/model.js";
import type { SweepRequest } from "../../../src/runtime/sweep/request.js";
import { modelShelf, SUBJECTS } from "../../parity/subjects.js";
import { apart, fixture } from "../support.js";
import { everyKind, pairsFor } from "./cases.js";
import { compared, METRICS, MEASURES, written } from "./compare.js";
import { naiveSweep } from "./naive.js";

const shelf = modelShelf();
afterAll(shelf.close);

/** Relative to the largest value of the point in the run: float32 sums in another order. Seen are up to 4e-6. */
const TOLERANCE = 1e-5;

/** One of each way to be built: windows, sinks and experts, parallel blocks, norms as residual, grouped heads, attention alone, one layer. */
const NAMES =
  /^(gpt2-hub-names|gemma3-old-style|gpt-oss-yarn-old-style|phi-qk-layernorm-gqa|bloom-five-heads-untied|qwen3-moe-dense-first|opt-post-projected|granite|induction-2l-attn|modadd-p113-nowd)$/;

/** Every address that a sweep can read. */
function addressesOf({ spec }: Model): string[] {
  return allPlaces(spec)
    .filter(({ point }) => point !== "logits" && point !== "head_out" && !point.startsWith("final_"))
    .map(({ address }) => address);
}

/** Counterfactuals of every kind, some of each, and such as change nothing. */
async function requestFor(model: Model, step: number): Promise<SweepRequest> {
  const pairs = pairsFor(model.spec, 6);
  const every = await everyKind(model, pairs, 6);
  const counterfactuals = every.filter(({ freeze }, i) => freeze !== undefined || i % step === 0);
  const idle = { edits: [{ at: "resid_pre.0", op: "patch", run: "base", positions: ["diff"] }] } as const;
  return { pairs, counterfactuals: [...counterfactuals, idle], metrics: [] };
}

/** The part of a sweep's value that belongs to one run, cut to the positions that the prompt has. */
function partOf({ data, shape, axes }: Tensor, at: { counterfactual: number; pair: number }, like: Tensor): Tensor {
  const own = shape.slice(2);
  const start = (at.counterfactual * must(shape[1], "pairs") + at.pair) * sizeOf(own);
  const whole = data.subarray(start, start + sizeOf(own));
  const out = Array.from({ length: sizeOf(like.shape) }, (_, i) => whole[placeIn(i, like.shape, own)]!);
  expect(axes.slice(2)).toEqual(like.axes);
  return tensor(Float32Array.from(out), like.shape);
}

/** Where element i of a shape stands in a larger shape. */
function placeIn(index: number, shape: readonly number[], larger: readonly number[]): number {
  let [rest, at, stride] = [index, 0, 1];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at += (rest % shape[axis]!) * stride;
    rest = Math.floor(rest / shape[axis]!);
    stride *= larger[axis]!;
  }
  return at;
}

/** The first value that differs from the naive loop's, in words. */
async function firstDifference(model: Model, request: SweepRequest): Promise<string | undefined> {
  const { activations } = await model.sweep(request, { measures: MEASURES });
  const naive = await naiveSweep(model, request);
  for (const [counterfactual, runs] of naive.cells.entries()) {
    for (const [pair, run] of runs.entries()) {
      for (const [address, theirs] of Object.entries(run.activations)) {
        const ours = partOf(must(activations[address], address), { counterfactual, pair }, theirs);
        const off = apart(ours, tensor(Float32Array.from(theirs.data), theirs.shape));
        if (!(off <= TOLERANCE))
          return `${written(request.counterfactuals[counterfactual]!, counterfactual)}, pair ${pair}: ${address} is off by ${off}`;
      }
    }
  }
  return undefined;
}

describe.each(SUBJECTS.filter(({ name }) => NAMES.test(name)))("$name", ({ folder }) => {
  it("every point of every run is that of the naive loop, held sublayers and runs without change included", async () => {
    const model = await shelf.open(folder);
    const request = { ...(await requestFor(model, 13)), read: addressesOf(model) };
    expect(await firstDifference(model, request)).toBeUndefined();
  });

  it("so is a single point, which changes how the rest is computed", async () => {
    const model = await shelf.open(folder);
    const all = await requestFor(model, 40);
    const last = model.spec.layers.length - 1;
    const read = [
      "resid_pre.0",
      "q.0",
      "k.0",
      "pattern.0",
      `v.${last}`,
      `z.${last}`,
      `attn_scores.${last}`,
      `attn_out.${last}`,
      `resid_post.${last}`,
    ];
    for (const address of read) {
      const direction = address.startsWith("r") ? "noise" : "denoise";
      expect(await firstDifference(model, { ...all, read: [address], direction }), address).toBeUndefined();
    }
  });

  it("reading changes no metric, and takes none away", async () => {
    const model = await shelf.open(folder);
    const request: SweepRequest = { ...(await requestFor(model, 15)), metrics: METRICS };
    const naive = await naiveSweep(model, request);
    const last = model.spec.layers.length - 1;
    for (const read of [[`resid_post.${last}`, "z.0"], [`pattern.${last}`], ["q.0"]]) {
      const swept = await model.sweep({ ...request, read }, { measures: MEASURES });
      expect(compared(request, swept, naive)).toMatchObject({ first: undefined });
      expect(Object.keys(swept.activations).toSorted()).toEqual(read.toSorted());
    }
  });
});

describe("what is read", () => {
  const open = (): Promise<Model> => shelf.open(fixture("gemma3-old-style"));

  it("has counterfactuals and pairs as its first axes, and nothing behind the shorter prompt", async () => {
    const model = await open();
    const request = await requestFor(model, 40);
    const { activations, metrics } = await model.sweep({ ...request, read: ["resid_post.1", "pattern.2"] });
    const [long, short] = request.pairs.map(({ clean }) => clean.length) as [number, number];
    const { shape, axes, data } = must(activations["resid_post.1"], "the stream");
    expect([shape, axes]).toEqual([
      [request.counterfactuals.length, 2, long, 32],
      ["counterfactual", "pair", "pos", "d_model"],
    ]);
    expect(activations["pattern.2"]!.shape).toEqual([request.counterfactuals.length, 2, 4, long, long]);
    const behind = data.subarray((long + short) * 32, 2 * long * 32);
    expect([behind.length, new Set(behind)]).toEqual([(long - short) * 32, new Set([0])]);
    expect(metrics).toEqual({});
  });

  it("is the same in many parts", async () => {
    const model = await open();
    const request: SweepRequest = { ...(await requestFor(model, 11)), read: ["resid_post.0", "z.2", "attn_scores.1"], metrics: ["kl"] };
    const one = await model.sweep(request);
    const many = await model.sweep(request, { memoryBudget: 1 });
    expect(many.cost.forecast.parts).toBeGreaterThan(5);
    for (const [address, value] of Object.entries(one.activations))
      expect(apart(many.activations[address], value), address).toBeLessThan(TOLERANCE);
  });

  it("up to a measured position in front of the end is what the whole prompt has there", async () => {
    const model = await open();
    const pairs = pairsFor(model.spec, 6);
    const counterfactuals = [{ edits: [{ at: "resid_pre.0", op: "patch", positions: ["diff"] } as const] }];
    const request: SweepRequest = { pairs, counterfactuals, metrics: ["prob"], read: ["resid_post.1"], at: "mid" };
    const { activations } = await model.sweep(request);
    const naive = await naiveSweep(model, request);
    pairs.forEach(({ positions }, pair) => {
      const count = (positions["mid"] as number) + 1;
      const theirs = must(naive.cells[0]![pair]!.activations["resid_post.1"], "the stream");
      const like = tensor(theirs.data.slice(0, count * 32), [count, 32], theirs.axes);
      expect(apart(partOf(activations["resid_post.1"]!, { counterfactual: 0, pair }, like), like)).toBeLessThan(TOLERANCE);
    });
  });
});
