/**
 * @file A sweep in parts: the parts give what one gives, what cannot change is not run, an interrupted sweep goes on where it was to the
 * last bit, and the forecast says beforehand what it will be.
 */
import { afterAll, describe, expect, it } from "vitest";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import type { Counterfactual, SweepOptions, SweepPart, SweepRequest, SweepResult } from "../../../src/runtime/sweep/request.js";
import { FIXTURE_FOLDERS, modelShelf } from "../../parity/subjects.js";
import { fixture } from "../support.js";
import { everyKind, pairsFor, randomPair } from "./cases.js";
import { equality, MEASURES, METRICS } from "./compare.js";

const shelf = modelShelf();
afterAll(shelf.close);

/** The least that a sweep works in: 64 rows, however little it is given. */
const TINY: SweepOptions = { memoryBudget: 1, measures: { ...MEASURES, size: (logits) => Math.max(...logits.map(Math.abs)) } };
const CONTINUOUS = ["logit_diff", "log_prob", "prob", "kl", "slope"];

/** Of the largest |logit|: products of other sizes sum in another order. Seen are up to 8e-7. */
const PARTS_TOLERANCE = 2e-6;

/** Every n-th counterfactual of every kind. */
async function requestFor(model: Model, step: number): Promise<SweepRequest> {
  const pairs = pairsFor(model.spec, 4);
  const counterfactuals = (await everyKind(model, pairs, 4)).filter((_, i) => i % step === 0);
  return { pairs, counterfactuals, metrics: METRICS };
}

/** Every number of a result. */
function numbersOf({ metrics }: SweepResult): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(metrics).flatMap(([name, { clean, corrupted = [], values }]) => [
      [name, [...values]],
      [`${name} of the unedited runs`, [...clean, ...corrupted]],
    ]),
  );
}

describe.each(FIXTURE_FOLDERS)("$name", ({ folder }) => {
  it("in many parts it gives what it gives in one", async () => {
    const model = await shelf.open(folder);
    const request = { ...(await requestFor(model, 5)), metrics: [...CONTINUOUS, "size"] };
    const parts: SweepPart[] = [];
    const many = await model.sweep(request, { ...TINY, onPart: (part) => parts.push(part) });
    const one = await model.sweep(request, { ...TINY, memoryBudget: 1 << 28 });
    expect(parts.map(({ index }) => index)).toEqual(Array.from({ length: many.cost.forecast.parts }, (_, index) => index));
    expect([many.cost.forecast.parts > 8, one.cost.forecast.parts]).toEqual([true, 1]);
    for (const name of CONTINUOUS) {
      many.metrics[name]!.values.forEach((value, i) => {
        const off = Math.abs(value - one.metrics[name]!.values[i]!) / one.metrics["size"]!.values[i]!;
        expect(off, `${name} of cell ${i}`).toBeLessThan(PARTS_TOLERANCE);
      });
    }
  });

  it("in many parts it equals the naive loop", async () => {
    const model = await shelf.open(folder);
    expect(await equality(model, await requestFor(model, 23), { memoryBudget: 1 })).toMatchObject({ first: undefined });
  });
});

describe("an interrupted sweep", () => {
  const open = (): Promise<Model> => shelf.open(fixture("gemma3-old-style"));

  it("goes on with the parts that it has, and is then the same to the last bit, wherever it was interrupted", async () => {
    const model = await open();
    const request = await requestFor(model, 13);
    const whole = await model.sweep(request, TINY);
    const total = whole.cost.forecast.parts;
    expect(total).toBeGreaterThan(6);
    for (let count = 0; count < total; count++) {
      const kept = await interrupted(model, request, count);
      expect(kept.map(({ index }) => index)).toEqual(Array.from({ length: count }, (_, index) => index));
      const fresh: number[] = [];
      const done: number[] = [];
      const resumed = await model.sweep(request, {
        ...TINY,
        done: JSON.parse(JSON.stringify(kept)) as SweepPart[],
        onPart: ({ index }) => fresh.push(index),
        onProgress: (progress) => done.push(progress.done / progress.total),
      });
      expect(numbersOf(resumed)).toEqual(numbersOf(whole));
      expect(fresh).toEqual(Array.from({ length: total - count }, (_, i) => count + i));
      expect(Math.min(...done)).toBeGreaterThan(count / total - 1e-9);
      if (count > 0) expect(resumed.cost.flops).toBeLessThan(whole.cost.flops);
    }
  });

  it("may have any parts, in any order; with all of them nothing is run", async () => {
    const model = await open();
    const request = await requestFor(model, 13);
    const parts: SweepPart[] = [];
    const whole = await model.sweep(request, { ...TINY, onPart: (part) => parts.push(part) });
    const fresh: number[] = [];
    const some = parts.filter(({ index }) => index % 3 !== 1).toReversed();
    const mended = await model.sweep(request, { ...TINY, done: some, onPart: ({ index }) => fresh.push(index) });
    expect(numbersOf(mended)).toEqual(numbersOf(whole));
    expect(fresh).toEqual(parts.map(({ index }) => index).filter((index) => index % 3 === 1));
    const nothing = await model.sweep(request, { ...TINY, done: parts, onPart: ({ index }) => fresh.push(index) });
    expect(numbersOf(nothing)).toEqual(numbersOf(whole));
    expect([nothing.cost.flops, fresh.length]).toEqual([0, parts.filter(({ index }) => index % 3 === 1).length]);
  });

  it("refuses parts of another sweep, or of another split", async () => {
    const model = await open();
    const request = await requestFor(model, 13);
    const parts: SweepPart[] = [];
    await model.sweep(request, { ...TINY, onPart: (part) => parts.push(part) });
    const [first, second] = parts as [SweepPart, SweepPart];
    const said = (done: readonly SweepPart[], options: SweepOptions = TINY): Promise<unknown> =>
      model.sweep(request, { ...options, done }).then(
        () => "it was run",
        (error: unknown) => (error as Error).message,
      );
    const other = (part: number): string => `done: part ${part} is of another sweep, or of this one with another memoryBudget`;
    expect(await said([{ ...first, values: first.values.slice(1) }])).toBe(other(0));
    expect(await said([{ ...second, clean: [] }])).toBe(other(1));
    expect(await said([{ ...second, corrupted: [] }])).toBe(other(1));
    expect(await said([{ ...first, values: first.values.map(() => null as unknown as number) }])).toBe(other(0));
    expect(await said([{ ...first, index: parts.length }])).toBe(other(parts.length));
    expect(await said([{ ...first, index: -1 }])).toBe(other(-1));
    expect(await said([first], { ...TINY, memoryBudget: 1 << 28 })).toBe(other(0));
    expect(await said([first])).toBe("it was run");
  });
});

