/**
 * @file A run stopped at any point and continued: with the value it had it is the run that was not stopped, and with another value it
 * is the run with a `set` edit there.
 */
import { afterAll, describe, expect, it } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { parseAddress } from "../../src/models/address.js";
import { axisLength } from "../../src/models/sizes.js";
import type { Edit } from "../../src/runtime/edit.js";
import type { ForwardRequest, Model } from "../../src/runtime/model.js";
import { modelShelf } from "../parity/subjects.js";
import { addressesOf, apart, differing, fixture, rowsOf } from "./support.js";

/** Relative: a block cut in two fuses other operations than a whole one; seen are up to 1e-6. */
const TOLERANCE = 1e-5;

/** Sequential, parallel, sandwich norms and windows, sinks and experts, projected embedding, norm as residual. */
const MODELS = [
  "gpt2-hub-names",
  "phi-qk-layernorm-gqa",
  "gemma3-old-style",
  "gpt-oss-yarn-old-style",
  "opt-pre-projected-untied",
  "bloom-five-heads-untied",
  "qwen3-moe-dense-first",
] as const;

const shelf = modelShelf();
afterAll(shelf.close);

const tokens = rowsOf(7, 4);
const everywhere = { positions: "all" } as const;

/** Where to stop: everywhere in the first model, in the others in the last layer and outside the layers. */
function stopsOf(model: Model, name: string): string[] {
  const last = model.spec.layers.length - 1;
  return addressesOf(model).filter((address) => name === MODELS[0] || (parseAddress(model.spec, address).layer ?? last) === last);
}

/**
 * The value with each finite element changed: moved in sign and size, or, where it holds experts, to the next one. Zeros stay, so that
 * patterns stay causal.
 */
function changed({ spec }: Model, address: string, { data, shape, axes }: Tensor): Tensor {
  const { layer } = parseAddress(spec, address);
  const experts = axisLength(spec, "expert", layer);
  if (data instanceof Int32Array)
    return tensor(
      data.map((expert) => (expert + 1) % experts),
      shape,
      axes,
    );
  return tensor(
    data.map((value, i) => (Number.isFinite(value) ? value * (i % 3 === 0 ? -0.5 : 1.25) + 0.01 * Math.sign(value) : value)),
    shape,
    axes,
  );
}

/** The edit that puts a value in its place; masked scores are left as they are. */
function setting(address: string, { data, shape, axes }: Tensor): Edit {
  const value = tensor(
    Float32Array.from(data, (x) => (Number.isFinite(x) ? x : 0)),
    shape,
    axes,
  );
  return { at: address, op: "set", value };
}

describe.each(MODELS)("%s", (name) => {
  it("continued with the same value at any point, it gives the same logits and reads", async () => {
    const model = await shelf.open(fixture(name));
    const read = addressesOf(model);
    const request: ForwardRequest = { tokens, read, logits: everywhere };
    const whole = await model.forward(request);
    for (const address of stopsOf(model, name)) {
      const paused = await model.runUntil(address, request);
      expect(apart(paused.value, whole.activations[address]!), `the value at ${address}`).toBeLessThan(TOLERANCE);
      const result = await model.runFrom(paused, paused.value);
      expect(Object.keys(result.activations).toSorted()).toEqual(read.toSorted());
      expect(differing(result.activations, whole.activations, TOLERANCE), `reads after a stop at ${address}`).toEqual([]);
      expect(apart(result.logits, whole.logits!), `logits after a stop at ${address}`).toBeLessThan(TOLERANCE);
      expect(result.lengths).toEqual(whole.lengths);
    }
  });

  it("continued with another value at any point, it is the run with that value set there", async () => {
    const model = await shelf.open(fixture(name));
    const read = addressesOf(model);
    const request: ForwardRequest = { tokens, read, logits: everywhere };
    const plain = await model.forward(request);
    for (const address of stopsOf(model, name)) {
      const paused = await model.runUntil(address, request);
      const value = changed(model, address, paused.value);
      const continued = await model.runFrom(paused, value);
      const edited = await model.forward({ ...request, edits: [setting(address, value)] });
      expect(differing(continued.activations, edited.activations, TOLERANCE), `reads after ${address}`).toEqual([]);
      expect(apart(continued.logits, edited.logits!), `logits after ${address}`).toBeLessThan(TOLERANCE);
      expect(apart(continued.logits, plain.logits!), `${address} matters`).toBeGreaterThan(TOLERANCE);
    }
  });
});

