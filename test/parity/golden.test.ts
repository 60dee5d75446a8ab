/** @file Every tiny golden and every fixture: what `transformers` gave is what the engine gives. */
import { afterAll, describe, expect, it } from "vitest";
import type { Comparison } from "../reference/compare.js";
import { LIMITS, measureGolden, type Measured } from "./measure.js";
import { FIXTURE_FOLDERS, modelShelf, TINY_FOLDERS } from "./subjects.js";

const shelf = modelShelf();
afterAll(shelf.close);

describe.each([...FIXTURE_FOLDERS, ...TINY_FOLDERS])("$name", ({ name, folder }) => {
  let measuring: Promise<Measured> | undefined;
  const measured = (): Promise<Measured> => (measuring ??= shelf.open(folder).then((model) => measureGolden(model, folder, name)));

  it("agrees at every point and on the logits", async () => {
    const { clean } = await measured();
    for (const run of clean) expectAgreement(run);
  });

  it("agrees under every edit", async () => {
    const { edited } = await measured();
    expect(edited.length).toBeGreaterThan(2);
    for (const { comparison } of edited) expectAgreement(comparison);
  });

  it("gives a short row beside a longer one what it gives it alone", async () => {
    expectAgreement((await measured()).short!);
  });

  it("continues greedily with the same tokens and logits", async () => {
    const { greedy, continued } = await measured();
    expect(greedy.problem).toBeUndefined();
    expect(greedy.total).toBeGreaterThan(1);
    expectAgreement(continued!);
  });
});

function expectAgreement({ agrees, message, differences }: Comparison): void {
  expect(agrees, message).toBe(true);
  const turned = differences.find(({ cosine }) => !(1 - cosine < LIMITS.cosine));
  expect(turned, `${message} but ${turned?.address} has cosine ${turned?.cosine}`).toBeUndefined();
}
