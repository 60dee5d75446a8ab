/**
 * @file Learned subspaces in `models/induction`, whose weights were written down: after `… A B … A` it says B. The word is moved by head 1.2, stands in coordinates
 * 32–47 behind layer 1, and in 0–15 where it was read, beside the code of the word before in 16–31.
 */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { learnSubspace } from "../../../src/analyses/subspaces/learn-subspace.js";
import type { InterchangePair, PlaceboKind, SubspaceRequest, SubspaceResult } from "../../../src/analyses/subspaces/request.js";
import { seededRandom } from "../../../src/base/random.js";
import type { Progress } from "../../../src/runtime/model.js";
import { loadModel } from "../../../src/runtime/load.js";

const model = await loadModel(fileURLToPath(new URL("../../../models/induction", import.meta.url)), { threads: 1 });
afterAll(() => model.close());

const VERBS = [9, 10, 11, 12, 13];
const random = seededRandom(8);
const draw = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));

/** Prompts `… name surname … name` of other words in base and source, the source longer by some words in front. */
function pairOf(where: "last" | "read"): InterchangePair {
  const [name, other] = [draw(49, 52), draw(53, 56)];
  const [surname, answer] = [draw(57, 60), draw(61, 64)];
  const filler = (count: number): number[] => Array.from({ length: count }, () => VERBS[draw(0, 4)]!);
  const base = [0, ...filler(1), name, surname, ...filler(draw(1, 3)), name];
  const ahead = draw(2, 4);
  const source = [0, ...filler(ahead), other, answer, ...filler(1), other];
  const positions = where === "read" ? { positions: [3], sourcePositions: [ahead + 2] } : {};
  return { base, source, answer, ...positions };
}

function requestFor(where: "last" | "read", rest: Pick<SubspaceRequest, "site" | "method">): SubspaceRequest {
  const pairs = (count: number): InterchangePair[] => Array.from({ length: count }, () => pairOf(where));
  return { ...rest, train: pairs(48), validation: pairs(16), test: pairs(32), seed: 1, placeboSeeds: 2 };
}

function shareOf({ placebos }: SubspaceResult, kind: PlaceboKind): number {
  return Math.max(...placebos.filter((placebo) => placebo.kind === kind).map(({ iia }) => iia.share));
}

describe("masks", () => {
  it("on heads choose the induction head alone", async () => {
    const result = await learnSubspace(model, requestFor("last", { site: { at: "z.1" }, method: { kind: "dbm", components: "heads" } }));
    expect(result.found).toMatchObject({ selected: [2], rank: 32 });
    expect(result.test.iia.share).toBe(1);
    expect(result.floor.iia.share).toBe(0);
    expect(shareOf(result, "equal_norm")).toBeLessThan(0.2);
  });

  it("on the heads of a site go by the model's numbers, and nothing is found among those that do nothing", async () => {
    const dbm = { kind: "dbm", components: "heads", epochs: 8 } as const;
    const two = await learnSubspace(model, requestFor("last", { site: { at: "z.1", heads: [3, 2] }, method: dbm }));
    expect(two.width).toBe(64);
    expect(two.found.selected).toEqual([2]);
    const idle = await learnSubspace(model, requestFor("last", { site: { at: "z.1", heads: [0, 1, 3] }, method: dbm }));
    expect(idle.ceiling.iia.share).toBe(0);
    expect(idle.found.selected).toEqual([]);
  });

  it("on units find the word apart from the one before it, which the whole vector overwrites", async () => {
    const progress: Progress[] = [];
    const request = requestFor("read", { site: { at: "resid_post.0" }, method: { kind: "dbm", l1: 0.02, epochs: 30 } });
    const result = await learnSubspace(model, request, { onProgress: (step) => progress.push(step) });
    expect(result.ceiling.iia.share).toBe(0);
    expect(result.test.iia.share).toBe(1);
    expect(result.found.selected!.every((unit) => unit < 16)).toBe(true);
    expect(shareOf(result, "random_components")).toBeLessThan(0.3);
    expect(new Set(progress.map(({ stage }) => stage))).toEqual(new Set(["read", "train", "shuffled", "placebos"]));
    for (const stage of ["read", "train", "shuffled", "placebos"]) {
      const last = progress.findLast((step) => step.stage === stage)!;
      expect(last.done).toBe(last.total);
    }
  });
});

