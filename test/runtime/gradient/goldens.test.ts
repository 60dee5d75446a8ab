import { afterAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../../src/base/tensor.js";
import { readSafetensors } from "../../../src/formats/safetensors.js";
import { hasShared, sharedPath } from "../../shared.js";
import { modelShelf, TINY_FOLDERS } from "../../parity/subjects.js";
import { readGolden } from "../../reference/golden.js";
import { apart } from "../support.js";

const shelf = modelShelf();
afterAll(shelf.close);

const tensors = new Map(TINY_FOLDERS.map(({ name, folder }) => [name, readSafetensors(`${folder}/golden.safetensors`)] as const));
const startingWith = (name: string, prefix: string): [string, Tensor][] =>
  [...tensors.get(name)!].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]);
const withMetric = TINY_FOLDERS.filter(({ name }) => startingWith(name, "grad.metric.").length > 0);
const withLoss = TINY_FOLDERS.filter(({ name }) => startingWith(name, "grad.loss.").length > 0);

describe.skipIf(!hasShared)("gradients agree with transformers", () => {
  it("in at least five families, and by all parameters in two", () => {
    expect(withMetric.length).toBeGreaterThanOrEqual(5);
    expect(withLoss.length).toBeGreaterThanOrEqual(2);
  });

  it.each(withMetric)("$name: by every point of the golden", async ({ name, folder }) => {
    const { tokens } = readGolden(folder);
    const wanted = startingWith(name, "grad.metric.");
    const model = await shelf.open(folder);
    const { gradients, values } = await model.gradient({ tokens, of: "logits[-1,5]-logits[-1,9]", at: wanted.map(([address]) => address) });
    for (const [address, theirs] of wanted) expect(apart(gradients[address], theirs), address).toBeLessThan(2e-5);
    const { logits } = await model.forward({ tokens, logits: { tokens: [5, 9] } });
    values.forEach((value, row) => expect(value).toBeCloseTo(logits!.data[2 * row]! - logits!.data[2 * row + 1]!, 4));
  });

  it.each(withLoss)("$name: the loss by every parameter", async ({ name, folder }) => {
    const { tokens } = readGolden(folder);
    const wanted = startingWith(name, "grad.loss.");
    const model = await shelf.open(folder);
    const { parameters, values } = await model.gradient({ tokens, of: { loss: "cross_entropy" }, parameters: true });
    expect(Object.keys(parameters).toSorted()).toEqual(wanted.map(([parameter]) => parameter).toSorted());
    for (const [parameter, theirs] of wanted) expect(apart(parameters[parameter], theirs), parameter).toBeLessThan(2e-5);
    expect(values.reduce((total, value) => total + value, 0)).toBeCloseTo(tensors.get(name)!.get("loss")!.data[0]!, 4);
  });
});

describe.skipIf(!hasShared)("stories15M", () => {
  it("has the gradients of the sweep golden", async () => {
    const folder = sharedPath("goldens", "sweeps", "stories15M");
    const golden = readSafetensors(`${folder}/golden.safetensors`);
    const { readFileSync } = await import("node:fs");
    const { corrupted, clean, answer, wrong } = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as {
      corrupted: number[];
      clean: number[];
      answer: number;
      wrong: number;
    };
    const model = await shelf.open(sharedPath("models", "stories15M"));
    const heads = model.spec.layers.map((_, layer) => `z.${layer}`);
    const streams = model.spec.layers.map((_, layer) => `resid_pre.${layer}`);
    const of = `logits[-1,${answer}]-logits[-1,${wrong}]`;
    const run = await model.gradient({ tokens: [corrupted], of, at: [...heads, ...streams], read: heads });
    const theirs = golden.get("grad.corrupted.resid_pre")!;
    const size = theirs.data.length / streams.length;
    streams.forEach((address, layer) => {
      const part = { ...theirs, data: theirs.data.slice(layer * size, (layer + 1) * size), shape: run.gradients[address]!.shape } as Tensor;
      expect(apart(run.gradients[address], part), address).toBeLessThan(1e-4);
    });
    const { activations } = await model.forward({ tokens: [clean], read: heads, logits: false });
    const scores = heads.flatMap((address) => byHead(run.gradients[address]!, activations[address]!, run.activations[address]!));
    const attribution = golden.get("attribution_z")!;
    expect(apart({ ...attribution, data: Float32Array.from(scores) }, attribution)).toBeLessThan(1e-3);
  });
});

/** Σ over positions and units of gradient · (clean − corrupted), for each head. */
function byHead(gradient: Tensor, clean: Tensor, corrupted: Tensor): number[] {
  const [, , heads = 0, width = 0] = gradient.shape;
  const totals = Array.from({ length: heads }, () => 0);
  gradient.data.forEach((slope, i) => (totals[Math.floor(i / width) % heads]! += slope * (clean.data[i]! - corrupted.data[i]!)));
  return totals;
}
