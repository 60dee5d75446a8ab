/**
 * @file Models larger than the memory they may take: they give the bits of resident ones, sessions stay within the plan, the memory of a process
 * of its own is measured, and what goes wrong on the way ends the run that it belongs to.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { platform, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, describe, expect, it, test, vi } from "vitest";
import { makeGrid } from "../../src/analyses/sweeps/grid.js";
import { must } from "../../src/base/errors.js";
import { buildUnembedding } from "../../src/models/block.js";
import { vocabSlices } from "../../src/models/vocab-slices.js";
import type { Edit } from "../../src/runtime/edit.js";
import { weightBytes } from "../../src/runtime/forecast.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import type { Model, Progress } from "../../src/runtime/model.js";
import { forecastMemory, leastMemory, residenceWithin } from "../../src/runtime/residence.js";
import { SessionPool } from "../../src/runtime/session-pool.js";
import { writeLlama } from "./made-llama.js";
import type { Said } from "./streamed-run.js";
import { rowsOf } from "./support.js";

const models: Model[] = [];
const folder = mkdtempSync(join(tmpdir(), "sextant-streamed-"));
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(models.splice(0).map((model) => model.close()));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Six layers of 0.39 MB and an unembedding of 1.5 MB, which is cut into slices. */
const SIZES = { layers: 6, dModel: 128, dMlp: 128, vocab: 3001 };
writeLlama(folder, SIZES);

function specOf(path: string): ReturnType<typeof readSpec>["spec"] {
  const { spec, checkpoint } = readSpec(path);
  checkpoint.close();
  return spec;
}

async function opened(memoryLimit?: number, path = folder): Promise<Model> {
  const model = await loadModel(path, { threads: 1, ...(memoryLimit !== undefined && { memoryLimit }) });
  models.push(model);
  return model;
}

const MB = 1e6;

describe("what stays", () => {
  const spec = specOf(folder);

  test("is everything where all weights fit, and nothing is planned where not even the largest part does", () => {
    expect(residenceWithin(spec, weightBytes(spec))).toBeUndefined();
    expect(residenceWithin(spec, weightBytes(spec) - 1)).toBeDefined();
    expect(residenceWithin(spec, leastMemory(spec))).toBeDefined();
    expect(residenceWithin(spec, leastMemory(spec) - 1)).toBeUndefined();
  });

  test("is more the more memory there is: the first blocks, then slices of the unembedding", () => {
    const plans = [leastMemory(spec), 2 * MB, 3 * MB, 4 * MB, weightBytes(spec) - 1].map((limit) =>
      must(residenceWithin(spec, limit), "a plan"),
    );
    const kept = plans.map(({ blocks, keptSlices }) => blocks + keptSlices);
    expect(kept).toEqual(kept.toSorted((a, b) => a - b));
    expect(plans[0]).toMatchObject({ blocks: 0, keptSlices: 0 });
    expect(plans.at(-1)!.blocks).toBeGreaterThan(3);
    expect(plans.every(({ slices }) => slices > 2)).toBe(true);
  });

  test("is forecast with the bytes that a pass reads: of all blocks and the unembedding where nothing stays", () => {
    const { checkpoint } = readSpec(folder);
    const { dModel: d, dMlp, vocab, layers } = SIZES;
    const block = d * d * 3 + 3 * d * dMlp + 2 * d;
    const forecast = forecastMemory(spec, checkpoint.tensors);
    expect(forecast).toMatchObject({
      resident: weightBytes(spec),
      least: leastMemory(spec),
      readPerPass: 4 * (layers * block + vocab * d),
    });
    expect(forecastMemory(spec, checkpoint.tensors, 3 * MB).readPerPass).toBeLessThan(forecast.readPerPass);
    expect(forecastMemory(spec, checkpoint.tensors, 1e12)).toEqual({ ...forecast, readPerPass: 0, residence: undefined });
    checkpoint.close();
  });

  test("slices of the unembedding are its rows, each once", () => {
    const slices = vocabSlices(spec, 7);
    expect(slices.map(({ from }) => from)).toEqual([0, 429, 858, 1287, 1716, 2145, 2574]);
    expect(slices.reduce((sum, slice) => sum + slice.spec.vocabOut, 0)).toBe(3001);
    const [weight] = buildUnembedding(slices[6]!.spec).weights.values();
    expect(weight).toMatchObject({ name: "lm_head.weight", shape: [427, 128], offset: 2574 * 128 });
    expect(vocabSlices(spec, 1)).toEqual([{ from: 0, spec }]);
  });
});