describe("directions", () => {
  it("from DAS work as an interchange edit, with the very same outcome", async () => {
    const request = requestFor("last", { site: { at: "resid_post.1" }, method: { kind: "das", dimension: 8, batchSize: 8 } });
    const result = await learnSubspace(model, request);
    const { test } = request;
    expect(result.test.iia.share).toBeGreaterThan(0.9);
    expect(shareOf(result, "random_subspace")).toBeLessThan(0.2);
    expect(shareOf(result, "untrained")).toBeLessThan(0.2);
    let [right, total] = [0, 0];
    for (const { base, source, answer = 0 } of test) {
      const { activations } = await model.forward({ tokens: [source], read: ["resid_post.1"], logits: false });
      const value = [...activations["resid_post.1"]!.data.subarray((source.length - 1) * 64)];
      const { logits } = await model.forward({
        tokens: [base],
        edits: [{ at: "resid_post.1", op: "interchange", value, basis: result.found.basis!, positions: [-1] }],
      });
      const peak = Math.max(...logits!.data);
      right += logits!.data[answer] === peak ? 1 : 0;
      total += logits!.data[answer]! - peak - Math.log(logits!.data.reduce((sum, value2) => sum + Math.exp(value2 - peak), 0));
    }
    expect(right / test.length).toBe(result.test.iia.share);
    expect(total / test.length).toBeCloseTo(result.test.metric, 4);
  });

  it("from singular vectors of the values at the site carry the word", async () => {
    const request = requestFor("last", { site: { at: "resid_post.1" }, method: { kind: "dcm", l1: 0.03 } });
    const result = await learnSubspace(model, request);
    expect(result.test.iia.share).toBe(1);
    expect(result.found.rank).toBeLessThan(0.7 * result.singularValues!.length);
    expect(shareOf(result, "random_components")).toBeLessThan(0.4);
  });
});

describe("a request", () => {
  const site = { at: "resid_post.0" };
  const das = { kind: "das", dimension: 2 } as const;
  const good = requestFor("last", { site, method: das });

  it("can be interrupted", async () => {
    const aborting = new AbortController();
    const run = learnSubspace(model, good, { signal: aborting.signal, onProgress: ({ stage }) => stage === "train" && aborting.abort() });
    await expect(run).rejects.toMatchObject({ kind: "interrupted" });
  });

  it.each<[string, Partial<SubspaceRequest>, string]>([
    ["a place without vectors", { site: { at: "pattern.0" } }, "site: no subspace at pattern.0: it holds no vectors that can be set"],
    ["heads where there are none", { site: { ...site, heads: [0] } }, "site: cannot select heads: resid_post.0 has no head axis"],
    ["a head twice", { site: { at: "z.0", heads: [1, 1] } }, "heads must be named, each once"],
    ["too many dimensions", { method: { kind: "das", dimension: 65 } }, "dimension must be a whole number, 1 … 64 at resid_post.0, got 65"],
    ["a method that there is not", { method: { kind: "pca" } as never }, 'method: there are das, dcm, dbm, got "pca"'],
    ["a mask on heads without heads", { method: { kind: "dbm", components: "heads" } }, "components: no heads to choose among"],
    ["a rising temperature", { method: { kind: "dbm", temperature: { from: 1, to: 2 } } }, "temperature must fall"],
    ["a test pair seen in training", { test: [good.train[0]!] }, "test[0] is a training or validation pair too"],
    ["no placebos", { placeboSeeds: 0 }, "placeboSeeds must be a whole number above 0, got 0"],
    ["a pair without a goal", { test: [{ base: [0, 1], source: [0, 2] }] }, "test[0]: says neither which answer should follow nor"],
    [
      "a position outside",
      { test: [{ base: [0, 1], source: [0], positions: [1], answer: 3 }] },
      "test[0]: sourcePositions: 1 is outside a prompt of 1 tokens",
    ],
    [
      "an answer that is no token",
      { test: [{ base: [0, 1], source: [0, 2], of: "logits[-1,1]", answer: 65 }] },
      "answer 65 is no token, there are 65",
    ],
    [
      "a metric inside the model",
      { test: [{ base: [0, 1], source: [0, 2], of: "embed[0,1]" }] },
      "of: must be made of logits, logprobs or probs, got embed",
    ],
    [
      "a basis that is not orthonormal",
      {
        method: { kind: "dcm", components: { basis: { data: new Float32Array(64).fill(1), shape: [1, 64], axes: ["component", "unit"] } } },
      },
      "the rows of basis must be orthonormal",
    ],
  ])("is refused with %s", async (_, change, message) => {
    await expect(learnSubspace(model, { ...good, ...change })).rejects.toThrow(message);
  });
});
