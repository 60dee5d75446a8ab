/** @file Learned subspaces on a model with a planted plane: each method finds it, and no placebo does. */
import { describe, expect, it } from "vitest";
import { learnSubspace } from "../../../src/analyses/subspaces/learn-subspace.js";
import type { Placebo, PlaceboKind, SubspaceMethod, SubspaceResult } from "../../../src/analyses/subspaces/request.js";
import { angleBetween, pairsWith, plantedModel, SITE, turnedFrame, unitFrame, WIDTH, type Frame } from "./planted-model.js";

const frame = turnedFrame(5);

async function learn(
  method: SubspaceMethod,
  { goal = "answer", planted = frame }: { goal?: "answer" | "difference"; planted?: Frame } = {},
): Promise<SubspaceResult> {
  return learnSubspace(plantedModel(planted), {
    site: { at: SITE },
    method,
    train: pairsWith(3, goal),
    validation: pairsWith(5, goal),
    test: pairsWith(7, goal),
    seed: 11,
    placeboSeeds: 3,
  });
}

function rowsOf({ found }: SubspaceResult): Float64Array[] {
  const { data, shape } = found.basis!;
  return Array.from({ length: shape[0]! }, (_, i) => Float64Array.from(data.subarray(i * WIDTH, (i + 1) * WIDTH)));
}

function placebos({ placebos: all }: SubspaceResult, kind: PlaceboKind): Placebo[] {
  const found = all.filter((placebo) => placebo.kind === kind);
  expect(found.length).toBeGreaterThan(0);
  return found;
}

function expectNothing(result: SubspaceResult, kinds: readonly PlaceboKind[]): void {
  for (const kind of kinds) for (const { iia } of placebos(result, kind)) expect(iia.share, kind).toBeLessThan(0.34);
}

describe("DAS", () => {
  it.each(["answer", "difference"] as const)("turns to the planted plane, from the %s", async (goal) => {
    const result = await learn({ kind: "das", dimension: 2 }, { goal });
    expect(angleBetween(rowsOf(result), frame.slice(0, 2))).toBeLessThan(1);
    expect(result.test.iia.share).toBe(1);
    expect(result.ceiling.iia.share).toBe(1);
    expect(result.floor.iia.share).toBe(0);
    expectNothing(result, ["random_subspace", "untrained", "shuffled_labels", "equal_norm"]);
    expect(result.history.length).toBeGreaterThan(2);
    expect(result.history[0]!.validation!.iia).toBeLessThan(0.34);
  });
});

describe("DCM", () => {
  it("keeps exactly the planted singular vectors", async () => {
    const result = await learn({ kind: "dcm", epochs: 3, l1: 0.5 }, { goal: "difference" });
    const { found } = result;
    expect(result.singularValues).toHaveLength(WIDTH);
    expect(found.rank).toBe(2);
    expect(angleBetween(rowsOf(result), frame.slice(0, 2))).toBeLessThan(0.01);
    expect(found.selected).toEqual([...found.mask!.keys()].filter((i) => found.mask![i]! >= 0.5));
    expect(result.test.iia.share).toBe(1);
    expectNothing(result, ["random_subspace", "random_components", "equal_norm"]);
    // It begins with all components, which is the whole vector here.
    expect(placebos(result, "untrained")[0]!).toMatchObject({ rank: WIDTH, iia: { share: 1 } });
  });
});

describe("DBM", () => {
  it("keeps exactly the planted units", async () => {
    const planted = unitFrame(7, 3);
    const result = await learn({ kind: "dbm", epochs: 10 }, { planted });
    expect(result.found.selected).toEqual([3, 7]);
    expect(result.found.basis).toBeUndefined();
    expect(result.test.iia.share).toBe(1);
    const last = result.history.at(-1)!;
    expect(last.temperature).toBeLessThan(0.012);
    expectNothing(result, ["random_subspace", "random_components", "shuffled_labels", "equal_norm"]);
  });
});
