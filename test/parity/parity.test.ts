/**
 * @file What `transformers` gave is what the engine gives: every tiny golden, every fixture, and real models on real text; and
 * `docs/parity.md` says so. Each folder is measured once.
 */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { encodeChat } from "../../src/formats/chat.js";
import { loadTokenizer } from "../../src/formats/tokenizer.js";
import type { Comparison } from "../reference/compare.js";
import { hasShared, sharedPath } from "../shared.js";
import { LIMITS, measureGolden, measureReal, realPrompts, type Measured } from "./measure.js";
import { disagreements, measureAll, renderParity, type Measure } from "./report.js";
import { FIXTURE_FOLDERS, modelShelf, REAL_MODELS, TINY_FOLDERS } from "./subjects.js";

const shelf = modelShelf();
afterAll(shelf.close);

const measured = new Map<string, Promise<Measured>>();

/** The measurement of a folder, made when it is first asked for. */
function once(name: string, work: () => Promise<Measured>): Promise<Measured> {
  const known = measured.get(name) ?? work();
  measured.set(name, known);
  return known;
}

const MEASURE: Measure = {
  golden: ({ name, folder }) => once(name, async () => measureGolden(await shelf.open(folder), folder, name)),
  real: (name) => once(name, async () => measureReal(await shelf.open(sharedPath("models", name)), name)),
};

describe.each([...FIXTURE_FOLDERS, ...TINY_FOLDERS])("$name", (subject) => {
  it("agrees at every point and on the logits", async () => {
    const { clean } = await MEASURE.golden(subject);
    for (const run of clean) expectAgreement(run);
  });

  it("agrees under every edit", async () => {
    const { edited } = await MEASURE.golden(subject);
    expect(edited.length).toBeGreaterThan(2);
    for (const { comparison } of edited) expectAgreement(comparison);
  });

  it("gives a short row beside a longer one what it gives it alone", async () => {
    expectAgreement((await MEASURE.golden(subject)).short!);
  });

  it("continues greedily with the same tokens and logits", async () => {
    const { greedy, continued } = await MEASURE.golden(subject);
    expect(greedy.problem).toBeUndefined();
    expect(greedy.total).toBeGreaterThan(1);
    expectAgreement(continued!);
  });
});

describe.skipIf(!hasShared).each(REAL_MODELS)("%s", (name) => {
  const prompts = hasShared ? realPrompts(name) : [];

  it.each(prompts)("reads $prompt as the same ids", ({ prompt, text, tokens, greedy, greedy_text }) => {
    const tokenizer = loadTokenizer(sharedPath("models", name));
    const chat = prompt.startsWith("CHAT:") && encodeChat(tokenizer, [{ role: "user", content: prompt.slice("CHAT:".length) }]);
    if (chat) expect(chat).toMatchObject({ text, ids: tokens });
    else expect(tokenizer.encode(text).ids).toEqual(tokens);
    expect(tokenizer.decode(greedy)).toBe(greedy_text);
  });

  it("agrees at every point, on the last logits, and goes on with the same forty tokens", async () => {
    const { clean, greedy } = await MEASURE.real(name);
    for (const run of clean) expectAgreement(run);
    expect(greedy.problem).toBeUndefined();
    expect(greedy.total).toBe(40 * prompts.length);
  });

  it("has no token that rounding could decide, so that all can be demanded", () => {
    for (const { prompt, smallest_gap } of prompts) expect(smallest_gap, prompt).toBeGreaterThan(10 * LIMITS.logits);
  });
});

describe.skipIf(!hasShared)("docs/parity.md", () => {
  it("says what is measured now (if not: npm run parity)", async () => {
    const report = await measureAll(MEASURE);
    expect(disagreements(report)).toEqual([]);
    const page = readFileSync(new URL("../../docs/parity.md", import.meta.url), "utf8");
    expect(renderParity(report, page)).toBe(page);
  });
});

function expectAgreement({ agrees, message, differences }: Comparison): void {
  expect(agrees, message).toBe(true);
  const turned = differences.find(({ cosine }) => !(1 - cosine < LIMITS.cosine));
  expect(turned, `${message} but ${turned?.address} has cosine ${turned?.cosine}`).toBeUndefined();
}