/** The parts of a sweep that is stopped as soon as it has so many. */
async function interrupted(model: Model, request: SweepRequest, count: number): Promise<SweepPart[]> {
  const stop = new AbortController();
  const parts: SweepPart[] = [];
  if (count === 0) stop.abort();
  const onPart = (part: SweepPart): void => {
    parts.push(part);
    if (parts.length === count) stop.abort();
  };
  await expect(model.sweep(request, { ...TINY, signal: stop.signal, onPart })).rejects.toMatchObject({ kind: "interrupted" });
  return parts;
}

describe("cells that cannot change anything", () => {
  const positions = Array.from({ length: 9 }, (_, position) => position);
  const at = (address: string): Counterfactual[] =>
    positions.map((position) => ({ edits: [{ at: address, op: "patch", positions: [position] }] }));

  it("are those in front of the first token that differs, and have the unedited run's values to the last bit", async () => {
    const model = await shelf.open(fixture("gpt2-hub-names"));
    const pair = randomPair(model.spec, { length: 9, diff: 4, seed: 8 });
    const request: SweepRequest = { pairs: [pair], counterfactuals: at("resid_post.0"), metrics: METRICS };
    const { metrics, cost } = await model.sweep(request, TINY);
    expect(cost.forecast).toMatchObject({ cells: 9, unchanged: 4 });
    for (const { values, corrupted } of [metrics["kl"]!, metrics["slope"]!, metrics["logit_diff"]!])
      expect(positions.map((position) => values[position] === corrupted![0])).toEqual(positions.map((position) => position < 4));
  });

  it("are, in front of the first block, those of equal tokens anywhere", async () => {
    const model = await shelf.open(fixture("gpt2-hub-names"));
    const { clean, ...pair } = randomPair(model.spec, { length: 9, diff: 4, seed: 8 });
    const corrupted = clean.map((token, position) => (position === 2 || position === 6 ? (token + 1) % 61 : token));
    for (const address of ["resid_pre.0", "embed", "resid_pre.1"]) {
      const request: SweepRequest = { pairs: [{ ...pair, clean, corrupted }], counterfactuals: at(address), metrics: ["slope"] };
      const { metrics, cost } = await model.sweep(request, TINY);
      const isEqual = (position: number): boolean => (address === "resid_pre.1" ? position < 2 : position !== 2 && position !== 6);
      const { values, corrupted: unedited } = metrics["slope"]!;
      expect(positions.map((position) => values[position] === unedited![0])).toEqual(positions.map(isEqual));
      expect(cost.forecast.unchanged).toBe(positions.filter(isEqual).length);
    }
  });

  it("are all of them where both prompts are one", async () => {
    const model = await shelf.open(fixture("gpt2-hub-names"));
    const { clean, ...pair } = randomPair(model.spec, { length: 9, diff: 4, seed: 8 });
    const request: SweepRequest = { pairs: [{ ...pair, clean, corrupted: clean }], counterfactuals: at("z.1"), metrics: ["kl", "slope"] };
    const { metrics, cost } = await model.sweep(request, TINY);
    expect(cost.forecast.unchanged).toBe(9);
    expect(new Set([...metrics["slope"]!.values, ...metrics["slope"]!.clean]).size).toBe(1);
    expect([...metrics["kl"]!.values]).toEqual(positions.map(() => 0));
  });
});

