/** @file The SVG of bars and dots: where marks lie, what is said in words, what is refused, that nothing breaks out of it. */
import { describe, expect, test } from "vitest";
import { barsSvg, type Bar } from "../../src/charts/bars.js";

const plotOf = (svg: string): { left: number; top: number; width: number; height: number } => {
  const [, left, top, width, height] = /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="none" stroke="#9a9a9a"/
    .exec(svg)!
    .map(Number);
  return { left: left!, top: top!, width: width!, height: height! };
};
/** Left and width of each bar. */
const rectsOf = (svg: string): number[][] =>
  [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="[\d.]+" fill="#\w+" fill-opacity="0.75"/g)].map(
    ([, x, width]) => [Number(x), Number(width)],
  );

describe("barsSvg", () => {
  test("of a tiny one", () => {
    const svg = barsSvg(
      [
        { label: "heads off", value: 0.5, low: 0.25, high: 0.75, group: "a", controls: [{ name: "random", value: 0.1 }] },
        { label: "units off", value: null, note: "not run" },
      ],
      { title: "a < b", xLabel: "cases", unit: "share", references: [{ value: 1, label: "all" }], width: 480 },
    );
    expect(svg).toMatchSnapshot();
  });

  test("puts bars, whiskers, controls and references on one scale", () => {
    const bars: Bar[] = [{ label: "x", value: 0.5, low: 0.25, high: 0.75, controls: [{ name: "c", value: 0.1 }] }];
    const svg = barsSvg(bars, { unit: "share", references: [{ value: 1, label: "end" }] });
    const { left, width } = plotOf(svg);
    const at = (share: number): number => Math.round((left + share * width) * 10) / 10;
    expect(rectsOf(svg)).toEqual([[left, Math.round((at(0.5) - left) * 10) / 10]]);
    expect(svg).toMatch(new RegExp(`<path d="M${at(0.25)} [\\d.]+H${at(0.75)}M`));
    expect(svg).toMatch(new RegExp(`<path d="M${at(0.1)} [\\d.]+v[\\d.]+" fill="none" stroke="#000000"`));
    expect(svg).toMatch(new RegExp(`<path d="M${at(1)} [\\d.]+V[\\d.]+" stroke="#5c5c5c" stroke-dasharray="3 3"`));
  });

  test("draws bars to both sides of zero, and dots without it", () => {
    const bars = [
      { label: "a", value: -3 },
      { label: "b", value: 1 },
    ];
    const [[from, width], [zero, other]] = rectsOf(barsSvg(bars)) as [[number, number], [number, number]];
    expect(from + width).toBeCloseTo(zero, 6);
    expect(width / other).toBeCloseTo(3, 1);
    const far = barsSvg([{ label: "a", value: 100, low: 99, high: 101 }], { marks: "dots" });
    expect(rectsOf(far)).toEqual([]);
    expect(far).not.toContain(">0</text>");
  });

  test("says each value, its interval and what it is read beside", () => {
    const svg = barsSvg(
      [{ label: "three heads", value: 0.9533, low: 0.924, high: 0.972, controls: [{ name: "random heads", value: 0 }] }],
      {
        unit: "share",
      },
    );
    expect(svg).toContain(">95.3 % (92.4 % to 97.2 %)</text>");
    expect(svg).toContain("<title>three heads: 95.3 % (92.4 % to 97.2 %); random heads: 0 %</title>");
    expect(svg).toMatch(/<desc>One row, values from 0 % to 100 %\. three heads: 95\.3 %/);
  });

  test("says where there is no value, and why", () => {
    const svg = barsSvg([{ label: "a", value: null, note: "no cases" }]);
    expect(svg).toContain(">no value: no cases</text>");
    expect(svg).toContain("<title>a: no value; no cases</title>");
    expect(rectsOf(svg)).toEqual([]);
  });

  test("shortens long labels and keeps them whole in the tooltip", () => {
    const label = `begins ${"x".repeat(100)} ends`;
    const svg = barsSvg([{ label, value: 1 }]);
    expect(svg).toContain(`<title>${label}: 1</title>`);
    expect([...svg.matchAll(/text-anchor="end">([^<]*)</g)].map(([, text]) => text!.length)).toEqual([40]);
  });

  test("has room for 80 rows and as many groups as there are signs", () => {
    const bars = Array.from({ length: 80 }, (_, i) => ({ label: `L${i}`, value: i, group: `g${i % 6}` }));
    const svg = barsSvg(bars);
    const { top, height } = plotOf(svg);
    const rows = [...svg.matchAll(/<text x="[\d.]+" y="([\d.]+)" font-size="11" text-anchor="end">/g)].map(([, y]) => Number(y));
    expect(rows).toHaveLength(80);
    expect(Math.min(...rows)).toBeGreaterThan(top);
    expect(Math.max(...rows)).toBeLessThan(top + height);
    expect(new Set(rows.map((y, i) => Math.round((y - (rows[i - 1] ?? y)) * 10))).size).toBe(2);
    // All groups but the first are hatched.
    expect(svg.match(/stroke="#ffffff" stroke-opacity="0.6"/g)!.length).toBeGreaterThan(60);
  });

  test("names neighbouring references on lines of their own", () => {
    const references = [0.5, 0.51, 0.52].map((value) => ({ value, label: `published value ${value}` }));
    const svg = barsSvg([{ label: "a", value: 0.4 }], { references });
    const heights = [...svg.matchAll(/y="([\d.]+)"[^>]*>published value/g)].map(([, y]) => y);
    expect(new Set(heights).size).toBe(3);
  });

  test("lets nothing break out of it", () => {
    const evil = `</svg><script>"'\u0000\u202e`;
    const svg = barsSvg([{ label: evil, value: 1, group: evil, note: evil, controls: [{ name: evil, value: 0 }] }], {
      title: evil,
      xLabel: evil,
      references: [{ value: 1, label: evil }],
    });
    expect(svg).not.toContain("<script>");
    expect(svg).not.toContain("\u0000");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
    expect(svg.replaceAll(/<title>.*?<\/title>\n<desc>/g, "")).not.toMatch(/<style|class=|style=|url\(|id=/);
    expect(svg.slice(svg.indexOf("<desc>"))).toContain("\\x202e");
  });

  test("refuses what is no number, and intervals that are none", () => {
    expect(() => barsSvg([])).toThrow("barsSvg: 0 rows");
    expect(() => barsSvg(Array.from({ length: 201 }, () => ({ label: "a", value: 1 })))).toThrow("201 rows");
    expect(() => barsSvg([{ label: "a", value: NaN }])).toThrow('row "a": value is NaN');
    expect(() => barsSvg([{ label: "a", value: 1, low: -Infinity, high: 2 }])).toThrow("low is -Infinity");
    expect(() => barsSvg([{ label: "a", value: 1, low: 2, high: 1 }])).toThrow("an interval from 2 to 1");
    expect(() => barsSvg([{ label: "a", value: 1, low: 0 }])).toThrow("an interval from 0 to undefined");
    expect(() => barsSvg([{ label: "a", value: 1, controls: [{ name: "c", value: NaN }] }])).toThrow('control "c" is NaN');
    expect(() => barsSvg([{ label: "a", value: 1 }], { references: [{ label: "r", value: NaN }] })).toThrow('the reference "r" is NaN');
  });
});
