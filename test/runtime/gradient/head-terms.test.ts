/** @file The gradient at `head_out`, told from that of the sum, against the one that is taken through each head's term. */
import { afterAll, describe, expect, it } from "vitest";
import type { Edit } from "../../../src/runtime/edit.js";
import type { Model } from "../../../src/runtime/model.js";
import { modelShelf } from "../../parity/subjects.js";
import { fixture, rowsOf } from "../support.js";

const shelf = modelShelf();
afterAll(shelf.close);

const tokens = rowsOf(7, 7);
const OF = "logits[-1,3]-logits[-1,4]";

/** An edit at `head_out` that changes nothing: with it the terms are part of the computation. */
const APART: Edit = { at: "head_out.1", op: "scale", by: 1 };

async function gradientOf(model: Model, at: string, edits: readonly Edit[] = []): Promise<number[]> {
  const { gradients } = await model.gradient({ tokens, of: OF, at: [at], edits });
  return [...gradients[at]!.data];
}

function close(ours: readonly number[], theirs: readonly number[]): void {
  const largest = Math.max(...theirs.map(Math.abs));
  expect(largest).toBeGreaterThan(0);
  expect(ours).toHaveLength(theirs.length);
  expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!))) / largest).toBeLessThan(1e-5);
}

describe.each([
  ["llama-longrope-crossing", "attn_out.1"],
  ["gemma3-old-style", "attn_out_raw.1"],
])("in %s", (name, sum) => {
  const folder = fixture(name);

  it("is that of the terms", async () => {
    const model = await shelf.open(folder);
    close(await gradientOf(model, "head_out.1"), await gradientOf(model, "head_out.1", [APART]));
  });

  it("lies in front of edits of the sum", async () => {
    const model = await shelf.open(folder);
    const edits: Edit[] = [{ at: sum, op: "scale", by: 3 }];
    close(await gradientOf(model, "head_out.1", edits), await gradientOf(model, "head_out.1", [...edits, APART]));
    const behind = (await gradientOf(model, sum, edits)).at(-1)!;
    expect((await gradientOf(model, "head_out.1", edits)).at(-1)! / behind).toBeCloseTo(3, 4);
  });

  it("has what the metric reads of a head itself", async () => {
    const model = await shelf.open(folder);
    const { gradients } = await model.gradient({ tokens, of: "head_out.1[-1,0,2]", at: ["head_out.1"] });
    expect(gradients["head_out.1"]!.data.reduce((total, value) => total + value, 0)).toBe(tokens.length);
  });
});
