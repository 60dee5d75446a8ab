/** @file Lines in a terminal: which dots are set, what fits, and how series are told apart. */
import { describe, expect, test } from "vitest";
import type { CurveSeries } from "../../src/charts/curves.js";
import { terminalCurve } from "../../src/charts/terminal-curve.js";
import { displayWidth } from "../../src/charts/text.js";

const line = (y: readonly (number | undefined)[], name = "loss"): CurveSeries => ({ name, x: y.map((_, i) => i), y });
const plain = { colour: false, columns: 40 };
/** The rows of the plot, without labels and axis. */
const plotOf = (text: string): string[] => text.split("\n").flatMap((row) => row.split("┤").slice(1));

test("a falling line with its axes", () => {
  const y = Array.from({ length: 40 }, (_, i) => 1 + 5 * Math.exp(-i / 8));
  const text = terminalCurve([line(y)], { ...plain, title: "loss of a model", xLabel: "step", rows: 6 });
  expect(`\n${text}\n`).toMatchInlineSnapshot(`
    "
    loss of a model
    6 ┤⠢⡀
      ┤ ⠘⢄
    4 ┤   ⠑⢄
      ┤     ⠉⠒⠤⣀
    2 ┤         ⠉⠒⠤⢄⣀⣀⡀
      ┤               ⠈⠉⠉⠑⠒⠒⠒⠒⠒⠒⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤
      └┬─────────────────┬──────────────────
       0                20
                       step
    "
  `);
});

describe("dots", () => {
  test("of a rising straight line are a diagonal", () => {
    const rows = plotOf(terminalCurve([line([0, 1])], { ...plain, rows: 4 }));
    expect(rows).toHaveLength(4);
    const columns = rows.map((row) => Array.from(row).findIndex((character) => character !== " "));
    for (const [i, column] of columns.slice(1).entries()) expect(column).toBeLessThan(columns[i]!);
  });

  test("are missing where a line is interrupted", () => {
    const [whole, gap] = [line([1, 1, 1, 1, 1]), line([1, 1, undefined, 1, 1])].map(
      (series) =>
      plotOf(terminalCurve([series], { ...plain, rows: 3 })).join("").replaceAll(" ", "").length, // oxfmt-ignore
    );
    expect(gap!).toBeGreaterThan(whole! * 0.4);
    expect(gap!).toBeLessThan(whole! * 0.6);
  });

  test("of powers of ten lie on a line where the axis is logarithmic", () => {
    const options = { ...plain, rows: 8 };
    const logarithmic = terminalCurve([line([1, 10, 100, 1000])], { ...options, log: { y: true } });
    // Labels of as many digits, so that as much is left for the plot.
    expect(plotOf(logarithmic)).toEqual(plotOf(terminalCurve([line([0, 1000, 2000, 3000])], options)));
  });
});

describe("several series", () => {
  const both = [line([1, 1], "one"), line([2, 2], "two")];

  test("have signs of their own where there is no colour", () => {
    const text = terminalCurve(both, { ...plain, rows: 4 });
    expect(text).toContain("⠒⠒ one  + two");
    expect(text).not.toContain("\x1b");
    expect(plotOf(text)[0]).toMatch(/^\++$/);
  });

  test("have colours of their own where there is", () => {
    const text = terminalCurve(both, { colour: true, columns: 40, rows: 4 });
    const rows = plotOf(text);
    expect(rows[0]).toContain("\x1b[38;5;208m");
    expect(rows.at(-1)).toContain("\x1b[38;5;33m");
    expect(rows[0]).not.toContain("\x1b[38;5;33m");
  });

  test("that lie on each other show the first", () => {
    const text = terminalCurve([both[0]!, line([1, 1], "same")], { ...plain, rows: 4 });
    expect(plotOf(text).join("")).not.toContain("+");
  });
});

test("a faint line lies below the others, even the first", () => {
  const series = [{ ...line([1, 1], "each"), faint: true }, line([1, 1], "mean")];
  expect(plotOf(terminalCurve(series, { ...plain, rows: 4 })).join("")).toMatch(/^[ +]+$/);
});

test.each([20, 40, 80, 200])("stays within %d columns", (columns) => {
  const y = Array.from({ length: 500 }, (_, i) => 1e-7 * Math.sin(i));
  const text = terminalCurve([line(y)], { colour: false, columns, title: "t", xLabel: "step" });
  expect(Math.max(...text.split("\n").map(displayWidth))).toBeLessThanOrEqual(columns);
});

test("nothing to draw is refused", () => {
  expect(() => terminalCurve([line([undefined])], plain)).toThrow("internal: terminalCurve: 1 series have no point to draw");
});
