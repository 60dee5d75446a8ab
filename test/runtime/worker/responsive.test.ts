/** @file The caller's thread is free while a model in a worker computes: its loop goes round as it pleases, and a signal is heard within a run. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import { writeModel } from "../../../src/training/checkpoint.js";
import { initialise } from "../../../src/training/initialise.js";
import { planModel } from "../../../src/training/plan-spec.js";

const LAYERS = 24;
const folder = mkdtempSync(join(tmpdir(), "sextant-deep-"));
const rows = [Array.from({ length: 200 }, (_, i) => (i * 7) % 50)];
let local: Model;
let remote: Model;

beforeAll(async () => {
  const config = { model_type: "gpt2", vocab_size: 50, n_positions: 512, n_embd: 64, n_layer: LAYERS, n_head: 4 };
  const parameters = initialise(planModel(config).spec, { seed: 1 });
  writeModel(folder, parameters, { config });
  [local, remote] = await Promise.all([loadModel(folder, { threads: 1 }), loadModel(folder, { threads: 1, worker: true })]);
});
afterAll(async () => {
  await Promise.all([local.close(), remote.close()]);
  rmSync(folder, { recursive: true });
});

/** How often the loop of this thread goes round while `work` is done. */
async function roundsDuring(work: () => Promise<unknown>): Promise<number> {
  let [rounds, isDone] = [0, false];
  const count = (): void => {
    rounds++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isDone = true;
  return rounds;
}

it("the caller's loop goes round far more often than there are blocks, which a local model holds it up for", async () => {
  await remote.forward({ tokens: rows });
  const [here, there] = [
    await roundsDuring(() => local.forward({ tokens: rows })),
    await roundsDuring(() => remote.forward({ tokens: rows })),
  ];
  expect(here).toBeLessThan(3 * LAYERS);
  expect(there).toBeGreaterThan(10 * LAYERS);
});

it("a signal that is aborted when the first block is done ends the run before the last", async () => {
  const controller = new AbortController();
  let blocks = 0;
  const onProgress = (): void => {
    if (++blocks === 1) controller.abort();
  };
  const run = remote.forward({ tokens: rows }, { onProgress, signal: controller.signal });
  await expect(run).rejects.toMatchObject({ kind: "interrupted" });
  expect(blocks).toBeLessThan(LAYERS);
  expect((await remote.forward({ tokens: rows })).lengths).toEqual([200]);
});

it("a signal ends the loading of a model, and its worker", async () => {
  const controller = new AbortController();
  const stages: string[] = [];
  const onProgress = ({ stage }: { stage: string }): void => {
    stages.push(stage);
    controller.abort(new Error("not this one"));
  };
  const loading = loadModel(folder, { worker: true, threads: 1, signal: controller.signal, onProgress });
  await expect(loading).rejects.toMatchObject({
    kind: "interrupted",
    message: "loading was interrupted",
    cause: { message: "not this one" },
  });
  expect(stages.length).toBeLessThan(LAYERS);
  const before = loadModel(folder, { worker: true, signal: AbortSignal.abort() });
  await expect(before).rejects.toMatchObject({ kind: "interrupted" });
});
