/** @file Every family's gradients against central differences of the float64 reference, along a random direction at each point. */
import { afterAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/base/random.js";
import type { Tensor } from "../../../src/base/tensor.js";
import { expandAddresses, type Place } from "../../../src/models/address.js";
import { modelShelf, SUBJECTS } from "../../parity/subjects.js";
import type { Edit } from "../../reference/edits.js";
import { openReference } from "../../reference/reference.js";

const shelf = modelShelf();
afterAll(shelf.close);

const STEP = 1e-5;
const TOKENS = [1, 2] as const;

/** One place of each point that the model has, layers taken in turn. */
function onePlaceEach(places: readonly Place[]): Place[] {
  const byPoint = new Map<string, Place[]>();
  for (const place of places) byPoint.set(place.point, [...(byPoint.get(place.point) ?? []), place]);
  return [...byPoint.values()].map((list, i) => list[i % list.length]!);
}

/** Where patterns are all but one-hot, `p (1 − p)` in float32 has few digits: with p = 0.9999 it is right to one in a thousand. */
const TOLERANCES: Readonly<Record<string, number>> = { induction: 2e-3 };

describe.each(SUBJECTS)("$name", ({ name, folder, tokens }) => {
  it("has the reference's slopes", async () => {
    const model = await shelf.open(folder);
    const reference = openReference(folder);
    const of = `logits[-1,${TOKENS[0]}]-logits[-1,${TOKENS[1]}]`;
    const metric = (edits: readonly Edit[]): number => {
      const { logits } = reference(tokens, { edits, points: [] });
      const [, width = 0, vocab = 0] = logits.shape;
      return tokens.reduce((total, row, i) => {
        const at = (i * width + row.length - 1) * vocab;
        return total + logits.data[at + TOKENS[0]]! - logits.data[at + TOKENS[1]]!;
      }, 0);
    };
    const places = onePlaceEach(expandAddresses(model.spec, ["all"]).filter(({ point }) => point !== "experts" && point !== "logits"));
    const { gradients } = await model.gradient({ tokens, of, at: places.map(({ address }) => address) });
    const random = seededRandom(5);
    for (const { address } of places) {
      const { data, shape } = gradients[address] as Tensor<Float32Array>;
      const direction = Array.from(data, () => 2 * random() - 1);
      const change = (strength: number): number => metric([{ at: address, op: "add", vector: { shape, data: direction }, strength }]);
      const measured = (change(STEP) - change(-STEP)) / (2 * STEP);
      const ours = direction.reduce((total, part, i) => total + part * data[i]!, 0);
      const scale = Math.sqrt(data.reduce((total, value) => total + value * value, 0));
      expect(Math.abs(ours - measured), `${address}: ${ours} against ${measured}`).toBeLessThan(
        (TOLERANCES[name] ?? 1e-4) * (scale + Math.abs(measured)) + 1e-6,
      );
    }
  });
});
