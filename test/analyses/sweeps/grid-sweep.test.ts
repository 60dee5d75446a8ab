/**
 * @file Grids swept on the induction model, whose README says which head does what; interchange in subspaces that leave no choice of what
 * comes out; and the shape of what is found.
 */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Effects } from "../../../src/analyses/sweeps/effects.js";
import { nested, sweepGrid, sweepOf, type GridFinding, type GridSweepRequest } from "../../../src/analyses/sweeps/grid-sweep.js";
import { makeGrid } from "../../../src/analyses/sweeps/grid.js";
import { must } from "../../../src/base/errors.js";
import { seededRandom } from "../../../src/base/random.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import type { SweepPair } from "../../../src/runtime/sweep/request.js";

const [NEAR, THE, MIRA, ANNA, LENA, HILL, STONE, BROOK] = [17, 1, 49, 51, 53, 58, 57, 59];
/** <bos> the cat sat near NAME SURNAME while the dog saw LAST; NAME is token 5, SURNAME token 6, LAST token 11. */
const sentence = (name: number, surname: number, last: number): number[] => [0, THE, 33, 11, NEAR, name, surname, 29, THE, 34, 9, last];

/** Other words to be said: the previous-token head says the same in both runs, so that head 1.2 carries it all. */
const SURNAMES: readonly SweepPair[] = [
  { clean: sentence(MIRA, HILL, MIRA), corrupted: sentence(MIRA, STONE, MIRA), answer: HILL, wrong: STONE },
  { clean: sentence(ANNA, BROOK, ANNA), corrupted: sentence(ANNA, HILL, ANNA), answer: BROOK, wrong: HILL },
];
/** Other words in front of it: both heads of the circuit are needed to find the place. */
const NAMES: readonly SweepPair[] = [
  { clean: sentence(MIRA, HILL, MIRA), corrupted: sentence(ANNA, HILL, MIRA), answer: HILL, wrong: STONE },
  { clean: sentence(LENA, BROOK, LENA), corrupted: sentence(MIRA, BROOK, LENA), answer: BROOK, wrong: STONE },
];

let model: Model;
beforeAll(async () => {
  model = await loadModel(fileURLToPath(new URL("../../../models/induction", import.meta.url)), { threads: 1 });
});
afterAll(() => model.close());

const sweep = (request: Omit<GridSweepRequest, "metrics">): Promise<GridFinding> =>
  sweepGrid(model, { metrics: ["logit_diff"], ...request });

function effects({ effects: all }: GridFinding): Effects {
  return must(all["logit_diff"], "effects");
}

/** What each cell has of the way from the corrupted run to the clean one. */
function shares(finding: GridFinding): number[] {
  return effects(finding).cells.map(({ normalised }) => must(normalised, "a share"));
}

/** Cells, as `layer.head`, that carry the whole answer; all others carry next to nothing. */
function carrying(found: readonly number[], { ticks }: GridFinding["grid"], none: number): string[] {
  const [layers = [], heads = []] = ticks;
  const cells = layers.flatMap((layer) => heads.map((head) => `${layer}.${head}`));
  return cells.filter((_, i) => {
    // Notes of other heads move the logits by less than 0.15 of some 12, and the last steps of the norms by less than that.
    expect(Math.min(Math.abs(found[i]! - none), Math.abs(found[i]! - (1 - none))), cells[i]).toBeLessThan(0.02);
    return Math.abs(found[i]! - none) > 0.5;
  });
}

