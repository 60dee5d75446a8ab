/**
 * @file Attribution patching against the golden of torch on a real model, and against exact patching there; the exact softmax of AtP* against
 * patched runs, where the metric is linear behind the pattern so that nothing is left to first order; and GradDrop where effects cancel.
 */
import { afterAll, describe, expect, it } from "vitest";
import { attributeAttention } from "../../../src/analyses/circuits/attention.js";
import { attributionPatch } from "../../../src/analyses/circuits/attribution.js";
import { compareScores } from "../../../src/analyses/circuits/compare.js";
import { gradDrop } from "../../../src/analyses/circuits/grad-drop.js";
import { must } from "../../../src/base/errors.js";
import { tensor, type Tensor } from "../../../src/base/tensor.js";
import { readSafetensors } from "../../../src/formats/safetensors.js";
import { readJsonObject } from "../../../src/formats/json-file.js";
import { modelShelf, SUBJECTS } from "../../parity/subjects.js";
import { hasShared, sharedPath } from "../../shared.js";

const shelf = modelShelf();
afterAll(shelf.close);

const subject = (name: string): { folder: string; tokens: readonly (readonly number[])[] } =>
  must(
    SUBJECTS.find((one) => one.name === name),
    name,
  );

describe.skipIf(!hasShared)("on stories15M", () => {
  const folder = (): string => sharedPath("goldens", "sweeps", "stories15M");
  const asked = (): { pairs: { clean: number[]; corrupted: number[] }[]; of: string } => {
    const { clean, corrupted, answer, wrong } = readJsonObject(`${folder()}/golden.json`) as unknown as Record<
      "clean" | "corrupted",
      number[]
    > &
      Record<"answer" | "wrong", number>;
    return { pairs: [{ clean, corrupted }], of: `logits[-1,${answer}]-logits[-1,${wrong}]` };
  };

  it("gives every head torch's attribution, and ranks heads nearly as exact patching does", async () => {
    const model = await shelf.open(sharedPath("models", "stories15M"));
    const golden = readSafetensors(`${folder()}/golden.safetensors`);
    const found = await attributionPatch(model, { ...asked(), at: ["z.*"], direction: "denoise" });
    const ours = found.flatMap(({ effects }) => [...effects.data]);
    const theirs = [...golden.get("attribution_z")!.data];
    const largest = Math.max(...theirs.map(Math.abs));
    ours.forEach((value, i) => expect(Math.abs(value - theirs[i]!)).toBeLessThan(1e-4 * largest));
    const start = golden.get("corrupted")!.data[0]!;
    const exact = [...golden.get("z")!.data].map((value) => value - start);
    const agreement = compareScores(ours, exact, { top: 5 });
    expect(agreement.spearman).toBeGreaterThan(0.7);
    expect(agreement.sameSign).toBe(1);
  });
});

describe("attribution patching", () => {
  it("is the same for pairs together and alone, keeps axes, and refuses positions of unequal pairs", async () => {
    const { folder, tokens } = subject("gpt2-hub-names");
    const model = await shelf.open(folder);
    const [a = [], b = []] = tokens;
    const pairs = [
      { clean: a.slice(0, 6), corrupted: b.slice(0, 6) },
      { clean: b.slice(0, 4), corrupted: a.slice(0, 4) },
    ];
    const of = "logits[-1,5]-logits[-1,1]";
    const [both] = await attributionPatch(model, { pairs, of, at: ["mlp_post.1"], keep: ["d_mlp"], seed: 1 });
    const [alone] = await attributionPatch(model, { pairs: [pairs[1]!], of, at: ["mlp_post.1"], keep: ["pos", "d_mlp"] });
    const units = both!.effects.shape[0]!;
    expect(both!.effects.axes).toEqual(["d_mlp"]);
    expect(both!.intervals).toHaveLength(units);
    expect(alone!.effects.axes).toEqual(["pos", "d_mlp"]);
    for (let unit = 0; unit < units; unit++) {
      const total = [0, 1, 2, 3].reduce((sum, pos) => sum + alone!.effects.data[pos * units + unit]!, 0);
      expect(both!.perPair.data[units + unit]).toBeCloseTo(total, 5);
    }
    await expect(attributionPatch(model, { pairs, of, at: ["z.*"], keep: ["pos"] })).rejects.toThrow("positions can be kept only of pairs");
  });
});