describe.each([
  ["the least memory", (least: number) => least],
  ["memory for some blocks", () => 3 * MB],
])("with %s", (_, limitOf) => {
  const limit = (): number => limitOf(leastMemory(specOf(folder)));

  it("gives what the resident model gives, and sessions stay within the plan", async () => {
    const resident = await opened();
    const opens = vi.spyOn(SessionPool.prototype, "open");
    const streamed = await opened(limit());
    const pool = must(opens.mock.contexts[0], "the pool") as SessionPool;
    const room = must(residenceWithin(streamed.spec, limit()), "a plan").room;
    let most = 0;
    const onProgress = (): void => void (most = Math.max(most, pool.bytes));
    const edits = streamed.spec.layers.flatMap((__, layer): Edit[] => [
      { at: `z.${layer}`, op: "scale", by: 0.5 },
      { at: `mlp_out.${layer}`, op: "scale", by: 2 },
    ]);
    const read = ["resid_post.*"];
    for (const request of [
      { tokens: rowsOf(5), read },
      { tokens: rowsOf(5), read, edits },
      { tokens: rowsOf(3, 6, 1), read },
    ]) {
      const [ours, theirs] = [await streamed.forward(request, { onProgress }), await resident.forward(request)];
      expect(ours.logits).toEqual(theirs.logits);
      expect(ours.activations).toEqual(theirs.activations);
    }
    const longer = { tokens: rowsOf(4, 2), maxNew: 3, stopTokens: [], logits: true };
    const [ours, theirs] = [await streamed.generate(longer, { onProgress }), await resident.generate(longer)];
    expect([ours.tokens, ours.logits]).toEqual([theirs.tokens, theirs.logits]);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(room);
  });

  it("sweeps and takes gradients; only sums over slices of the unembedding may round otherwise", async () => {
    const [resident, streamed] = [await opened(), await opened(1.5 * limit())];
    const [clean = [], corrupted = []] = rowsOf(4, 4);
    const pairs = [{ clean, corrupted, answer: 3, wrong: 7 }];
    const { counterfactuals } = makeGrid(streamed.spec, pairs, { point: "resid_pre", by: [] });
    const sweep = { pairs, counterfactuals, metrics: ["logit_diff", "kl"] as const };
    const budget = { memoryBudget: 1 };
    expect((await streamed.sweep(sweep, budget)).metrics).toEqual((await resident.sweep(sweep, budget)).metrics);
    const few = { tokens: [clean], of: "logits[-1,3]-logits[-1,7]", at: ["z.*", "resid_pre.0"] };
    expect((await streamed.gradient(few)).gradients).toEqual((await resident.gradient(few)).gradients);
    const all = { ...few, of: "logprobs[-1,3]" };
    const [ours, theirs] = [(await streamed.gradient(all)).gradients, (await resident.gradient(all)).gradients];
    // Float32 sums of 3001 terms, in other groups. Seen: 7.7e-7 of the largest.
    for (const [address, { data }] of Object.entries(theirs)) {
      const largest = data.reduce((most: number, value) => Math.max(most, Math.abs(value)), 0);
      data.forEach((value, i) => expect(Math.abs(ours[address]!.data[i]! - value)).toBeLessThan(1e-5 * largest));
    }
  });
});

