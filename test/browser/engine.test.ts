/**
 * @file The engine on WebAssembly against the engine on native code: every point, edits inside every block, gradients, sweeps and generation, for tiny
 * models of several families, experts, packed weights and half precision among them. The same WebAssembly runs in Node as in a browser, so this
 * needs none; `page.test.ts` does the rest there.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as runtime from "onnxruntime-web";
import { afterAll, expect, test } from "vitest";
import { loadModelFromFiles, type GivenFile, type Model, type Tensor } from "../../src/browser.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { modelShelf } from "../parity/subjects.js";
import { addressesOf, apart, differing, fixture, rowsOf } from "../runtime/support.js";

// More threads would spin while they wait.
runtime.env.wasm.numThreads = 1;

/**
 * max |Δ| over the largest |value| of a tensor. Sums of float32 come in another order, and `exp` is another: the largest seen is 3e-6 at points, and
 * 9e-6 in sweeps, whose metrics are differences of logits.
 */
const TOLERANCE = 5e-5;

const FAMILIES = [
  "bloom-five-heads-untied",
  "gemma3-old-style",
  "gpt-oss-yarn-old-style",
  "opt-pre-projected-untied",
  "qwen3-moe-dense-first",
];

const shelf = modelShelf();
const halves = mkdtempSync(join(tmpdir(), "sextant-halves-"));

afterAll(async () => {
  await shelf.close();
  rmSync(halves, { recursive: true });
});

test.each(FAMILIES)("%s", (name) => compare(fixture(name)));

test.each(["BF16", "F16"] as const)("weights stored as %s", (dtype) => compare(narrowed("gpt2-hub-names", dtype)));

/** Asks both for the same, and compares. */
async function compare(folder: string): Promise<void> {
  const files = new Map(["config.json", "model.safetensors"].map((name): [string, GivenFile] => [name, readFileSync(join(folder, name))]));
  const ours = await loadModelFromFiles(files, { runtime, lazy: true });
  try {
    const [found, wanted] = [await answersOf(ours), await answersOf(await shelf.open(folder))];
    expect(found.generated).toEqual(wanted.generated);
    expect(Object.keys(found.tensors).toSorted()).toEqual(Object.keys(wanted.tensors).toSorted());
    expect(differing(found.tensors, wanted.tensors, TOLERANCE)).toEqual([]);
    // What was compared is not all zeros, and the edits did something.
    expect(addressesOf(ours).filter((address) => found.tensors[`read ${address}`]!.data.every((value) => value === 0))).toEqual([]);
    expect(apart(found.tensors["edited logits"], found.tensors["read logits"])).toBeGreaterThan(100 * TOLERANCE);
  } finally {
    await ours.close();
  }
}

/** Each kind of request once: tensors by what they answer, and new tokens. */
async function answersOf(model: Model): Promise<{ tensors: Record<string, Tensor>; generated: readonly (readonly number[])[] }> {
  const tokens = rowsOf(7, 4);
  const edits = model.spec.layers.flatMap((_, layer) => [
    { at: `z.${layer}`, op: "scale", by: 0.5, positions: [-1] } as const,
    { at: `attn_scores.${layer}`, op: "knockout", keys: [-2], queries: [-1], heads: [0] } as const,
  ]);
  const read = await model.forward({ tokens, read: ["all"] });
  const edited = await model.forward({ tokens, read: ["all"], edits });
  const { gradients } = await model.gradient({ tokens, of: "logits[-1,3]-logits[-1,5]", at: ["resid_pre.*", "z.*"] });
  const { tokens: generated } = await model.generate({ tokens, maxNew: 4, edits, stopTokens: [] });
  const tensors = { read: read.activations, edited: edited.activations, gradient: gradients, swept: await sweptOf(model, tokens[0]!) };
  const named = Object.entries(tensors).flatMap(([kind, some]) => Object.entries(some).map(([name, value]) => [`${kind} ${name}`, value]));
  return { tensors: Object.fromEntries(named) as Record<string, Tensor>, generated };
}

/** Each layer's stream, in turn, from a prompt that differs in its second token. */
async function sweptOf(model: Model, clean: readonly number[]): Promise<Record<string, Tensor>> {
  const { metrics } = await model.sweep({
    pairs: [{ clean, corrupted: clean.with(1, clean[1] === 3 ? 4 : 3), answer: 3, wrong: 5 }],
    counterfactuals: model.spec.layers.map((_, layer) => ({ edits: [{ at: `resid_post.${layer}`, op: "patch", positions: [1] }] })),
    metrics: ["logit_diff", "kl"],
  });
  return Object.fromEntries(
    Object.entries(metrics).map(([name, { values }]) => [
      name,
      { data: Float32Array.from(values), shape: [values.length], axes: ["cell"] },
    ]),
  );
}

/** The folder of a fixture whose weights are in half precision. */
function narrowed(name: string, dtype: "BF16" | "F16"): string {
  const folder = join(halves, dtype);
  mkdirSync(folder);
  copyFileSync(join(fixture(name), "config.json"), join(folder, "config.json"));
  const tensors = Object.fromEntries(readSafetensors(join(fixture(name), "model.safetensors")));
  writeSafetensors(join(folder, "model.safetensors"), tensors, {}, { dtypeOf: () => dtype });
  return folder;
}