describe("with edits in the request", () => {
  const name = "gpt2-hub-names";
  const edits: readonly Edit[] = [
    { at: "embed", op: "scale", by: 1.5 },
    { at: "resid_pre.0", op: "scale", by: 0.7 },
    { at: "q.0", op: "scale", by: 2, heads: [1] },
    { at: "z.0", op: "scale", by: -1, heads: [2] },
    { at: "resid_post.0", op: "add", vector: Array.from({ length: 32 }, (_, i) => Math.cos(i)), positions: [-1] },
    { at: "resid_pre.1", op: "scale", by: 0.9 },
    { at: "attn_scores.1", op: "knockout", heads: [0], keys: [1] },
    { at: "mlp_post.1", op: "scale", by: 0.5, units: [0, 1, 2] },
    { at: "resid_post.1", op: "scale", by: 1.1 },
    { at: "final_normalized", op: "scale", by: 0.8 },
  ];

  it("each holds once, whether before, at or behind the stop", async () => {
    const model = await shelf.open(fixture(name));
    const read = addressesOf(model);
    const request: ForwardRequest = { tokens, read, edits, logits: everywhere };
    const whole = await model.forward(request);
    for (const address of read) {
      const paused = await model.runUntil(address, request);
      expect(apart(paused.value, whole.activations[address]!), `the value at ${address}`).toBeLessThan(TOLERANCE);
      const result = await model.runFrom(paused, paused.value);
      expect(differing(result.activations, whole.activations, TOLERANCE), `reads after a stop at ${address}`).toEqual([]);
      expect(apart(result.logits, whole.logits!), `logits after a stop at ${address}`).toBeLessThan(TOLERANCE);
    }
  });
});

describe("what a stopped run holds", () => {
  const open = (): Promise<Model> => shelf.open(fixture("gpt2-hub-names"));

  it("is what was read on the way, and of that nothing which lies behind the stop", async () => {
    const model = await open();
    const read = ["embed", "resid_post.0", "q.1", "z.1", "mlp_out.1", "final_normalized"];
    const paused = await model.runUntil("attn_scores.1", { tokens, read });
    expect(Object.keys(paused.activations)).toEqual(["embed", "resid_post.0", "q.1"]);
    const result = await model.runFrom(paused, paused.value);
    expect(Object.keys(result.activations).toSorted()).toEqual(read.toSorted());
  });

  it("is plain data: it can be stored, and continued as often as one likes", async () => {
    const model = await open();
    const paused = structuredClone(await model.runUntil("resid_mid.1", { tokens, read: ["resid_post.1"] }));
    const first = await model.runFrom(paused, paused.value);
    await model.runFrom(paused, changed(model, "resid_mid.1", paused.value));
    const again = await model.runFrom(paused, paused.value);
    expect(again.logits).toEqual(first.logits);
    expect(again.activations).toEqual(first.activations);
  });

  it("stands where negative layers and other frameworks' names say", async () => {
    const model = await open();
    expect((await model.runUntil("resid_post.-1", { tokens })).address).toBe("resid_post.1");
    expect((await model.runUntil("blocks.1.attn.hook_z", { tokens })).address).toBe("z.1");
  });

  it("is continued with the logits that the request asks for", async () => {
    const model = await open();
    const ask = { tokens, logits: { positions: [-1, 0], tokens: [5, 3] } };
    const whole = await model.forward(ask);
    const paused = await model.runUntil("v.1", ask);
    expect(apart((await model.runFrom(paused, paused.value)).logits, whole.logits!)).toBeLessThan(TOLERANCE);
    const none = await model.runUntil("v.1", { tokens, logits: false, read: ["resid_post.1"] });
    const silent = await model.runFrom(none, none.value);
    expect(silent.logits).toBeUndefined();
    expect(silent.activations["resid_post.1"]!.shape).toEqual([2, 7, 32]);
  });
});

describe("refuses", () => {
  it("to stop at the logits, which nothing follows", async () => {
    const model = await shelf.open(fixture("gpt2-hub-names"));
    await expect(model.runUntil("logits", { tokens })).rejects.toThrow("cannot stop at logits: nothing runs after it");
  });

  it("a value of another shape or kind", async () => {
    const model = await shelf.open(fixture("qwen3-moe-dense-first"));
    const paused = await model.runUntil("experts.1", { tokens });
    const { value } = paused;
    await expect(model.runFrom(paused, tensor(new Float32Array(value.data), value.shape))).rejects.toThrow("holds Int32Array values");
    const shorter = tensor(value.data.slice(0, 4), [1, 2, 2]);
    await expect(model.runFrom(paused, shorter)).rejects.toThrow("runFrom: experts.1 has shape [2, 7, 2], got [1, 2, 2]");
  });
});
