/**
 * @file Circuits that are known: the induction model, whose README says that head 1.2 copies the answer from the embedding through its value,
 * and a real model, on which scored circuits must beat drawn ones, and edges' scores stand for what runs without them say.
 */
import { afterAll, describe, expect, it } from "vitest";
import { compareScores } from "../../../src/analyses/circuits/compare.js";
import { edgeScores } from "../../../src/analyses/circuits/edge-scores.js";
import { faithfulnessCurve } from "../../../src/analyses/circuits/faithfulness.js";
import { edgeNames } from "../../../src/analyses/circuits/graph.js";
import { circuitsBySize, pruneCircuit } from "../../../src/analyses/circuits/prune.js";
import { runCircuits } from "../../../src/analyses/circuits/run-circuit.js";
import { seededRandom } from "../../../src/base/random.js";
import { readJsonObject } from "../../../src/formats/json-file.js";
import { fileURLToPath } from "node:url";
import { hasShared, sharedPath } from "../../shared.js";
import { circuitShelf } from "./circuit-model.js";

const shelf = circuitShelf();
afterAll(shelf.close);

describe("the induction model", () => {
  const [NEAR, THE, MIRA, HILL, STONE] = [17, 1, 49, 58, 57];
  const sentence = (surname: number): number[] => [0, THE, 33, 11, NEAR, MIRA, surname, 29, THE, 34, 9, MIRA];
  const data = { pairs: [{ clean: sentence(HILL), corrupted: sentence(STONE) }], of: `logits[-1,${HILL}]-logits[-1,${STONE}]` };
  const planted = ["input->a1.h2<v>", "a1.h2->logits"];
  const model = () => shelf.open(fileURLToPath(new URL("../../../models/induction", import.meta.url)));

  it.each([undefined, 5])("is found, two edges of 110, with %s steps", async (steps) => {
    const { graph, scores } = await edgeScores(model(), { ...data, ...(steps && { steps }) });
    for (const method of ["top", "greedy"] as const) {
      const names = pruneCircuit(graph, { scores, edges: 2, method }).map((edge) => edgeNames(graph)[edge]);
      expect(names).toEqual(planted);
    }
  });

  it("does all that the model does with these two edges, and nothing of it without either", async () => {
    const { graph } = await edgeScores(model(), data);
    const names = edgeNames(graph);
    const circuit = planted.map((name) => names.indexOf(name));
    const others = names.map((_, edge) => edge);
    const circuits = [circuit, ...circuit.map((gone) => others.filter((edge) => edge !== gone))];
    const { clean, corrupted, circuits: found } = await runCircuits(model(), { ...data, circuits });
    const share = (value: number): number => (value - corrupted[0]!) / (clean[0]! - corrupted[0]!);
    expect(found.map((values) => share(values[0]!))).toEqual([expect.closeTo(1, 2), expect.closeTo(0, 2), expect.closeTo(0, 2)]);
  });
});

describe.skipIf(!hasShared)("stories15M", () => {
  const model = () => shelf.open(sharedPath("models", "stories15M"));
  const asked = (): { pairs: { clean: number[]; corrupted: number[] }[]; of: string } => {
    const golden = readJsonObject(sharedPath("goldens", "sweeps", "stories15M", "golden.json"));
    const { clean, corrupted, answer, wrong } = golden as unknown as Record<"clean" | "corrupted", number[]> &
      Record<"answer" | "wrong", number>;
    return { pairs: [{ clean, corrupted }], of: `logits[-1,${answer}]-logits[-1,${wrong}]` };
  };

  it("is kept by scored circuits better than by drawn ones, and by steps better than without", async () => {
    const data = asked();
    const { graph, scores: plain } = await edgeScores(model(), data);
    const { scores: stepped } = await edgeScores(model(), { ...data, steps: 5 });
    const random = seededRandom(1);
    const drawn = plain.map(() => random());
    const shares = [0.02, 0.1, 0.5, 1];
    const curves = [];
    for (const scores of [drawn, plain, stepped]) {
      const sizes = circuitsBySize(graph, { scores, method: "greedy" }, shares);
      const runs = await runCircuits(model(), { ...data, circuits: sizes.map(({ edges }) => edges) });
      curves.push(faithfulnessCurve({ ...runs, shares }));
    }
    const [none, eap, ig] = curves.map(({ cmd }) => cmd) as [number, number, number];
    expect(none).toBeGreaterThan(3 * eap);
    expect(ig).toBeLessThan(eap);
    expect(curves[2]!.points.map(({ faithfulness }) => faithfulness > 0.4)).toEqual([true, true, true, true]);
  });

  it("loses, without an edge, about what the edge's score says", async () => {
    const data = asked();
    const { graph, scores } = await edgeScores(model(), data);
    const all = Array.from({ length: graph.edges }, (_, edge) => edge);
    const order = all.toSorted((a, b) => Math.abs(scores[b]!) - Math.abs(scores[a]!));
    const sample = [...order.slice(0, 10), ...[100, 300, 600, 900, 1200, 1500].map((place) => order[place]!)];
    const { clean, circuits } = await runCircuits(model(), {
      ...data,
      circuits: sample.map((gone) => all.filter((edge) => edge !== gone)),
    });
    const exact = circuits.map((values) => values[0]! - clean[0]!);
    const agreement = compareScores(sample.map((edge) => scores[edge]!), exact, { top: 5 }); // prettier-ignore
    expect(agreement.spearman).toBeGreaterThan(0.7);
    expect(agreement.sameSign).toBe(1);
  });
});
