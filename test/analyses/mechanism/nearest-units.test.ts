/** @file Units near a vector: planted ones found exactly, both pools in plain loops, and a control that finds nothing. */
import { describe, expect, test } from "vitest";
import { nearestUnits, randomTopCosines, type NearestUnitsRequest } from "../../../src/analyses/mechanism/nearest-units.js";
import { cosineOf, numbers, plant, row, SIZES, smallModel, type SmallModel } from "./small-weights.js";

const { dModel, layers, units } = SIZES;
const PROBES = Array.from({ length: layers }, (_, layer) => numbers(dModel, 100 + layer));

/** What plain loops find; `lowest` for the antipode. */
function naive({ weights }: SmallModel, request: NearestUnitsRequest, lowest = false): string[] {
  const sign = lowest ? -1 : 1;
  const found: { place: string; score: number }[] = [];
  for (const probe of request.layers) {
    for (let layer = 0; layer <= probe; layer++) {
      if (request.pool === "same_layer" && layer !== probe) continue;
      const scored = Array.from({ length: units }, (_, unit) => ({
        place: `${layer}.${unit}`,
        score: sign * cosineOf(row(weights.down(layer), unit), [...PROBES[probe]!]),
      }));
      found.push(...scored.toSorted((a, b) => b.score - a.score).slice(0, request.perLayer));
    }
  }
  const order = found.toSorted((a, b) => b.score - a.score).map(({ place }) => place);
  return [...new Set(order)].slice(0, request.count);
}

describe("nearestUnits", () => {
  const request = { probes: PROBES, layers: [1, 2, 3], perLayer: 6 } as const;

  test.each([
    { ...request, pool: "same_layer" },
    { ...request, pool: "all_below" },
    { ...request, pool: "all_below", count: 11 },
    { ...request, pool: "all_below", layers: [2] },
    { ...request, pool: "same_layer", perLayer: 1000, layers: [3, 0] },
  ] as const)("finds what plain loops find: $pool, layers $layers, count $count", async (asked) => {
    const model = smallModel(11);
    for (const side of ["probe", "antipode"] as const) {
      const found = await nearestUnits(model.weights, model.spec, { ...asked, side });
      expect(found.map(({ layer, unit }) => `${layer}.${unit}`)).toEqual(naive(model, asked, side === "antipode"));
      for (const { layer, unit, cosine, probe } of found)
        expect(cosine).toBeCloseTo(cosineOf(row(model.weights.down(layer), unit), PROBES[probe]!), 10);
    }
  });

  test("puts planted units first, by their cosine and not by their length, each once with the probe that it is nearest to", async () => {
    const model = smallModel(12);
    const [p2, p3] = [PROBES[2]!, PROBES[3]!];
    plant(model.weights.down(0), 7, p3.map((value) => value / 1000)); // prettier-ignore
    plant(model.weights.down(2), 30, p2.map((value, i) => value + 0.2 * p3[i]!)); // prettier-ignore
    plant(model.weights.down(3), 5, p3.map((value) => -value)); // prettier-ignore
    const below = await nearestUnits(model.weights, model.spec, { ...request, pool: "all_below" });
    expect(below.slice(0, 2)).toMatchObject([
      { layer: 0, unit: 7, probe: 3 },
      { layer: 2, unit: 30, probe: 2 },
    ]);
    expect(below[0]!.cosine).toBeCloseTo(1, 6);
    expect(new Set(below.map(({ layer, unit }) => `${layer}.${unit}`)).size).toBe(below.length);
    const same = await nearestUnits(model.weights, model.spec, { ...request, pool: "same_layer" });
    expect(same).toHaveLength(18);
    expect(same[0]).toMatchObject({ layer: 2, unit: 30 });
    expect(same).not.toContainEqual(expect.objectContaining({ layer: 0 }));
    const [farthest] = await nearestUnits(model.weights, model.spec, { ...request, pool: "same_layer", side: "antipode", count: 1 });
    expect(farthest).toMatchObject({ layer: 3, unit: 5 });
    expect(farthest!.cosine).toBeCloseTo(-1, 6);
  });

  test("passes over units that write nothing, and reads each layer once", async () => {
    const model = smallModel(13);
    plant(model.weights.down(1), 0, Array.from({ length: dModel }, () => 0)); // prettier-ignore
    model.reads.down = 0;
    const found = await nearestUnits(model.weights, model.spec, { ...request, perLayer: units, pool: "all_below" });
    expect(found).toHaveLength(4 * units - 1);
    expect(model.reads.down).toBe(4);
  });

  test("refuses layers without a vector, vectors of another width and counts that are none", async () => {
    const { weights, spec } = smallModel(14);
    const run = (change: Partial<NearestUnitsRequest>): Promise<unknown> =>
      nearestUnits(weights, spec, { ...request, pool: "same_layer", ...change });
    await expect(run({ layers: [4] })).rejects.toThrow("layer 4 is not one of the model's 4");
    await expect(run({ layers: [] })).rejects.toThrow("layers must name one layer or more");
    await expect(run({ probes: [undefined, [1]] })).rejects.toThrow("probes[1] must have 24 coordinates, got 1");
    await expect(run({ probes: [], layers: [0] })).rejects.toThrow("probes[0] must have 24 coordinates, got none");
    await expect(run({ probes: PROBES.map(() => new Float32Array(dModel)) })).rejects.toThrow("must be finite and not zero");
    await expect(run({ perLayer: 0 })).rejects.toThrow("perLayer must be a whole number above 0, got 0");
    await expect(run({ count: 1.5 })).rejects.toThrow("count must be a whole number above 0, got 1.5");
  });
});

describe("randomTopCosines", () => {
  const request = { probes: PROBES, layers: [1, 2, 3], perLayer: 6, pool: "all_below", seed: 3, repeats: 40 } as const;

  test("finds nothing: where no unit is planted the nearest is as near as those of random directions", async () => {
    const model = smallModel(21);
    const control = await randomTopCosines(model.weights, model.spec, request);
    const [nearest] = await nearestUnits(model.weights, model.spec, { ...request, count: 1 });
    expect(control).toHaveLength(40);
    expect(control).toEqual(control.toSorted((a, b) => a - b));
    expect(nearest!.cosine).toBeGreaterThan(control[0]!);
    expect(nearest!.cosine).toBeLessThan(control[39]!);
  });

  test("a planted unit lies beyond all of them, at its own end only", async () => {
    const model = smallModel(22);
    plant(model.weights.down(1), 9, PROBES[1]!.map((value) => -value)); // prettier-ignore
    const low = { ...request, side: "antipode" } as const;
    const [lowest] = await nearestUnits(model.weights, model.spec, { ...low, count: 1 });
    expect(lowest!.cosine).toBeLessThan((await randomTopCosines(model.weights, model.spec, low))[0]! - 0.1);
    const [highest] = await nearestUnits(model.weights, model.spec, { ...request, count: 1 });
    expect(highest!.cosine).toBeLessThan((await randomTopCosines(model.weights, model.spec, request)).at(-1)!);
  });

  test("depends on the seed and on nothing else: not on the length of the probes, nor on the sets beside it", async () => {
    const { weights, spec } = smallModel(23);
    const long = PROBES.map((probe) => probe.map((value) => 50 * value));
    const control = await randomTopCosines(weights, spec, request);
    expect(await randomTopCosines(weights, spec, { ...request, probes: long })).toEqual(control);
    expect(await randomTopCosines(weights, spec, { ...request, seed: 4 })).not.toEqual(control);
    for (const cosine of await randomTopCosines(weights, spec, { ...request, repeats: 3 })) expect(control).toContain(cosine);
  });
});
