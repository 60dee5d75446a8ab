/** @file A metric of a few logits, whose rows of the matrix alone are read, against the same metric through the whole unembedding. */
import { afterAll, describe, expect, it } from "vitest";
import type { Metric } from "../../../src/runtime/gradient/request.js";
import { modelShelf, SUBJECTS } from "../../parity/subjects.js";
import { apart } from "../support.js";

const shelf = modelShelf();
afterAll(shelf.close);

describe.each(SUBJECTS)("$name", ({ folder, tokens }) => {
  it("has the same gradients by a few columns as by the whole unembedding", async () => {
    const model = await shelf.open(folder);
    const of: Metric = tokens.map((_, row) => `2*logits[-1,${row % 2}] - logits[0,2] - 0.5*logits[-1,2]`);
    const at = ["resid_pre.0", "resid_post.0"];
    const few = await model.gradient({ tokens, of, at });
    // The gradients by weights need the whole product.
    const whole = await model.gradient({ tokens, of, at, parameters: true });
    few.values.forEach((value, row) => expect(value).toBeCloseTo(whole.values[row]!, 4));
    // The same float32 sums in another order.
    for (const address of at) expect(apart(few.gradients[address], whole.gradients[address]), address).toBeLessThan(5e-5);
  });
});
