/**
 * @file What the CPU and `transformers` give is what the device gives: every point, under every edit, continuations with values left on the device, self-checks,
 * gradients. `docs/devices.md` says how to run it.
 */
import { afterAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.js";
import type { Model } from "../../src/runtime/model.js";
import { verifyModel } from "../../src/runtime/verify.js";
import { DEVICE, hasDevice } from "../device.js";
import { compareRuns, compareTensors } from "../reference/compare.js";
import { asRun } from "./engine-run.js";
import { LIMITS, measureGolden } from "./measure.js";
import { FIXTURE_FOLDERS, modelShelf, SUBJECTS, TINY_FOLDERS } from "./subjects.js";

/** One family of each mechanism: norms, gated MLPs, shared key heads, position bias, soft caps, experts, blocks in parallel. */
const MECHANISMS =
  /^(gpt2|gpt2-hub-names|llama-gqa|gemma2|gemma3-old-style|bloom-alibi|bloom-five-heads-untied|mixtral|qwen3-moe-dense-first|gpt-oss-yarn-old-style|gptj-rotary-six|opt-pre)$/;

/**
 * Gradients, relative to the largest of a tensor: both sides float32. Seen on lavapipe: 1e-5. Of a gradient that is zero but for rounding (the bias of keys) nothing is asked.
 */
const GRADIENT = 5e-5;
const ZERO = 1e-6;

const [here, there] = [modelShelf(), modelShelf(DEVICE)];
afterAll(async () => {
  await here.close();
  await there.close();
});

describe.skipIf(!hasDevice)(`on ${DEVICE}`, () => {
  it.each([...FIXTURE_FOLDERS, ...TINY_FOLDERS])(
    "$name agrees with transformers at points, under edits, padded and continued",
    async ({ name, folder }) => {
      const { clean, edited, short, continued, greedy } = await measureGolden(await there.open(folder), folder, name);
      for (const { agrees, message } of [...clean, ...edited.map(({ comparison }) => comparison), short!, continued!])
        expect(agrees, message).toBe(true);
      expect(greedy.problem).toBeUndefined();
      expect(greedy.total).toBeGreaterThan(1);
    },
  );

  it.each(SUBJECTS)("$name has the CPU's values at all points", async ({ name, folder, tokens }) => {
    const request = { tokens, read: ["all"], logits: { positions: "all" } } as const;
    const [ours, cpu] = [await (await there.open(folder)).forward(request), await (await here.open(folder)).forward(request)];
    expect(ours.cost.device).toBe(DEVICE);
    expect(cpu.cost.device).toBe("cpu");
    const { agrees, message } = compareRuns(asRun(ours), asRun(cpu), { relative: LIMITS.relative, name, theirs: "the CPU" });
    expect(agrees, message).toBe(true);
  });

  const some = [...FIXTURE_FOLDERS, ...TINY_FOLDERS].filter(({ name }) => MECHANISMS.test(name));

  it.each(some)("$name passes its self-checks: caches, batches, padding, resumed runs, sweeps", async ({ folder }) => {
    const { checks, ok } = await verifyModel(await there.open(folder), {});
    expect(checks.filter(({ verdict }) => verdict === "differs")).toEqual([]);
    expect(ok).toBe(true);
  });

  it.each(some)("$name has the CPU's gradients by all points and parameters", async ({ folder }) => {
    const tokens = [[3, 1, 4, 1, 5, 9, 2, 6]];
    const request = { tokens, of: { loss: "cross_entropy" }, at: ["all"], parameters: true } as const;
    const [ours, cpu] = [await (await there.open(folder)).gradient(request), await (await here.open(folder)).gradient(request)];
    for (const kind of ["gradients", "parameters"] as const) {
      expect(Object.keys(ours[kind])).toEqual(Object.keys(cpu[kind]));
      for (const [name, theirs] of Object.entries(cpu[kind])) expect(apart(ours[kind][name]!, theirs), name).toBeLessThan(GRADIENT);
    }
  });

  it("goes on with the stream and the cache where the device left them, also when some layers are read or edited and others not", async () => {
    const folder = FIXTURE_FOLDERS.find(({ name }) => name === "gpt2-hub-names")!.folder;
    const request = {
      tokens: [[5, 9, 2], [7]],
      maxNew: 6,
      stopTokens: [],
      logits: true,
      read: ["resid_post.0", "resid_pre.1", "z.1"],
      edits: [{ at: "resid_post.0", op: "scale", by: 1.5 }],
    } as const;
    const [ours, cpu] = [await (await there.open(folder)).generate(request), await (await here.open(folder)).generate(request)];
    expect(ours.tokens).toEqual(cpu.tokens);
    const { agrees, message } = compareRuns(asRun(ours), asRun(cpu), { relative: LIMITS.relative, name: "mixed", theirs: "the CPU" });
    expect(agrees, message).toBe(true);
  });

  it("runs two models at once, one here and one there", async () => {
    const { folder } = FIXTURE_FOLDERS[0]!;
    const request = { tokens: [[1, 2, 3]] };
    const both = [await there.open(folder), await here.open(folder)].map(async (model: Model) => model.forward(request));
    const [ours, cpu] = await Promise.all(both);
    expect(apart(ours!.logits!, cpu!.logits!)).toBeLessThan(LIMITS.relative);
  });
});

/** max |Δ| over the largest of theirs; 0 where both are zero but for rounding. */
function apart(ours: Tensor, theirs: Tensor): number {
  const { maxAbs, relative } = compareTensors("", ours, theirs);
  return maxAbs < ZERO && maxAbs / relative < ZERO ? 0 : relative;
}
