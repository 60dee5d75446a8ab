/**
 * @file The engine against the float64 reference at every point of every family: also those that no golden records (`embed`, the
 * norms' divisors, `head_out`), rows of different lengths, and what a generation reads on its way.
 */
import { afterAll, describe, expect, it } from "vitest";
import { allPlaces } from "../../src/models/address.js";
import { compareRuns, type ComparedRun } from "../reference/compare.js";
import { openReference } from "../reference/reference.js";
import { asRun, engineRun } from "./engine-run.js";
import { stackRows } from "./stack-rows.js";
import { modelShelf, SUBJECTS } from "./subjects.js";

/** One side is float32, and its roundings are all there is to see: half of what two such sides may differ by. Seen: 4e-6. */
const LIMITS = { relative: 1e-5 };

const shelf = modelShelf();
afterAll(shelf.close);

describe.each(SUBJECTS)("$name", ({ name, folder, tokens }) => {
  const reference = openReference(folder);

  it("has the points of the reference, and agrees at all of them", async () => {
    const model = await shelf.open(folder);
    const theirs = reference(tokens);
    expect(
      allPlaces(model.spec)
        .map(({ address }) => address)
        .toSorted(),
    ).toEqual([...theirs.points.keys()].toSorted());
    expectAgreement(await engineRun(model, { tokens, read: ["all"] }), theirs, name);
  });

  it("agrees at every point of rows of different lengths, with zeros behind their ends", async () => {
    const [first = [], second = []] = tokens;
    const ragged = [second.slice(0, 2), first, second.slice(0, 1)];
    const theirs = stackRows(ragged.map((row) => reference([row]).points));
    const ours = await engineRun(await shelf.open(folder), { tokens: ragged, read: ["all"] });
    expectAgreement(ours, { points: theirs }, `${name}/ragged`);
  });

  it("reads at every point of a generation what one pass over the same tokens has there", async () => {
    const model = await shelf.open(folder);
    const prompts = [tokens[0]!.slice(0, -2), tokens[1]!.slice(0, 1)];
    const read = allPlaces(model.spec).flatMap(({ address }) => (address === "logits" ? [] : [address]));
    const made = await model.generate({ tokens: prompts, maxNew: 3, stopTokens: [], read });
    const rows = prompts.map((prompt, row) => [...prompt, ...made.tokens[row]!.slice(0, -1)]);
    const theirs = rows.map((row, b) => reference([row], { decodedFrom: prompts[b]!.length, points: read }).points);
    expectAgreement(asRun(made), { points: stackRows(theirs) }, `${name}/generated`);
  });
});

function expectAgreement(ours: ComparedRun, theirs: ComparedRun, name: string): void {
  const { agrees, message } = compareRuns(ours, theirs, { ...LIMITS, name });
  expect(agrees, message).toBe(true);
}
