/**
 * @file A sweep gives what the naive loop gives, a full run of each counterfactual of each pair: for every tiny model, so for every
 * mechanism of every family, and for every kind of counterfactual, all of them in one sweep.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must } from "../../../src/base/errors.js";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import type { SweepRequest, SweepResult } from "../../../src/runtime/sweep/request.js";
import { SUBJECTS } from "../../parity/subjects.js";
import { everyKind, pairsFor } from "./cases.js";
import { compared, equality, MEASURES, METRICS, TOLERANCE, written } from "./compare.js";
import { naiveSweep, type NaiveSweep } from "./naive.js";

const DIRECTIONS = ["denoise", "noise"] as const;

describe.each(SUBJECTS.map(({ name, folder }, seed) => ({ name, folder, seed })))("$name", ({ folder, seed }) => {
  let model: Model;
  let request: SweepRequest;
  let swept: SweepResult;
  let naive: NaiveSweep;

  beforeAll(async () => {
    model = await loadModel(folder, { threads: 1, lazy: true });
    const pairs = pairsFor(model.spec, seed);
    const counterfactuals = await everyKind(model, pairs, seed);
    // Every other subject in the other direction.
    request = { pairs, counterfactuals, metrics: METRICS, direction: must(DIRECTIONS[seed % 2], "a direction") };
    swept = await model.sweep(request, { measures: MEASURES });
    naive = await naiveSweep(model, request);
  });
  afterAll(() => model.close());

  /** Every n-th counterfactual, from a place that is another one for each subject. */
  const every = (step: number): number[] => [...request.counterfactuals.keys()].filter((i) => (i + seed) % step === 0);

  it("a sweep of every kind of counterfactual equals the naive loop", () => {
    const { worst, first } = compared(request, swept, naive);
    expect(first).toBeUndefined();
    expect(worst).toBeLessThan(TOLERANCE);
  });

  it("so it does in the other direction", async () => {
    const counterfactuals = every(17).map((i) => request.counterfactuals[i]!);
    const direction = request.direction === "noise" ? "denoise" : "noise";
    expect((await equality(model, { ...request, counterfactuals, direction })).first).toBeUndefined();
  });

  it("a counterfactual and a metric alone are what they are in the crowd", async () => {
    for (const i of every(67)) {
      const counterfactual = request.counterfactuals[i]!;
      const alone = await model.sweep({ ...request, counterfactuals: [counterfactual], metrics: ["logit_diff"] });
      request.pairs.forEach((_, pair) => {
        const scale = Math.max(...naive.cells[i]![pair]!.logits.map(Math.abs));
        const crowd = swept.metrics["logit_diff"]!.values[i * request.pairs.length + pair]!;
        const off = Math.abs(alone.metrics["logit_diff"]!.values[pair]! - crowd) / scale;
        expect(off, `${written(counterfactual, i)}, pair ${pair}`).toBeLessThan(TOLERANCE);
      });
    }
  });

  it("most counterfactuals change what is measured, so that the equality says something", () => {
    const { clean, corrupted, values } = swept.metrics["slope"]!;
    const unedited = request.direction === "noise" ? clean : must(corrupted, "the corrupted runs");
    const same = values.filter((value, i) => value === unedited[i % unedited.length]).length;
    expect(same / values.length).toBeLessThan(0.35);
  });
});
