/**
 * @file Ablations against means taken by hand, and identities: a mean of one prompt is its own value, two components left out or kept are
 * the same two runs, and a model without heads and MLPs is its embedding through the last norm.
 */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import {
  keepOneIn,
  leaveOneOut,
  meanActivations,
  resampled,
  type Component,
  type MeanRequest,
} from "../../../src/analyses/sweeps/ablation.js";
import { makeGrid } from "../../../src/analyses/sweeps/grid.js";
import { must } from "../../../src/base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../../src/base/tensor.js";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import type { SweepPair } from "../../../src/runtime/sweep/request.js";
import { apart, fixture, rowsOf } from "../../runtime/support.js";

/** Sums in float32 in another order, since rows run in batches of another size; of the largest value. Seen: 2e-7. */
const ROUNDING = 1e-5;

const INDUCTION = fileURLToPath(new URL("../../../models/induction", import.meta.url));
const shelf = new Map<string, Promise<Model>>();
afterAll(async () => void (await Promise.all([...shelf.values()].map(async (model) => (await model).close()))));

function open(name: string): Promise<Model> {
  const made = shelf.get(name) ?? loadModel(name === "induction" ? INDUCTION : fixture(name), { threads: 1, lazy: true });
  shelf.set(name, made);
  return made;
}

/** The mean over prompts, and over positions unless these stay apart, of values read one prompt at a time; sums in float64. */
async function meanByHand(model: Model, { prompts, read, positions }: MeanRequest): Promise<Record<string, Tensor>> {
  const runs = await Promise.all(prompts.map((prompt) => model.forward({ tokens: [prompt], read, logits: false })));
  const addresses = Object.keys(runs[0]!.activations);
  return Object.fromEntries(
    addresses.map((address) => {
      const vectors = runs.map(({ activations }) => {
        const { data, shape } = must(activations[address], address);
        const width = sizeOf(shape.slice(positions === "apart" ? 1 : 2));
        return Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width));
      });
      const all = vectors.flat();
      const sums = Array.from(all[0]!, (_, i) => all.reduce((sum, vector) => sum + vector[i]!, 0));
      const { shape, axes } = runs[0]!.activations[address]!;
      const from = positions === "apart" ? 1 : 2;
      return [
        address,
        tensor(
          Float32Array.from(sums, (sum) => sum / all.length),
          shape.slice(from),
          axes.slice(from),
        ),
      ];
    }),
  );
}

describe.each(["gpt2-hub-names", "gemma3-old-style"])("means over prompts, on %s", (name) => {
  const read = ["embed", "resid_post.*", "k.0", "z.1", "head_out.0", "mlp_post.1", "mlp_out.*", "final_normalized"];

  it("are those of values read one prompt at a time, over positions of prompts of any length", async () => {
    const model = await open(name);
    const request = { prompts: rowsOf(5, 9, 2, 7), read };
    const [means, byHand] = [await meanActivations(model, request), await meanByHand(model, request)];
    expect(Object.keys(means)).toEqual(Object.keys(byHand));
    for (const [address, mean] of Object.entries(byHand)) {
      expect(apart(means[address], mean), address).toBeLessThan(ROUNDING);
      expect(means[address]!.axes, address).toEqual(mean.axes);
    }
    expect(means["z.1"]!.axes).toEqual(["head", "d_head"]);
  });

  it("are one for each position where these stay apart", async () => {
    const model = await open(name);
    const request = { prompts: rowsOf(6, 6, 6), read, positions: "apart" } as const;
    const [means, byHand] = [await meanActivations(model, request), await meanByHand(model, request)];
    for (const [address, mean] of Object.entries(byHand)) {
      expect(apart(means[address], mean), address).toBeLessThan(ROUNDING);
      expect(means[address]!.axes, address).toEqual(mean.axes);
    }
    expect(means["z.1"]!.axes).toEqual(["pos", "head", "d_head"]);
  });

  it("are the same however many prompts run at once", async () => {
    const model = await open(name);
    for (const positions of ["together", "apart"] as const) {
      const prompts = positions === "apart" ? rowsOf(4, 4, 4, 4, 4) : rowsOf(5, 9, 2, 7, 4);
      const whole = await meanActivations(model, { prompts, read, positions });
      for (const batch of [1, 2, 5]) {
        const parts = await meanActivations(model, { prompts, read, positions, batch });
        for (const [address, mean] of Object.entries(whole)) expect(apart(parts[address], mean), address).toBeLessThan(ROUNDING);
      }
    }
  });
});