describe("a grid of heads", () => {
  const request = { point: "z", by: ["head"] } as const;

  it("finds head 1.2 alone where the word to be said differs", async () => {
    const denoised = await sweep({ ...request, pairs: SURNAMES });
    expect(denoised).toMatchObject({ edited: "corrupted", grid: { axes: ["layer", "head"], shape: [2, 4] } });
    expect(carrying(shares(denoised), denoised.grid, 0)).toEqual(["1.2"]);
    expect(effects(denoised).guard).toMatchObject({ pairsAsMeant: 2, moved: 1 / 8 });
    expect(effects(denoised).guard).not.toHaveProperty("warning");
    expect(effects(denoised).cells.map(({ isMarked }) => isMarked)).toEqual([false, false, false, false, false, false, true, false]);
    const noised = await sweep({ ...request, pairs: SURNAMES, direction: "noise" });
    expect(noised.edited).toBe("clean");
    expect(carrying(shares(noised), noised.grid, 1)).toEqual(["1.2"]);
  });

  it("finds it by a divergence, too, of which less is better", async () => {
    const found = await sweepGrid(model, { ...request, pairs: SURNAMES, metrics: ["kl", "log_prob", "accuracy"] });
    for (const [name, { cells, guard }] of Object.entries(found.effects)) {
      expect(guard, name).not.toHaveProperty("warning");
      expect([...cells.keys()].filter((cell) => cells[cell]!.isMarked), name).toEqual([6]); // prettier-ignore
    }
  });

  it("finds both heads of the circuit where the word in front of it differs", async () => {
    const denoised = await sweep({ ...request, pairs: NAMES });
    expect(carrying(shares(denoised), denoised.grid, 0)).toEqual(["0.1", "1.2"]);
    const noised = await sweep({ ...request, pairs: NAMES, direction: "noise" });
    expect(carrying(shares(noised), noised.grid, 1)).toEqual(["0.1", "1.2"]);
  });

  it("finds them by ablation, too, without a corrupted prompt", async () => {
    const pairs = NAMES.map(({ clean, answer, wrong }) => ({ clean, answer: answer!, wrong: wrong! }));
    const found = await sweep({ ...request, pairs, operation: { op: "zero" } });
    expect(found.edited).toBe("clean");
    const { cells, guard } = effects(found);
    expect(guard).not.toHaveProperty("gap");
    expect([...cells.keys()].filter((cell) => cells[cell]!.isMarked)).toEqual([1, 6]);
    for (const cell of [1, 6]) expect(cells[cell]!.effect).toBeLessThan(-8);
  });
});

describe("a grid of positions", () => {
  it("follows the word from where it stands to where it is said", async () => {
    const found = await sweep({ pairs: SURNAMES, point: "resid_pre", by: ["pos"] });
    const top = nested(shares(found), found.grid.shape) as number[][];
    const at = (layer: number): number[] => [...top[layer]!.keys()].filter((position) => top[layer]![position]! > 0.5);
    expect([at(0), at(1)]).toEqual([[6], [6]]);
    const behind = await sweep({ pairs: SURNAMES, point: "resid_post", by: ["pos"], layers: [1] });
    expect([...shares(behind).keys()].filter((position) => shares(behind)[position]! > 0.5)).toEqual([11]);
    const names = await sweep({ pairs: NAMES, point: "resid_pre", by: ["pos"] });
    expect([...shares(names).keys()].filter((cell) => shares(names)[cell]! > 0.5)).toEqual([5, 12 + 6]);
  });
});

describe("a knockout grid", () => {
  it("finds the edge that the word is copied over", async () => {
    const found = await sweep({
      pairs: SURNAMES,
      direction: "noise",
      point: "attn_scores",
      by: ["head", "key"],
      layers: [1],
      operation: { op: "knockout" },
    });
    const lost = effects(found).cells.flatMap(({ effect }, cell) => (effect < -8 ? [[Math.floor(cell / 12), cell % 12]] : []));
    expect(lost).toEqual([[2, 6]]);
  });
});

describe("pairs of which some have a corrupted prompt", () => {
  it("are all edited in their clean run, and compared with that", async () => {
    const [first, second] = NAMES;
    const { corrupted: _, ...alone } = second!;
    const request = { point: "z", by: ["head"], operation: { op: "zero" } } as const;
    const found = await sweep({ ...request, pairs: [first!, alone] });
    const whole = await sweep({ ...request, pairs: NAMES, direction: "noise" });
    expect(found.edited).toBe("clean");
    expect(found.raw["logit_diff"]!.values).toEqual(whole.raw["logit_diff"]!.values);
    expect(effects(found).cells.map(({ effect }) => effect)).toEqual(effects(whole).cells.map(({ effect }) => effect));
  });
});

