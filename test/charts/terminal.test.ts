/** @file Charts as text: what they look like without colour, that colour only adds escape codes, and that nothing overflows. */
import { describe, expect, test } from "vitest";
import { heatMap, shaded, table } from "../../src/charts/terminal.js";
import { displayWidth, fitText, visibleToken } from "../../src/charts/text.js";

const plain = { colour: false, columns: 80 };
const inColour = { colour: true, columns: 80 };
const PREVIOUS = [0, 1, 2, 3].map((query) =>
  Float32Array.from({ length: 4 }, (_, key) => (key === Math.max(0, query - 1) ? 1 : key > query ? 0 : 0.1)),
);

/** The text without ANSI codes. */
function uncoloured(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/\x1b\[[\d;]*m/g, "");
}

describe("heat map", () => {
  test("shades cells by their share", () => {
    expect(`\n${heatMap(PREVIOUS, ["<bos>", " the", "cat\n", "日本"], plain)}\n`).toMatchInlineSnapshot(`
      "
               0 1 2 3
      0 <bos> ██
      1 ·the  ██░░
      2 cat⏎  ░░██░░
      3 日本  ░░░░██░░
              0 ░░▒▒▓▓██ 1
      "
    `);
  });

  test("in colour every cell is a space on a background", () => {
    const text = heatMap(PREVIOUS, ["a", "b", "c", "d"], inColour);
    expect(text).toContain("\x1b[48;5;226;38;5;16m  \x1b[0m");
    expect(uncoloured(text)).not.toMatch(/[░▒▓█]/);
  });

  test("says which columns do not fit", () => {
    const wide = Array.from({ length: 30 }, () => new Float32Array(30));
    const lines = heatMap(
      wide,
      wide.map(() => "x"),
      { colour: false, columns: 20 },
    ).split("\n");
    expect(lines).toContain("(columns 0 to 14 do not fit)");
    expect(Math.max(...lines.slice(0, -2).map(displayWidth))).toBeLessThanOrEqual(20);
  });
});

describe("table", () => {
  const rows = [
    [{ text: "0" }, { text: "·cat", share: 0.3 }, { text: "日本", share: 0.9 }],
    [{ text: "11" }, { text: "a very long token indeed", share: 0 }, { text: "dog" }],
  ];

  test("aligns columns and cuts what is too wide", () => {
    expect(`\n${table(rows, { ...plain, header: ["layer", "0 the", "1 cat"], widest: 12 })}\n`).toMatchInlineSnapshot(`
      "
      layer         0 the  1 cat
      0              ·cat   日本
      11     a very long…    dog
      "
    `);
  });

  test("continues below when it is wider than the terminal, the first column repeated", () => {
    expect(`\n${table(rows, { colour: false, columns: 20, header: ["layer", "0 the", "1 cat"], widest: 12 })}\n`).toMatchInlineSnapshot(`
      "
      layer         0 the
      0              ·cat
      11     a very long…

      layer  1 cat
      0       日本
      11       dog
      "
    `);
  });

  test("is never broken where there is no width to keep to", () => {
    expect(table(rows, { colour: false, columns: Infinity, header: ["", "", ""], widest: 99 }).split("\n")).toHaveLength(3);
  });

  test("colour adds nothing but colour", () => {
    const options = { header: ["layer", "0 the", "1 cat"], align: ["left", "left", "left"] } as const;
    const coloured = table(rows, { ...options, ...inColour });
    expect(coloured).toContain("\x1b[");
    expect(uncoloured(coloured).replace(/ +$/gm, "")).toBe(table(rows, { ...options, ...plain }));
  });

  test("next to nothing is not shaded", () => {
    expect(shaded("x", 0.01, true)).toBe("x");
    expect(shaded("x", NaN, true)).toBe("x");
  });
});

describe("tokens", () => {
  test("cannot steer the terminal", () => {
    expect(visibleToken(" a\n\tb\x1b[31m\u202e")).toBe("·a⏎⇥b\\x1b[31m\\x202e");
  });

  test("are as wide as a terminal draws them", () => {
    expect(["cat", "日本", "é", "é", "👍🏽", ""].map(displayWidth)).toEqual([3, 4, 1, 1, 2, 0]);
    expect(fitText("日本語", 5)).toBe("日本…");
    expect(fitText("ab", 4, "right")).toBe("  ab");
  });
});