describe("means over prompts are refused", () => {
  const refusal = async (name: string, request: Partial<MeanRequest>): Promise<string> => {
    const asked = meanActivations(await open(name), { prompts: rowsOf(3, 3), read: ["z.0"], ...request });
    return asked.then(
      () => "nothing was refused",
      (error: Error) => error.message,
    );
  };

  it("at edges, and of indices", async () => {
    expect(await refusal("gpt2-hub-names", { read: ["z.0", "attn_scores.1"] })).toMatchInlineSnapshot(
      `"meanActivations: attn_scores.1 has no vector a position that a mean could be of"`,
    );
    expect(await refusal("gpt2-hub-names", { read: ["all"] })).toMatchInlineSnapshot(
      `"meanActivations: attn_scores.0 has no vector a position that a mean could be of"`,
    );
    expect(await refusal("qwen3-moe-dense-first", { read: ["experts.1"] })).toMatchInlineSnapshot(
      `"meanActivations: experts.1 has no vector a position that a mean could be of"`,
    );
  });

  it("apart, for prompts of unequal lengths", async () => {
    expect(await refusal("gpt2-hub-names", { prompts: rowsOf(3, 4), positions: "apart" })).toMatchInlineSnapshot(
      `"meanActivations: means apart need prompts of one length; average over positions together"`,
    );
  });

  it("of no prompt, and in batches of none", async () => {
    expect(await refusal("gpt2-hub-names", { prompts: [] })).toMatchInlineSnapshot(`"meanActivations: a mean needs at least one prompt"`);
    expect(await refusal("gpt2-hub-names", { batch: 0 })).toMatchInlineSnapshot(
      `"meanActivations: batch must be a whole number of prompts from 1 on, got 0"`,
    );
    expect(await refusal("gpt2-hub-names", { batch: 1.5 })).toMatchInlineSnapshot(
      `"meanActivations: batch must be a whole number of prompts from 1 on, got 1.5"`,
    );
  });
});

describe("resampled pairs", () => {
  const pairs: readonly SweepPair[] = rowsOf(3, 4, 5, 6, 7).map((clean, index) => ({
    clean,
    corrupted: [0],
    answer: index,
    wrong: index + 1,
  }));

  it("take another prompt's clean tokens, never their own, and keep the rest", () => {
    for (let seed = 0; seed < 100; seed++) {
      resampled(pairs, seed).forEach(({ corrupted, ...rest }, index) => {
        const { corrupted: _, ...own } = pairs[index]!;
        expect(rest).toEqual(own);
        const drawn = pairs.findIndex(({ clean }) => clean === corrupted);
        expect(drawn).toBeGreaterThanOrEqual(0);
        expect(drawn).not.toBe(index);
      });
    }
  });

  it("draw every other prompt about equally often", () => {
    const counts = new Map<number, number>();
    for (let seed = 0; seed < 4000; seed++) {
      const drawn = pairs.findIndex(({ clean }) => clean === resampled(pairs, seed)[2]!.corrupted);
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
    }
    // 1000 each, with a standard deviation of 27.
    expect(new Set(counts.keys())).toEqual(new Set([0, 1, 3, 4]));
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(110);
  });

  it("are the same for the same seed, and swapped where there are two", () => {
    expect(resampled(pairs, 7)).toEqual(resampled(pairs, 7));
    expect(resampled(pairs, 7)).not.toEqual(resampled(pairs, 8));
    const [a, b] = pairs;
    expect(resampled([a!, b!]).map(({ corrupted }) => corrupted)).toEqual([b!.clean, a!.clean]);
  });

  it("find named positions where the other prompt has them, and drop names that it lacks", () => {
    const [first, second] = resampled([
      { clean: [1, 2, 3, 4], positions: { subject: 1, verb: { clean: -1, corrupted: 0 } } },
      { clean: [5, 6, 7, 8], positions: { subject: { clean: [2, 3], corrupted: 0 }, verb: -2, object: 0 } },
    ]);
    expect(first!.positions).toEqual({ subject: { clean: 1, corrupted: [2, 3] }, verb: { clean: -1, corrupted: -2 } });
    expect(second!.positions).toEqual({ subject: { clean: [2, 3], corrupted: 1 }, verb: { clean: -2, corrupted: -1 } });
  });

  it("need two prompts", () => {
    expect(() => resampled(pairs.slice(0, 1))).toThrowErrorMatchingInlineSnapshot(
      `[SextantError: resampled: at least two prompts are needed to take one for another]`,
    );
  });
});