describe("the forecast", () => {
  it("is what the sweep then says of itself: cells, those unchanged, parts", async () => {
    const model = await shelf.open(fixture("gpt-oss-yarn-old-style"));
    const request = await requestFor(model, 11);
    for (const options of [TINY, { ...TINY, memoryBudget: 1 << 20 }]) {
      let parts = 0;
      const { ms: _, ...said } = model.forecastSweep(request, options);
      const { cost } = await model.sweep(request, { ...options, onPart: () => parts++ });
      expect(cost.forecast).toMatchObject(said);
      expect([said.cells, said.parts]).toEqual([request.counterfactuals.length * request.pairs.length, parts]);
    }
  });

  const GRIDS: Readonly<Record<string, (model: Model) => Counterfactual[]>> = {
    "the stream": ({ spec }) =>
      spec.layers.flatMap((_, layer) =>
        range(10).map((position) => ({ edits: [{ at: `resid_pre.${layer}`, op: "patch", positions: [position] } as const] })),
      ),
    heads: ({ spec }) =>
      spec.layers.flatMap(({ attention }, layer) =>
        range(attention.heads).map((head) => ({ edits: [{ at: `z.${layer}`, op: "patch", heads: [head] } as const] })),
      ),
    "cut edges": ({ spec }) =>
      spec.layers.flatMap(({ attention }, layer) =>
        range(attention.heads).flatMap((head) =>
          range(2).map((i) => {
            const cut = { at: `attn_scores.${layer}`, op: "knockout", heads: [head], queries: ["end"], keys: [9 - i] } as const;
            return { edits: [cut] };
          }),
        ),
      ),
  };

  it.each(FIXTURE_FOLDERS.flatMap(({ name, folder }) => Object.keys(GRIDS).map((grid) => ({ name, folder, grid }))))(
    "of arithmetic is within 15 % of what $name takes for $grid",
    async ({ folder, grid }) => {
      const model = await shelf.open(folder);
      const pair = randomPair(model.spec, { length: 10, diff: 1, seed: 2 });
      const { cost } = await model.sweep({ pairs: [pair, pair], counterfactuals: GRIDS[grid]!(model), metrics: ["logit_diff"] });
      expect(cost.forecast.flops / cost.flops).toBeGreaterThan(0.85);
      // That a window lets a change reach few positions is not forecast.
      expect(cost.forecast.flops / cost.flops).toBeLessThan(model.spec.layers.some(({ attention }) => attention.window) ? 1.3 : 1.15);
      expect(cost.forecast.naiveFlops).toBeGreaterThan(cost.flops);
    },
  );

  it("of arithmetic knows that parts begin in the layer that they change, and so does the sweep", async () => {
    const model = await shelf.open(fixture("gemma3-old-style"));
    const pair = randomPair(model.spec, { length: 10, diff: 1, seed: 2 });
    const heads = model.spec.layers.flatMap(({ attention }, layer) => range(attention.heads).map((head) => ({ layer, head })));
    const counterfactuals = heads.flatMap(({ layer, head }): Counterfactual[] =>
      range(9).map((i) => ({ edits: [{ at: `z.${layer}`, op: "patch", heads: [head], positions: [i + 1] }] })),
    );
    const { cost } = await model.sweep({ pairs: [pair], counterfactuals, metrics: ["logit_diff"] }, TINY);
    expect(cost.forecast.parts).toBeGreaterThan(10);
    expect(cost.flops / cost.forecast.flops).toBeGreaterThan(0.85);
    expect(cost.flops / cost.forecast.flops).toBeLessThan(1.05);
  });

  it("refuses what the memory does not hold, and says how to go on", async () => {
    const model = await loadModel(fixture("gpt2-hub-names"), { threads: 1, lazy: true, memoryLimit: 300_000 });
    const request = await requestFor(await shelf.open(fixture("gpt2-hub-names")), 29);
    await expect(model.sweep(request, { ...TINY, memoryBudget: 1 << 20 })).rejects.toMatchObject({
      kind: "memory",
      refusal: { instead: expect.stringContaining("memoryBudget") },
    });
    await expect(model.sweep(request, TINY)).resolves.toBeDefined();
    await model.close();
  });
});

describe("progress", () => {
  it("rises and ends with everything done, in one part and in many", async () => {
    const model = await shelf.open(fixture("gemma3-old-style"));
    const request = await requestFor(model, 11);
    for (const memoryBudget of [1, 1 << 28]) {
      const steps: number[] = [];
      const totals = new Set<number>();
      const onProgress: SweepOptions["onProgress"] = ({ stage, done, total }) => {
        expect(stage).toBe("sweep");
        steps.push(done);
        totals.add(total);
      };
      await model.sweep(request, { ...TINY, memoryBudget, onProgress });
      expect(steps).toEqual(steps.toSorted((a, b) => a - b));
      expect([...totals]).toEqual([steps.at(-1)]);
    }
  });
});

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
