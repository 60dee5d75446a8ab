/** @file The SVG of shares: widths, signs besides colour, words, refusals. */
import { describe, expect, test } from "vitest";
import { stackedSharesSvg } from "../../src/charts/stacked-shares.js";

const part = (name: string, share: number): { name: string; share: number } => ({ name, share });

/** Left and width of each part's rim, the legend's apart. */
function partsOf(svg: string): [left: number, width: number][] {
  return [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="15.8" fill="none" stroke="#ffffff"/g)].map(
    ([, x, width]) => [Number(x), Number(width)],
  );
}

describe("stackedSharesSvg", () => {
  test("of a tiny one", () => {
    const svg = stackedSharesSvg(
      [
        { label: "none", parts: [part("disabled", 0), part("verifies", 1)], note: "300 cases" },
        { label: "three heads", parts: [part("disabled", 0.95), part("verifies", 0.05)] },
        { label: "not run", parts: [] },
      ],
      { title: "Outcomes", xLabel: "cases", width: 420 },
    );
    expect(svg).toMatchSnapshot();
  });

  test("sets parts beside one another, as wide as they are", () => {
    const parts = partsOf(stackedSharesSvg([{ label: "a", parts: [part("x", 0.5), part("y", 0.25), part("z", 0.125)] }]));
    expect(parts).toHaveLength(3);
    const [[x, half], [y, quarter], [z, eighth]] = parts as [[number, number], [number, number], [number, number]];
    expect(y).toBeCloseTo(x + half, 1);
    expect(z).toBeCloseTo(y + quarter, 1);
    // Places are rounded to a tenth of a pixel.
    expect(Math.abs(half - 4 * eighth)).toBeLessThan(0.5);
    expect(Math.abs(half - 2 * quarter)).toBeLessThan(0.3);
  });

  test("gives a part one colour and one hatching in all rows", () => {
    const svg = stackedSharesSvg([
      { label: "a", parts: [part("x", 0.5), part("y", 0.5)] },
      { label: "b", parts: [part("y", 1)] },
    ]);
    const fillsOf = (tooltip: string): string | undefined =>
      new RegExp(`<title>${tooltip}</title><rect [^>]*fill="(#\\w+)"`).exec(svg)?.[1];
    expect(fillsOf("a, y: 50.0 %")).toBe("#d55e00");
    expect(fillsOf("b, y: 100 %")).toBe("#d55e00");
    expect(fillsOf("a, x: 50.0 %")).toBe("#0072b2");
    const hatched = [...svg.matchAll(/<g><title>(\w, \w)[^<]*<\/title><rect [^>]*\/><path /g)].map(([, name]) => name);
    expect(hatched).toEqual(["a, y", "b, y"]);
  });

  test("prints percentages where they fit, and tells all in words", () => {
    const svg = stackedSharesSvg([{ label: "a", parts: [part("x", 0.99), part("y", 0.01)] }]);
    expect(svg).toContain(">99.0 %</text>");
    expect(svg).not.toContain(">1.0 %</text>");
    expect(svg).toContain("<title>a, y: 1.0 %</title>");
    expect(svg).toContain("<desc>One bar of shares. a: x 99.0 %, y 1.0 %.</desc>");
    expect(stackedSharesSvg([{ label: "a", parts: [] }])).toContain(">no value</text>");
  });

  test("lets nothing break out of it", () => {
    const evil = `</svg><script>"'\u0000\u202e`;
    const svg = stackedSharesSvg([{ label: evil, parts: [part(evil, 1)], note: evil }], { title: evil, xLabel: evil });
    expect(svg).not.toContain("<script>");
    expect(svg).not.toContain("\u0000");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
  });

  test("refuses what are no shares of one whole", () => {
    expect(() => stackedSharesSvg([])).toThrow("stackedSharesSvg: 0 rows");
    expect(() => stackedSharesSvg([{ label: "a", parts: [part("x", NaN)] }])).toThrow('row "a": "x" is NaN');
    expect(() => stackedSharesSvg([{ label: "a", parts: [part("x", -0.1)] }])).toThrow('"x" is -0.1, below 0');
    expect(() => stackedSharesSvg([{ label: "a", parts: [part("x", 0.7), part("y", 0.4)] }])).toThrow("more than 1");
    expect(() => stackedSharesSvg([{ label: "a", parts: [part("x", 0.1), part("x", 0.1)] }])).toThrow("a part is there twice");
    const thirds = Array.from({ length: 3 }, (_, i) => part(String(i), 0.3333333334));
    expect(() => stackedSharesSvg([{ label: "a", parts: thirds }])).not.toThrow();
  });
});
