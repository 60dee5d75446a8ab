/** @file Shares of cases and of judgements, their intervals, and what they say where there is no case. */
import { expect, test } from "vitest";
import { normalNumbers } from "../../src/base/draws.js";
import { seededRandom } from "../../src/base/random.js";
import { wilson } from "../../src/base/wilson.js";
import { groupedShareFinding, meanFinding, shareFinding } from "../../src/studies/finding-of.js";

const hitsOf = (pattern: string): boolean[] => Array.from(pattern, (one) => one === "1");

test("judgements that repeat within a search make an interval no narrower than one judgement a search does", () => {
  const once = hitsOf("1101011101001110110111010110");
  const groups = [...once.keys()];
  const single = groupedShareFinding("a", "a", { hits: once, groups, seed: 3 });
  const tenfold = groupedShareFinding("a", "a", {
    hits: once.flatMap((hit) => Array<boolean>(10).fill(hit)),
    groups: groups.flatMap((group) => Array<number>(10).fill(group)),
    seed: 3,
  });
  expect([tenfold.value, tenfold.n, tenfold.interval]).toEqual([single.value, once.length, single.interval]);
  const { low, high } = shareFinding("a", "a", { hits: 180, n: 280 }).interval!;
  expect(single.interval!.high - single.interval!.low).toBeGreaterThan(2.5 * (high - low));
  expect(tenfold.note).toBe("280 judgements of 28 searches, which the interval takes whole");
});

test("the interval of judgements holds the share that they were drawn with in nineteen of twenty data sets", () => {
  const random = seededRandom(5);
  const sets = 200;
  let held = 0;
  for (let set = 0; set < sets; set++) {
    // 30 searches of 1 to 8 judgements; each search has its own share, 0.5 on average.
    const searches = Array.from(normalNumbers(30, random), (z) => ({ share: z > 0 ? 0.8 : 0.2, count: 1 + Math.floor(8 * random()) }));
    const groups = searches.flatMap(({ count }, search) => Array<number>(count).fill(search));
    const hits = groups.map((search) => random() < searches[search]!.share);
    const { low, high } = groupedShareFinding("a", "a", { hits, groups, seed: set }).interval!;
    if (low <= 0.5 && 0.5 <= high) held++;
  }
  // 190 expected, a little fewer since a bootstrap of 30 searches is a little narrow; deviation 3.
  expect(held).toBeGreaterThan(176);
});

test("where all judgements go one way the interval is Wilson's, of as many cases as searches", () => {
  const { low, high } = wilson(4, 4);
  const found = groupedShareFinding("a", "a", { hits: hitsOf("11111111"), groups: [0, 0, 0, 1, 1, 2, 3, 3], seed: 1 });
  expect(found).toMatchObject({ value: 1, n: 4, interval: { low, high, method: "wilson" } });
});

test("where there is no case the note says so, whatever else was to be noted", () => {
  const note = "a caveat";
  for (const found of [
    shareFinding("a", "a", { hits: 0, n: 0, note }),
    groupedShareFinding("a", "a", { hits: [], groups: [], seed: 1, note }),
    meanFinding("a", "a", { values: [], unit: "nats", seed: 1, note }),
  ])
    expect(found).toMatchObject({ value: null, n: 0, note: "there was no case" });
});