describe("sets of components", () => {
  const head = (layer: number, index: number): Component => [{ at: `z.${layer}`, op: "set", value: 0, heads: [index] }];
  const mlp: Component = [{ at: "mlp_out.0", op: "set", value: 0 }];

  it("lose one in each run, or keep one", () => {
    const [a, b] = [head(0, 1), head(1, 2)];
    expect(leaveOneOut([a, b, mlp])).toEqual([{ edits: a }, { edits: b }, { edits: mlp }]);
    expect(keepOneIn([a, b, mlp])).toEqual([{ edits: [...b, ...mlp] }, { edits: [...a, ...mlp] }, { edits: [...a, ...b] }]);
    expect(() => keepOneIn([a])).toThrowErrorMatchingInlineSnapshot(
      `[SextantError: keepOneIn: at least two components are needed for one to be kept]`,
    );
  });

  it("of two are the same runs in the other order", async () => {
    const model = await open("gpt2-hub-names");
    const components = [head(0, 1), mlp];
    const [clean = []] = rowsOf(8);
    const run = (counterfactuals: ReturnType<typeof leaveOneOut>): ReturnType<Model["sweep"]> =>
      model.sweep({ pairs: [{ clean, answer: 3, wrong: 5 }], counterfactuals, metrics: ["logit_diff"] });
    const [out, kept] = [await run(leaveOneOut(components)), await run(keepOneIn(components))];
    expect([...kept.metrics["logit_diff"]!.values].toReversed()).toEqual([...out.metrics["logit_diff"]!.values]);
    expect(new Set(out.metrics["logit_diff"]!.values).size).toBe(2);
  });
});

describe.each(["induction", "gpt2-hub-names", "gemma3-old-style", "gptj-rotary-six", "qwen3-moe-dense-first"])(
  "ablations of %s",
  (name) => {
    const logit = (token: number) => (logits: Float32Array) => logits[token]!;
    const measures = Object.fromEntries(Array.from({ length: 61 }, (_, token) => [`logit ${token}`, logit(token)]));
    const metrics = Object.keys(measures);

    it("by the run's own values change nothing, by another's do", async () => {
      const model = await open(name);
      const [own = [], other = []] = rowsOf(7, 7);
      const read = ["resid_pre.*", "q.*", "v.*", "z.*", "mlp_out.*"];
      for (const prompt of [own, other]) {
        const means = await meanActivations(model, { prompts: [prompt], read, positions: "apart" });
        for (const point of ["resid_pre", "q", "v", "z", "mlp_out"] as const) {
          const { counterfactuals } = makeGrid(model.spec, [{ clean: own }], { point, by: [], operation: { op: "mean", means } });
          const made = await model.sweep({ pairs: [{ clean: own }], counterfactuals, metrics }, { measures });
          const changes = counterfactuals.map((_, cell) => {
            const [before, after] = [
              metrics.map((metric) => made.metrics[metric]!.clean[0]!),
              metrics.map((metric) => made.metrics[metric]!.values[cell]!),
            ];
            return apart(tensor(Float32Array.from(after), [61]), tensor(Float32Array.from(before), [61]));
          });
          if (prompt === own) expect(Math.max(...changes), point).toBeLessThan(ROUNDING);
          else expect(Math.max(...changes), point).toBeGreaterThan(1e-3);
        }
      }
    });

    it("of all heads and MLPs at once leave the embedding through the last norm", async () => {
      const model = await open(name);
      const { spec } = model;
      const [clean = []] = rowsOf(6);
      // Where W_O has a bias it is no head's, so that attention's whole output has to go.
      const hasBias = spec.layers.some(({ attention: { out } }) => out.bias);
      const components = spec.layers.flatMap((layer, l): Component[] => [
        ...(hasBias
          ? [[{ at: `attn_out.${l}`, op: "set", value: 0 }] as const]
          : Array.from({ length: layer.attention.heads }, (_, head): Component => [{ at: `z.${l}`, op: "set", value: 0, heads: [head] }])),
        [{ at: `mlp_out.${l}`, op: "set", value: 0 }],
      ]);
      const made = await model.sweep({ pairs: [{ clean }], counterfactuals: [{ edits: components.flat() }], metrics }, { measures });
      const { activations } = await model.forward({ tokens: [clean], read: ["resid_pre.0"], logits: false });
      const resid = must(activations["resid_pre.0"], "the embedding") as Tensor<Float32Array>;
      const { logits } = await model.forward({ tokens: [clean], resume: { layer: spec.layers.length, resid } });
      const swept = tensor(
        Float32Array.from(metrics, (metric) => made.metrics[metric]!.values[0]!),
        [61],
      );
      expect(apart(swept, tensor(logits!.data.slice(0, 61), [61]))).toBeLessThan(ROUNDING);
    });
  },
);