describe("what goes wrong on the way", () => {
  it("an interruption is heard between blocks, and the model runs on afterwards", async () => {
    const streamed = await opened(leastMemory(specOf(folder)));
    const before = await streamed.forward({ tokens: rowsOf(5) });
    const controller = new AbortController();
    const seen: number[] = [];
    const onProgress = ({ done }: Progress): void => {
      seen.push(done);
      if (done === 2) controller.abort();
    };
    await expect(streamed.forward({ tokens: rowsOf(5) }, { signal: controller.signal, onProgress })).rejects.toMatchObject({
      kind: "interrupted",
    });
    expect(seen).toEqual([1, 2]);
    expect((await streamed.forward({ tokens: rowsOf(5) })).logits).toEqual(before.logits);
  });

  it("a model is closed in good order while weights are being read ahead", async () => {
    const streamed = await opened(leastMemory(specOf(folder)));
    const controller = new AbortController();
    const onProgress = ({ done }: Progress): void => (done === 2 ? controller.abort() : undefined);
    const run = streamed.forward({ tokens: rowsOf(5) }, { signal: controller.signal, onProgress });
    await Promise.all([expect(run).rejects.toMatchObject({ kind: "interrupted" }), streamed.close()]);
    await expect(streamed.forward({ tokens: rowsOf(5) })).rejects.toMatchObject({ kind: "usage" });
  });

  it("a file that was shortened ends the run that needs it, and no other", async () => {
    const shortened = mkdtempSync(join(tmpdir(), "sextant-shortened-"));
    writeLlama(shortened, SIZES);
    const file = join(shortened, "model.safetensors");
    const streamed = await opened(leastMemory(specOf(shortened)), shortened);
    truncateSync(file, Math.floor(statSync(file).size * 0.9));
    const early = { tokens: rowsOf(5), read: ["resid_post.1"], logits: false } as const;
    expect((await streamed.forward(early)).activations["resid_post.1"]!.shape).toEqual([1, 5, 128]);
    await expect(streamed.forward({ tokens: rowsOf(5) })).rejects.toMatchObject({ kind: "file" });
    expect((await streamed.forward(early)).activations["resid_post.1"]!.shape).toEqual([1, 5, 128]);
    rmSync(shortened, { recursive: true });
  });

  it("too little memory is refused with what would do", async () => {
    const least = leastMemory(specOf(folder));
    await expect(loadModel(folder, { memoryLimit: 0.5 * least })).rejects.toMatchObject({
      kind: "memory",
      refusal: { instead: expect.stringContaining("block by block") },
    });
  });
});

describe.skipIf(platform() !== "linux")("a process with a budget of 100 MB for 235 MB of weights", () => {
  const [BUDGET, SLACK] = [100 * MB, 10 * MB];
  const run = promisify(execFile);
  const program = fileURLToPath(new URL("streamed-run.ts", import.meta.url));
  const large = mkdtempSync(join(tmpdir(), "sextant-large-"));
  afterAll(() => rmSync(large, { recursive: true }));

  /** glibc is told to give freed memory back: otherwise it keeps some, and how much hangs on chance. */
  async function saidBy(path: string, limit?: number): Promise<Said> {
    const env = { ...process.env, MALLOC_TRIM_THRESHOLD_: "131072" };
    const { stdout } = await run(process.execPath, ["--import", "tsx", program, path, ...(limit ? [String(limit)] : [])], { env });
    return JSON.parse(stdout) as Said;
  }

  it("computes the bits of the resident model in that memory, beyond what the process takes without weights", async () => {
    writeLlama(large, { layers: 16, dModel: 512, dMlp: 1536, vocab: 8192 });
    expect(weightBytes(specOf(large))).toBeGreaterThan(2 * BUDGET);
    const small = mkdtempSync(join(tmpdir(), "sextant-small-"));
    writeLlama(small, { layers: 16, dModel: 16, dMlp: 16, vocab: 64 });
    const [without, resident] = await Promise.all([saidBy(small), saidBy(large)]);
    rmSync(small, { recursive: true });
    const streamed = await saidBy(large, BUDGET);
    expect(streamed.results).toEqual(resident.results);
    expect(resident.peak - without.peak).toBeGreaterThan(2 * BUDGET);
    expect(streamed.peak - without.peak).toBeLessThan(BUDGET + SLACK);
  });
});