describe.each(
  ["gpt2-hub-names", "phi-qk-layernorm-gqa", "bloom-alibi", "gpt-oss", "gemma2"].filter((name) =>
    SUBJECTS.some((one) => one.name === name),
  ),
)("the exact softmax of %s", (name) => {
  it.each(["q", "k"] as const)("leaves nothing to first order where the metric is linear behind the pattern (%s)", async (side) => {
    const { folder, tokens } = subject(name);
    const model = await shelf.open(folder);
    const [a = [], b = []] = tokens;
    const pair = { clean: a.slice(0, 6), corrupted: b.slice(0, 6) };
    const layer = 1;
    const { heads, kvHeads } = model.spec.layers[layer]!.attention;
    const head = heads - 1;
    const at = side === "q" ? head : kvHeads - 1;
    const of = `z.${layer}[-1,${head},1]`;
    const [fixed] = await attributeAttention(model, { pairs: [pair], of, side, layers: [layer], byPosition: true });
    const address = `rot_${side}.${layer}`;
    const values = async (row: readonly number[]): Promise<Tensor<Float32Array>> =>
      (await model.forward({ tokens: [row], read: [address], logits: false })).activations[address] as Tensor<Float32Array>;
    const theirs = await values(pair.corrupted);
    const [, length = 0, count = 0, width = 0] = theirs.shape;
    const measure = async (position?: number): Promise<number> => {
      const from = position === undefined ? 0 : (position * count + at) * width;
      const edits =
        position === undefined
          ? []
          : [{ at: address, op: "set", positions: [position], heads: [at], value: [...theirs.data.subarray(from, from + width)] } as const];
      return (await model.gradient({ tokens: [pair.clean], of, at: ["embed"], edits })).values[0]!;
    };
    const base = await measure();
    let largest = 0;
    for (let position = 0; position < length; position++) {
      const exact = (await measure(position)) - base;
      largest = Math.max(largest, Math.abs(exact));
      expect(Math.abs(fixed!.effects.data[position * count + at]! - exact), `position ${position}`).toBeLessThan(
        2e-5 * Math.max(1, Math.abs(base)),
      );
    }
    expect(largest).toBeGreaterThan(1e-3);
    const [plain] = await attributionPatch(model, { pairs: [pair], of, at: [address], keep: ["pos", side === "q" ? "head" : "kv_head"] });
    const gap = Math.max(...plain!.effects.data.map((value, i) => Math.abs(value - fixed!.effects.data[i]!)));
    expect(gap).toBeGreaterThan(1e-4);
  });
});

describe("GradDrop", () => {
  it("is the mean size of estimates with one layer held, divided by one layer less", async () => {
    const { folder, tokens } = subject("gpt2-hub-names");
    const model = await shelf.open(folder);
    const [a = [], b = []] = tokens;
    const pair = { clean: a.slice(0, 6), corrupted: b.slice(0, 6) };
    const of = "logits[-1,5]-logits[-1,1]";
    const [ours] = await gradDrop(model, { pairs: [pair], of, at: ["z.0"] });
    const read = model.spec.layers.flatMap((_, layer) => [`attn_out.${layer}`, `mlp_out.${layer}`]);
    const own = (await model.forward({ tokens: [pair.clean], read: [...read, "z.0"], logits: false })).activations;
    const other = (await model.forward({ tokens: [pair.corrupted], read: ["z.0"], logits: false })).activations;
    const expected = new Float64Array(ours!.effects.data.length);
    for (const layer of model.spec.layers.keys()) {
      const edits = [`attn_out.${layer}`, `mlp_out.${layer}`].map((at) => {
        const { data, shape } = own[at] as Tensor<Float32Array>;
        return { at, op: "set", value: tensor(data, shape.slice(1)) } as const;
      });
      const { gradients } = await model.gradient({ tokens: [pair.clean], of, at: ["z.0"], edits });
      const { data, shape } = gradients["z.0"]!;
      const totals = new Float64Array(expected.length);
      data.forEach((grad, i) => (totals[Math.floor(i / shape[3]!) % shape[2]!]! += grad * (other["z.0"]!.data[i]! - own["z.0"]!.data[i]!)));
      totals.forEach((total, head) => (expected[head]! += Math.abs(total) / (model.spec.layers.length - 1)));
    }
    expected.forEach((value, head) => expect(ours!.effects.data[head]).toBeCloseTo(value, 5));
  });
});
