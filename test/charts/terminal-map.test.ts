/** @file Maps of signed values as text: what they look like, that colour only adds escape codes, and that nothing overflows. */
import { describe, expect, test } from "vitest";
import { divergingMap } from "../../src/charts/terminal-map.js";
import { displayWidth } from "../../src/charts/text.js";

const plain = { colour: false, columns: 80 };
const values = [
  [0.04, -1, 0.66, undefined],
  [1, 0.31, -0.049, -0.7],
];
const options = { rowLabels: ["L0", "L1"], columnLabels: ["<s>", " Tom", "\n", "日本"] };

/** The text without ANSI codes. */
function uncoloured(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/\x1b\[[\d;]*m/g, "");
}

describe("without colour", () => {
  test("cells are tenths of the limit under upright labels", () => {
    const labelled = { ...options, title: "resid_pre", xLabel: "token", yLabel: "layer", unit: "share" };
    expect(`\n${divergingMap([{ values }], { ...labelled, ...plain })}\n`).toMatchInlineSnapshot(`
      "
      resid_pre
      layer ↓  token →

              ·
           <  T
           s  o    日
           >  m  ⏎ 本
      L0   ·-10  7  /
      L1  10  3  · -7

      tenths of 1 (share)
      -1 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 1
      · within 0.05 of 0, / no value
      "
    `);
  });

  test("short labels lie over their columns, and marked cells have a star", () => {
    const marked = values.map((row) => row.map((value) => value === 1 || value === -1));
    const text = divergingMap([{ values, marked }], { ...options, ...plain, columnLabels: ["0", "1", "2", "11"], markedMeans: "p < 0.05" });
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
           0   1   2  11
      L0   · -10*  7   /
      L1  10*  3   ·  -7

      tenths of 1
      -1 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 1
      · within 0.05 of 0, / no value, * p < 0.05
      "
    `);
  });

  test("a given limit may be exceeded, and the legend says so", () => {
    const text = divergingMap([{ values }], { ...options, ...plain, limit: 0.5 });
    expect(text).toContain("· within 0.025 of 0, 10 and -10 also beyond, / no value");
    expect(text).toMatch(/^L1 {2}10 {2}6 -1-10$/m);
  });
});

describe("with colour", () => {
  test("every cell has a background and an ink", () => {
    const lines = divergingMap([{ values }], { ...options, colour: true, columns: 80 }).split("\n");
    expect(JSON.stringify(lines.find((line) => line.startsWith("L0")))).toMatchInlineSnapshot(
      `""L0 \\u001b[48;5;255;38;5;16m  ·\\u001b[0m\\u001b[48;5;17;38;5;231m-10\\u001b[0m\\u001b[48;5;124;38;5;231m  7\\u001b[0m\\u001b[48;5;250;38;5;16m  /\\u001b[0m""`,
    );
  });

  test("nothing is added but colour", () => {
    const coloured = divergingMap([{ values }], { ...options, colour: true, columns: 80 });
    expect(uncoloured(coloured)).toBe(divergingMap([{ values }], { ...options, ...plain }));
  });
});

describe("pages", () => {
  const wide = Array.from({ length: 3 }, (_, row) => Float64Array.from({ length: 9 }, (__, column) => (row - 1) * column));
  const wideOptions = { rowLabels: ["first", "second", "third"], columnLabels: Array.from({ length: 9 }, (_, column) => String(column)) };

  test("a panel wider than the terminal continues below; panels follow one another", () => {
    const panels = ["one", "two"].map((title) => ({ title, values: wide }));
    const text = divergingMap(panels, { ...wideOptions, colour: false, columns: 24 });
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
      one
               0  1  2  3  4
      first    · -1 -3 -4 -5
      second   ·  ·  ·  ·  ·
      third    ·  1  3  4  5

      one (continued)
               5  6  7  8
      first   -6 -8 -9-10
      second   ·  ·  ·  ·
      third    6  8  9 10

      two
               0  1  2  3  4
      first    · -1 -3 -4 -5
      second   ·  ·  ·  ·  ·
      third    ·  1  3  4  5

      two (continued)
               5  6  7  8
      first   -6 -8 -9-10
      second   ·  ·  ·  ·
      third    6  8  9 10

      tenths of 8
      -8 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 8
      · within 0.4 of 0
      "
    `);
    const maps = text.split("\n\n").slice(0, -1).join("\n").split("\n");
    expect(Math.max(...maps.map(displayWidth))).toBeLessThanOrEqual(24);
  });

  test("each has one column at least, and all columns where there is no width to keep to", () => {
    const maps = (columns: number): number =>
      divergingMap([{ values: wide }], { ...wideOptions, colour: false, columns }).split("\n\n").length - 1;
    expect([maps(1), maps(Infinity)]).toEqual([9, 1]);
  });
});

test("tokens cannot steer the terminal", () => {
  const text = divergingMap([{ values: [[1]] }], { ...plain, rowLabels: ["r"], columnLabels: ["\x1b[31m"] });
  expect(text).not.toContain("\x1b");
});

test("wants a value for each pair of labels", () => {
  expect(() => divergingMap([{ values: [[1, 2]] }], { ...options, ...plain })).toThrowErrorMatchingInlineSnapshot(
    `[SextantError: internal: divergingMap: values of panel 0: 1 rows for 2 labels]`,
  );
  expect(() => divergingMap([{ values: [[1], [2]] }], { ...options, ...plain })).toThrowErrorMatchingInlineSnapshot(
    `[SextantError: internal: divergingMap: values of panel 0: 1 values in row 0 for 4 column labels]`,
  );
});
