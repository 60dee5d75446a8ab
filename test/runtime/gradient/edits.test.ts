/** @file The way back through each kind of edit, against central differences of the float64 reference under the same edits. */
import { afterAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import type { Tensor } from "../../../src/base/tensor.js";
import type { Edit } from "../../../src/runtime/edit.js";
import { modelShelf } from "../../parity/subjects.js";
import type { Edit as ReferenceEdit } from "../../reference/edits.js";
import { openReference } from "../../reference/reference.js";
import { fixture, rowsOf } from "../support.js";

const shelf = modelShelf();
afterAll(shelf.close);

const FOLDER = fixture("llama-longrope-crossing");
const STEP = 1e-5;
const tokens = rowsOf(7, 7);
const run = openReference(FOLDER);

const random = seededRandom(3);
const numbers = (count: number): number[] => Array.from({ length: count }, () => 2 * random() - 1);

describe("through edits", async () => {
  const { spec } = await shelf.open(FOLDER);
  const width = spec.dModel;
  const { heads, dHead } = spec.layers[1]!.attention;
  const matrix = (rows: number, columns: number): Tensor<Float32Array> => ({
    data: Float32Array.from(numbers(rows * columns)),
    shape: [rows, columns],
    axes: ["component", "unit"],
  });
  const plane: Tensor<Float32Array> = { data: new Float32Array(2 * width), shape: [2, width], axes: ["component", "unit"] };
  plane.data[3] = 1;
  plane.data[width + 7] = 1;
  const strong = numbers(width);
  const cases: Record<string, Edit[]> = {
    "set of units between blocks": [{ at: "resid_post.0", op: "set", value: numbers(width), units: [1, 5], positions: [-2] }],
    add: [{ at: "attn_out.1", op: "add", vector: numbers(width), strength: 2 }],
    "scale of heads": [{ at: "z.1", op: "scale", by: -0.5, heads: [heads - 1] }],
    project_out: [{ at: "resid_mid.1", op: "project_out", basis: matrix(2, width), rows: [1] }],
    "clamp that holds": [{ at: "resid_pre.1", op: "clamp", direction: strong, max: -50 }],
    "clamp that does not": [{ at: "resid_pre.1", op: "clamp", direction: strong, max: 1e6 }],
    interchange: [{ at: "resid_post.1", op: "interchange", value: numbers(width), basis: matrix(3, width), positions: { every: 2 } }],
    rotate: [{ at: "resid_mid.0", op: "rotate", plane, angle: 60 }],
    knockout: [{ at: "attn_scores.1", op: "knockout", heads: [0], queries: [-1], keys: [1, 2] }],
    "pattern scaled": [{ at: "pattern.0", op: "scale", by: 3, queries: [-1] }],
    "set of a norm's divisor": [{ at: "ln2_scale.1", op: "set", value: 1.5 }],
    "one head's output": [{ at: "head_out.0", op: "set", value: 0, heads: [0] }],
    "of the embedding": [{ at: "embed", op: "scale", by: 2, positions: [1] }],
    "of the last norm": [{ at: "final_normalized", op: "project_out", basis: matrix(1, width) }],
    "several, two of them at one place": [
      { at: "resid_mid.0", op: "rotate", plane, angle: 200 },
      { at: "resid_mid.0", op: "clamp", direction: strong, min: 40 },
      { at: "q.1", op: "scale", by: 0.3 },
      { at: "mlp_post.0", op: "add", vector: numbers(spec.layers[0]!.mlp?.kind === "gated" ? spec.layers[0]!.mlp.dMlp : 0) },
      { at: "k.0", op: "set", value: numbers(dHead), positions: [0] },
    ],
  };

  it.each(Object.entries(cases))("%s", async (_, edits) => {
    const model = await shelf.open(FOLDER);
    const metric = (more: readonly ReferenceEdit[]): number => {
      const { logits } = run(tokens, { edits: [...more, ...(edits as never)], points: [] });
      const [, positions = 0, vocab = 0] = logits.shape;
      return tokens.reduce((total, _row, i) => total + logits.data[((i + 1) * positions - 1) * vocab + 3]!, 0);
    };
    const at = edits[0]!.at === "embed" ? "embed" : "resid_pre.0";
    const { gradients } = await model.gradient({ tokens, of: "logits[-1,3]", at: [at], edits });
    const { data, shape } = gradients[at]!;
    const direction = numbers(data.length);
    const shift = (strength: number): ReferenceEdit => ({ at, op: "add", vector: { shape, data: direction }, strength }) as never;
    // The gradient is that by the value behind the edits at its address: the shift follows them.
    const under = (strength: number): number => (at === "embed" ? metricAfter(edits, shift(strength)) : metric([shift(strength)]));
    const measured = (under(STEP) - under(-STEP)) / (2 * STEP);
    const ours = direction.reduce((total, part, i) => total + part * data[i]!, 0);
    const scale = Math.sqrt(data.reduce((total, value) => total + value * value, 0));
    expect(scale).toBeGreaterThan(0);
    expect(Math.abs(ours - measured), `${ours} against ${measured}`).toBeLessThan(1e-4 * (scale + Math.abs(measured)));
  });

  function metricAfter(edits: readonly Edit[], shift: ReferenceEdit): number {
    const { logits } = run(tokens, { edits: [...(edits as never[]), shift], points: [] });
    const [, positions = 0, vocab = 0] = logits.shape;
    return tokens.reduce((total, _row, i) => total + logits.data[((i + 1) * positions - 1) * vocab + 3]!, 0);
  }

  it("gives padded rows what they get alone", async () => {
    const model = await shelf.open(FOLDER);
    const rows = rowsOf(3, 7);
    const at = ["resid_pre.0", "pattern.1", "z.0"];
    const together = await model.gradient({ tokens: rows, of: "logprobs[-1,2]", at });
    const alone = await model.gradient({ tokens: [rows[0]!], of: "logprobs[-1,2]", at });
    for (const address of ["resid_pre.0", "z.0"]) {
      const part = together.gradients[address]!.data.subarray(0, alone.gradients[address]!.data.length);
      alone.gradients[address]!.data.forEach((value, i) => expect(part[i]!).toBeCloseTo(value, 5));
    }
    const size = rows[1]!.length * width;
    const rest = together.gradients["resid_pre.0"]!.data.subarray(3 * width, size);
    expect(Math.max(...rest.map(Math.abs))).toBe(0);
    expect(together.values[0]).toBeCloseTo(alone.values[0]!, 4);
  });

  it("differentiates log-probabilities, probabilities, and values inside", async () => {
    const model = await shelf.open(FOLDER);
    const at = ["resid_pre.0"];
    const row = [tokens[0]!];
    const { logits, activations } = await model.forward({ tokens: row, logits: { positions: "all" }, read: ["z.1", "mlp_out.0"] });
    const vocab = spec.vocabOut;
    const total = Math.log(logits!.data.slice(-vocab).reduce((sum, value) => sum + Math.exp(value), 0));
    const logprob = logits!.data.at(-vocab + 4)! - total;
    const run1 = await model.gradient({ tokens: row, of: "logprobs[-1,4]", at });
    const run2 = await model.gradient({ tokens: row, of: "2*probs[-1,4]", at });
    expect(run1.values[0]).toBeCloseTo(logprob, 5);
    expect(run2.values[0]).toBeCloseTo(2 * Math.exp(logprob), 5);
    run2.gradients["resid_pre.0"]!.data.forEach((value, i) =>
      expect(value).toBeCloseTo(2 * Math.exp(logprob) * run1.gradients["resid_pre.0"]!.data[i]!, 5),
    );
    const inside = await model.gradient({ tokens: row, of: "z.1[-1,0,2] - 0.5*mlp_out.0[3,1]", at: ["resid_pre.0", "z.1", "z.0"] });
    const [, , headCount = 0, size = 0] = activations["z.1"]!.shape;
    const expected = activations["z.1"]!.data[(6 * headCount + 0) * size + 2]! - 0.5 * activations["mlp_out.0"]!.data[3 * width + 1]!;
    expect(inside.values[0]).toBeCloseTo(expected, 5);
    const own = inside.gradients["z.1"]!.data;
    expect(own[(6 * headCount + 0) * size + 2]).toBe(1);
    expect(own.reduce((sum, value) => sum + Math.abs(value), 0)).toBe(1);
    expect(Math.max(...inside.gradients["z.0"]!.data.map(Math.abs))).toBeGreaterThan(0);
  });

  it("reads edges also where heads share no keys", async () => {
    const plain = await shelf.open(fixture("gpt2-hub-names"));
    const row = [rowsOf(5)[0]!];
    const { activations } = await plain.forward({ tokens: row, read: ["pattern.1"], logits: false });
    const { values, gradients } = await plain.gradient({ tokens: row, of: "pattern.1[0,4,2]", at: ["resid_pre.1", "pattern.1"] });
    expect(values[0]).toBeCloseTo(activations["pattern.1"]!.data[4 * 5 + 2]!, 6);
    expect(gradients["pattern.1"]!.data[4 * 5 + 2]).toBe(1);
    expect(Math.max(...gradients["resid_pre.1"]!.data.map(Math.abs))).toBeGreaterThan(0);
  });

  it("hands out arrays of their own where gradients are equal", async () => {
    const model = await shelf.open(FOLDER);
    const { gradients } = await model.gradient({
      tokens,
      of: "logits[-1,3]",
      at: ["resid_mid.1", "attn_out.1", "mlp_out.1", "resid_post.1"],
    });
    expect(gradients["attn_out.1"]!.data).toEqual(gradients["resid_mid.1"]!.data);
    expect(new Set(Object.values(gradients).map(({ data }) => data.buffer)).size).toBe(4);
  });

  it("takes gradients that are handed in, also at the logits", async () => {
    const model = await shelf.open(FOLDER);
    const at = ["resid_pre.1"];
    const seed = { data: new Float32Array(tokens.length * 7 * spec.vocabOut), shape: [tokens.length, 7, spec.vocabOut], axes: [] };
    for (const row of tokens.keys()) seed.data[(row * 7 + 6) * spec.vocabOut + 3] = 1;
    const ours = await model.gradient({ tokens, of: { seeds: [{ at: "logits", gradient: seed }] }, at });
    const same = await model.gradient({ tokens, of: "logits[-1,3]", at });
    expect(ours.gradients["resid_pre.1"]!.data).toEqual(same.gradients["resid_pre.1"]!.data);
    const behind = await model.gradient({ tokens, of: "logits[-1,3]", at: ["resid_post.0"] });
    const onward = await model.gradient({
      tokens,
      of: { seeds: [{ at: "resid_post.0", gradient: behind.gradients["resid_post.0"]! }] },
      at: ["resid_pre.0"],
    });
    const whole = await model.gradient({ tokens, of: "logits[-1,3]", at: ["resid_pre.0"] });
    whole.gradients["resid_pre.0"]!.data.forEach((value, i) => expect(onward.gradients["resid_pre.0"]!.data[i]).toBeCloseTo(value, 5));
  });

  it.each<[string, object, RegExp]>([
    ["a token beyond the vocabulary", { of: "logits[-1,99999]", at: ["z.0"] }, /token 99999 is out of range, there are \d+/],
    ["a position outside a row", { of: "logits[7,1]", at: ["z.0"] }, /position 7 is outside a row of 7 tokens/],
    ["an expression with a hole", { of: "logits[-1,1] logits[-1,2]", at: ["z.0"] }, /cannot be read from "logits\[-1,2\]" on/],
    ["nothing asked for", { of: "logits[-1,1]" }, /nothing is asked for/],
    ["the logits", { of: "logits[-1,1]", at: ["logits"] }, /no gradient at logits: the metric is made of the logits directly/],
    ["a place behind the metric", { of: "z.0[0,0,0]", at: ["resid_pre.1"] }, /the metric is read at z\.0, in front of it/],
    ["an unknown parameter", { of: "logits[-1,1]", parameters: ["model.norm.wait"] }, /computes with no tensor "model.norm.wait"/],
    ["a mask of another length", { of: { loss: "cross_entropy", mask: [[1], [1]] }, at: ["z.0"] }, /mask\[0\] has 1 entries for 7 tokens/],
    [
      "a seed of another shape",
      { of: { seeds: [{ at: "z.0", gradient: { data: new Float32Array(1), shape: [1], axes: [] } }] }, at: ["q.0"] },
      /must have shape \[2, 7/,
    ],
  ])("refuses %s", async (_, request, message) => {
    const model = await shelf.open(FOLDER);
    await expect(model.gradient({ tokens, ...request } as never)).rejects.toThrow(message);
  });
});
