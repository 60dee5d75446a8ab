/**
 * @file A worker that dies takes nothing with it but its model: the calls under way and those to come fail with the reason, the process and other
 * models go on, and nothing of a worker keeps a process from ending.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { loadModel } from "../../../src/runtime/load.js";
import type { Model } from "../../../src/runtime/model.js";
import { loadInWorker } from "../../../src/runtime/worker/open-worker.js";
import { bitsOf } from "../bits.js";
import { fixture, rowsOf } from "../support.js";

const GPT2 = fixture("gpt2-hub-names");
const PROGRAM = new URL("dying-worker.mjs", import.meta.url);
/** Enough for the model, and soon full. */
const LIMITS = { maxOldGenerationSizeMb: 64 };

const openMortal = (): Promise<Model> => loadInWorker(GPT2, {}, () => new Worker(PROGRAM, { resourceLimits: LIMITS }));

const ENDS = [
  {
    how: "process.exit",
    token: 10,
    kind: "internal",
    message: "the model is lost: its worker failed: it ended with exit code 3. Instead: load it again",
  },
  {
    how: "an exception",
    token: 11,
    kind: "internal",
    message: "the model is lost: its worker failed: the thread is done for. Instead: load it again",
  },
  {
    how: "a rejection",
    token: 12,
    kind: "internal",
    message: "the model is lost: its worker failed: nobody caught this. Instead: load it again",
  },
  {
    how: "a full heap",
    token: 13,
    kind: "memory",
    message: "the model is lost: its worker ran out of memory. Instead: load it again, and ask for fewer or shorter rows",
  },
] as const;

it.each(ENDS)("$how ends every call of the model, and nothing else", async ({ token, kind, message }) => {
  const [mortal, other] = await Promise.all([openMortal(), loadModel(GPT2, { worker: true, threads: 1 })]);
  expect((await mortal.forward({ tokens: rowsOf(4) })).lengths).toEqual([4]);
  const expected = expect.objectContaining({ name: "SextantError", kind, message }) as unknown;
  const calls = [
    mortal.forward({ tokens: [[token]] }),
    mortal.forward({ tokens: rowsOf(3) }),
    mortal.generate({ tokens: rowsOf(3), maxNew: 4 }),
    mortal.runUntil("z.0", { tokens: rowsOf(3) }),
  ];
  const running = other.generate({ tokens: rowsOf(5, 3), maxNew: 9, stopTokens: [] });
  const ends = await Promise.allSettled(calls);
  expect(ends[0]).toEqual({ status: "rejected", reason: expected });
  // What the worker had answered before it died was answered.
  for (const end of ends.slice(1)) if (end.status === "rejected") expect(end.reason).toEqual(expected);
  await expect(mortal.gradient({ tokens: rowsOf(3), of: "logits[-1,5]", at: ["z.0"] })).rejects.toEqual(expected);
  expect(mortal.forecast({ tokens: rowsOf(3) }).flops).toBeGreaterThan(0);
  await mortal.close();
  await mortal.close();
  expect((await running).tokens.map((row) => row.length)).toEqual([9, 9]);
  await other.close();
});

it("a worker that cannot begin is an error of loading", async () => {
  const start = (): Worker => new Worker("throw new Error('no beginning')", { eval: true });
  await expect(loadInWorker(GPT2, {}, start)).rejects.toMatchObject({
    kind: "internal",
    message: expect.stringContaining("no beginning") as string,
  });
});

it("what a worker gave is still there when the worker is not", async () => {
  const [model, local] = await Promise.all([loadModel(GPT2, { worker: true, threads: 1 }), loadModel(GPT2, { threads: 1 })]);
  const request = { tokens: rowsOf(30, 20, 25), read: ["all"], logits: { positions: "all" } } as const;
  const results = [await model.forward(request), await model.forward(request)];
  await model.close();
  const heap = Array.from({ length: 64 }, (_, i) => new Float32Array(1 << 16).fill(i));
  const expected = bitsOf(await local.forward(request));
  expect(results.map(bitsOf)).toEqual([expected, expected]);
  expect(heap).toHaveLength(64);
  await local.close();
});

/** Runs a program in a process of its own, with `open` to load the fixture in a worker. */
function run(program: string): readonly [status: number | null, stdout: string, stderr: string] {
  const library = new URL("../../../src/runtime/load.ts", import.meta.url).href;
  const opening = `
    const { loadModel } = await import(${JSON.stringify(library)});
    const open = () => loadModel(${JSON.stringify(GPT2)}, { worker: true, threads: 1 });
    const models = await Promise.all([open(), open()]);`;
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const args = ["--import", "tsx", "--input-type=module", "--eval", opening + program];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", timeout: 60_000 });
  return [status, stdout, stderr];
}

it.each(["closed", "left open"])("a program ends by itself when its models are %s, and before that waits for answers", (how) => {
  const printing = `
    for (const model of models) model.forward({ tokens: [[1, 2, 3]] }).then(({ lengths }) => console.log(lengths[0]));`;
  const closing = how === "closed" ? "await Promise.all(models.map((model) => model.close()));" : "";
  expect(run(printing + closing)).toEqual([0, "3\n3\n", ""]);
});

it("a program that ends during runs ends as it says, though its workers are computing", () => {
  // ONNX Runtime's binding aborts the process where a thread is ended during a run.
  const program = `
    const tokens = [Array.from({ length: 64 }, (_, i) => i % 50)];
    for (const model of models) for (let i = 0; i < 500; i++) void model.forward({ tokens, read: ["all"] });
    setTimeout(() => process.exit(5), 20);`;
  expect(run(program)).toEqual([5, "", ""]);
});
