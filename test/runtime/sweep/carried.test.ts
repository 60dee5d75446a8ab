/** @file A variant that held blocks pass by keeps its difference, whatever others do in these blocks. */
import { afterAll, expect, it } from "vitest";
import type { Counterfactual, SweepEdit } from "../../../src/runtime/sweep/request.js";
import { modelShelf } from "../../parity/subjects.js";
import { fixture } from "../support.js";
import { pairsFor } from "./cases.js";
import { equality } from "./compare.js";

const shelf = modelShelf();
afterAll(shelf.close);

it("an edit of what is held, in a block that another counterfactual edits, does not end what is carried past it", async () => {
  const model = await shelf.open(fixture("gpt-neo-mixed-untied"));
  expect(model.spec.layers.length).toBeGreaterThan(2);
  const start: SweepEdit = { at: "resid_pre.0", op: "patch" };
  for (const point of ["attn_out", "mlp_out"]) {
    const counterfactuals: Counterfactual[] = [
      {
        edits: [start, { at: `${point}.1`, op: "scale", by: 2 }],
        freeze: model.spec.layers.flatMap((_, layer) => [`attn_out.${layer}`, `mlp_out.${layer}`]),
      },
      { edits: [{ at: `${point}.1`, op: "patch", positions: ["end"] }] },
    ];
    const { first } = await equality(model, { pairs: pairsFor(model.spec, 1), counterfactuals, metrics: ["logit_diff", "slope"] });
    expect(first, point).toBeUndefined();
  }
});