describe("patching in a subspace", () => {
  const request = { pairs: NAMES.slice(0, 1), point: "resid_pre", by: ["pos"], positions: [5, 6, 11] } as const;
  const identity = (size: number): Tensor<Float32Array> =>
    tensor(
      Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
      [size, size],
    );
  const valuesOf = async (asked: Omit<GridSweepRequest, "metrics">): Promise<number[]> => [
    ...(await sweep(asked)).raw["logit_diff"]!.values,
  ];

  /** Float32 sums over 64 dimensions, of logits up to 20; a wrong coordinate shows at 1e-2. Seen: 0, the planted codes being signs. */
  function expectSame(ours: readonly number[], theirs: readonly number[]): void {
    ours.forEach((value, i) => expect(Math.abs(value - theirs[i]!), `cell ${i}`).toBeLessThan(1e-4));
  }

  /** How the stream of the clean run differs from that of the corrupted one, by address, at one position. */
  async function differences(position: number): Promise<Record<string, number[]>> {
    const { clean, corrupted } = must(request.pairs[0], "a pair");
    const read = ["resid_pre.*"];
    const [source, base] = [
      await model.forward({ tokens: [clean], read }),
      await model.forward({ tokens: [must(corrupted, "a prompt")], read }),
    ];
    return Object.fromEntries(
      Object.entries(source.activations).map(([address, { data }]) => {
        const other = base.activations[address]!.data;
        return [address, Array.from({ length: 64 }, (_, i) => data[position * 64 + i]! - other[position * 64 + i]!)];
      }),
    );
  }

  it("of full rank is patching whole", async () => {
    const whole = await valuesOf(request);
    expectSame(await valuesOf({ ...request, operation: { op: "patch", basis: identity(64) } }), whole);
    const heads = { pairs: NAMES, point: "z", by: ["head"] } as const;
    expectSame(await valuesOf({ ...heads, operation: { op: "patch", basis: identity(32) } }), await valuesOf(heads));
    expect(Math.max(...whole) - Math.min(...whole)).toBeGreaterThan(8);
  });

  it("along the difference of the two runs is patching whole", async () => {
    const at = { ...request, layers: [1], positions: [6] } as const;
    const basis = await differences(6);
    const [patched = NaN] = await valuesOf({ ...at, operation: { op: "patch", basis } });
    const [whole = NaN] = await valuesOf(at);
    expectSame([patched], [whole]);
    expect(whole).toBeGreaterThan(8);
  });

  it("orthogonal to that difference changes nothing", async () => {
    const random = seededRandom(3);
    const difference = (await differences(6))["resid_pre.1"]!;
    const length = difference.reduce((sum, value) => sum + value * value, 0);
    const rows = Array.from({ length: 5 }, () => {
      const row = difference.map(() => random() - 0.5);
      const along = row.reduce((sum, value, i) => sum + value * difference[i]!, 0) / length;
      return row.map((value, i) => value - along * difference[i]!);
    });
    const basis = { "resid_pre.1": tensor(Float32Array.from(rows.flat()), [5, 64]) };
    const { raw } = await sweep({ ...request, layers: [1], positions: [6], operation: { op: "patch", basis } });
    expectSame([...raw["logit_diff"]!.values], [...raw["logit_diff"]!.corrupted!]);
  });

  it("that holds nothing but the word before carries the answer, and the other coordinates do not", async () => {
    const units = (from: number, to: number): Tensor<Float32Array> =>
      tensor(
        Float32Array.from({ length: (to - from) * 64 }, (_, i) => (i % 64 === from + Math.floor(i / 64) ? 1 : 0)),
        [to - from, 64],
      );
    // Coordinates 16 to 31 hold PREVIOUS.
    const at = { ...request, layers: [1], positions: [6] } as const;
    const along = async (from: number, to: number): Promise<number> =>
      shares(await sweep({ ...at, operation: { op: "patch", basis: units(from, to) } }))[0]!;
    expect(await along(16, 32)).toBeGreaterThan(0.98);
    expect(Math.abs(await along(0, 16))).toBeLessThan(0.02);
    expect(Math.abs(await along(32, 64))).toBeLessThan(0.02);
  });
});

describe("a grid's sweep", () => {
  it("is the request without what only the grid is made of", () => {
    const request: GridSweepRequest = {
      pairs: SURNAMES,
      metrics: ["logit_diff", "kl"],
      at: "end",
      direction: "noise",
      beyondContext: true,
      point: "z",
      by: ["head"],
      layers: [1],
      judging: { level: 0.1 },
    };
    const grid = makeGrid(model.spec, SURNAMES, request);
    const { pairs, metrics, at, direction, beyondContext } = request;
    expect(sweepOf(request, grid)).toEqual({ pairs, metrics, at, direction, beyondContext, counterfactuals: grid.counterfactuals });
  });

  it("is judged as asked", async () => {
    const found = await sweep({ pairs: SURNAMES, point: "z", by: ["head"], judging: { least: 1.5 } });
    expect(effects(found).cells.some(({ isMarked }) => isMarked)).toBe(false);
  });
});

describe("nested lists", () => {
  it("have the values in row-major order", () => {
    expect(nested([1, 2, 3, 4, 5, 6], [2, 3])).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(nested(Float64Array.of(1, 2, 3, 4), [2, 1, 2])).toEqual([[[1, 2]], [[3, 4]]]);
    expect(nested(["a", "b"] as unknown as number[], [2])).toEqual(["a", "b"]);
  });

  it("are refused where the values do not fill the shape", () => {
    const filling = (count: number, shape: readonly number[]) => (): unknown => nested(new Float64Array(count), shape);
    expect(filling(5, [2, 3])).toThrow("5 values do not fill [2, 3]");
    expect(filling(4, [2])).toThrow("4 values do not fill [2]");
    expect(filling(4, [2, 1])).toThrow("4 values do not fill [2, 1]");
    expect(filling(1, [0])).toThrow("1 values do not fill [0]");
  });
});
