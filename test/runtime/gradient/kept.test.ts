/**
 * @file Values that are kept for the way back: kept or not, read or not, changed by edits or not, the gradients are those of the float64 reference; and what
 * is kept is bounded.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readdirSync } from "node:fs";
import { afterAll, describe, expect, it, test } from "vitest";
import { must } from "../../../src/base/errors.js";
import { seededRandom } from "../../../src/base/random.js";
import { pointRow, type PointName } from "../../../src/models/points.js";
import { absenceInLayer } from "../../../src/models/presence.js";
import { axisLength } from "../../../src/models/sizes.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import type { Edit } from "../../../src/runtime/edit.js";
import { keptPoints } from "../../../src/runtime/gradient/kept.js";
import type { Model } from "../../../src/runtime/model.js";
import { changed, CONFIGS, tiny } from "../../models/tiny-specs.js";
import { modelShelf } from "../../parity/subjects.js";
import type { Edit as ReferenceEdit } from "../../reference/edits.js";
import { openReference } from "../../reference/reference.js";
import { addressesOf, apart, rowsOf } from "../support.js";

const shelf = modelShelf();
afterAll(shelf.close);

const VARIANTS = fileURLToPath(new URL("../../fixtures/variants", import.meta.url));
/** Padded: the second row is shorter. */
const tokens = rowsOf(6, 4);
const OF = "logits[-1,3] - logits[-1,5]";
const STEP = 1e-5;
/** Float32, sums of a few hundred terms in another order. Seen: 4e-6, of a norm's divisor, where large terms cancel. */
const FLOAT32 = 2e-5;

/** What is kept of a layer, without what may not be edited or has no gradient. */
function keptAt({ spec }: Pick<Model, "spec">, layer: number): string[] {
  const points = keptPoints(spec, layer, { tokens: 12, blocks: spec.layers.length });
  return points.filter((point) => point !== "experts").map((point) => `${point}.${layer}`);
}

describe.each(readdirSync(VARIANTS))("%s", (name) => {
  const folder = join(VARIANTS, name);

  it("has the same gradients where the block is cut at kept values, which then are not kept", async () => {
    const model = await shelf.open(folder);
    const at = addressesOf(model).filter((address) => !address.startsWith("experts."));
    const plain = await model.gradient({ tokens, of: OF, at });
    const kept = keptAt(model, model.spec.layers.length - 1);
    for (const address of [kept[0]!, kept[kept.length >> 1]!, kept.at(-1)!]) {
      const { gradients } = await model.gradient({ tokens, of: OF, at, edits: [{ at: address, op: "scale", by: 1 }] });
      for (const one of at) expect(apart(gradients[one], plain.gradients[one]), `${one}, cut at ${address}`).toBeLessThan(FLOAT32);
    }
  });

  it("has the reference's slope through edits at all kept values", async () => {
    const model = await shelf.open(folder);
    const reference = openReference(folder);
    const edits: Edit[] = model.spec.layers.flatMap((_, layer) =>
      keptAt(model, layer).map((at) => ({ at, op: "scale", by: 0.8 }) as const),
    );
    const { gradients } = await model.gradient({ tokens, of: OF, at: ["resid_pre.0"], edits });
    const { data, shape } = must(gradients["resid_pre.0"], "the gradient");
    const random = seededRandom(4);
    const direction = Array.from(data, () => 2 * random() - 1);
    const metric = (strength: number): number => {
      const shift = { at: "resid_pre.0", op: "add", vector: { shape, data: direction }, strength };
      const { logits } = reference(tokens, { edits: [shift, ...edits] as ReferenceEdit[], points: [] });
      const [, width = 0, vocab = 0] = logits.shape;
      const value = (row: number, id: number): number => logits.data[(row * width + tokens[row]!.length - 1) * vocab + id]!;
      return tokens.reduce((total, _row, row) => total + value(row, 3) - value(row, 5), 0);
    };
    const measured = (metric(STEP) - metric(-STEP)) / (2 * STEP);
    const ours = direction.reduce((total, part, i) => total + part * data[i]!, 0);
    const scale = Math.hypot(...data);
    expect(scale).toBeGreaterThan(0);
    expect(Math.abs(ours - measured), `${ours} against ${measured}`).toBeLessThan(1e-4 * (scale + Math.abs(measured)) + 1e-6);
  });

  it("reads kept values as a forward pass does, and finds the same bits whether they are read or not", async () => {
    const model = await shelf.open(folder);
    const read = model.spec.layers.flatMap((_, layer) => keptAt(model, layer));
    const at = ["resid_pre.0", ...read];
    const { activations } = await model.forward({ tokens, read, logits: false });
    const reading = await model.gradient({ tokens, of: OF, at, read });
    const not = await model.gradient({ tokens, of: OF, at });
    for (const address of read) expect(reading.activations[address]!.data, address).toEqual(activations[address]!.data);
    for (const address of at) expect(reading.gradients[address]!.data, address).toEqual(not.gradients[address]!.data);
  });
});

describe("what is kept", () => {
  const { spec } = tiny(must(CONFIGS["gpt2"], "gpt2"));
  const few = { tokens: 10, blocks: 2 };

  test("is the stream in the middle and what stands behind the projections, by family", () => {
    const of = (made: { readonly spec: ModelSpec }): string => keptPoints(made.spec, 0, few).join(" ");
    const kept = (family: string): string => of(tiny(must(CONFIGS[family], family)));
    expect(kept("gpt2")).toBe("resid_mid q k v mlp_pre");
    expect(kept("llama")).toBe("resid_mid q k v mlp_gate mlp_up");
    expect(kept("gptj")).toBe("q k v mlp_pre");
    expect(kept("gemma2")).toBe("attn_out_raw mlp_out_raw resid_mid q k v mlp_gate mlp_up");
    expect(kept("mixtral")).toBe("resid_mid q k v router_logits experts");
    expect(of(tiny(changed("opt", { do_layer_norm_before: false })))).toBe("attn_out mlp_out resid_mid q k v mlp_pre");
  });

  test("is less than 512 MiB of all blocks together, the dearest for its size first", () => {
    const bytesOf = (points: readonly PointName[], count: number): number => {
      const widths = points.map((point) =>
        pointRow(point)
          .axes.slice(2)
          .reduce((product, axis) => product * axisLength(spec, axis, 0), 1),
      );
      return 4 * count * widths.reduce((total, width) => total + width, 0);
    };
    const all = keptPoints(spec, 0, few);
    let before = all.length;
    for (let count = 2 ** 10; before > 0; count *= 2) {
      const points = keptPoints(spec, 0, { tokens: count, blocks: 12 });
      expect(12 * bytesOf(points, count)).toBeLessThanOrEqual(2 ** 29);
      expect(points.every((point) => absenceInLayer(spec.layers[0]!, point) === undefined)).toBe(true);
      expect(points.length).toBeLessThanOrEqual(before);
      if (points.length === before - 1 && before === all.length) expect(points).not.toContain("mlp_pre");
      before = points.length;
    }
  });

  test("is nothing of a layer that the model does not have", () => {
    expect(keptPoints(spec, 99, few)).toEqual([]);
  });
});
