/** @file The SVG of lines: where points lie, what is round, that nothing breaks out of it. */
import { describe, expect, test } from "vitest";
import { curveSvg } from "../../src/charts/curve.js";
import { axesOf, placeOn, tickLabel, type CurveSeries } from "../../src/charts/curves.js";

const line = (y: readonly (number | undefined)[], more: Partial<CurveSeries> = {}): CurveSeries => ({
  name: "loss",
  x: y.map((_, i) => i),
  y,
  ...more,
});
const pathOf = (svg: string): string => /<path d="([^"]*)" stroke="#0072b2"/.exec(svg)![1]!;

describe("axes", () => {
  test("have round ticks within their ends", () => {
    const ticks = (y: number[], log = false, count = 5): readonly number[] =>
      axesOf("test", [line(y)], { log: { y: log } }, { x: count, y: count }).y.ticks;
    expect(ticks([0, 10], false, 6)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(ticks([1.31, 1.33], false, 6)).toEqual([1.31, 1.315, 1.32, 1.325, 1.33]);
    expect(ticks([-1, 1], false, 6)).toEqual([-1, -0.5, 0, 0.5, 1]);
    expect(ticks([0.001, 1000], true, 8)).toEqual([0.001, 0.01, 0.1, 1, 10, 100, 1000]);
    expect(ticks([1, 100], true, 8)).toEqual([1, 2, 5, 10, 20, 50, 100]);
    expect(ticks([1e-9, 1e9], true, 5)).toEqual([1e-6, 1e-2, 1e2, 1e6]);
    // Within one decade there may be no power of ten.
    expect(ticks([3.1, 3.9], true).length).toBeGreaterThanOrEqual(3);
  });

  test("are wide enough for marks, and for one value alone", () => {
    const axes = axesOf("test", [line([3])], { marks: [{ x: 7, label: "m" }] }, { x: 5, y: 5 });
    expect([axes.x.from, axes.x.to]).toEqual([0, 7]);
    expect(axes.y.from).toBeLessThan(3);
    expect(axes.y.to).toBeGreaterThan(3);
    expect(placeOn(axes.y, 3)).toBeCloseTo(0.5, 12);
  });

  test("put the geometric mean in the middle of a logarithmic one", () => {
    const axis = { from: 1, to: 100, isLog: true, ticks: [] };
    expect([1, 10, 100].map((value) => placeOn(axis, value))).toEqual([0, 0.5, 1]);
    expect(placeOn({ ...axis, isLog: false }, 50.5)).toBe(0.5);
  });

  test.each([
    [0, "0"],
    [0.25, "0.25"],
    [1500, "1500"],
    [20000, "20k"],
    [12500, "12.5k"],
    [2e6, "2e6"],
    [2.5e6, "2.5e6"],
    [1e-5, "1e-5"],
    [-3, "-3"],
  ])("tick %d is %s", (value, label) => {
    expect(tickLabel(value)).toBe(label);
  });
});

describe("curveSvg", () => {
  test("of a tiny one", () => {
    const svg = curveSvg([line([2, 1, 1.5]), { name: "mean", x: [0, 2], y: [1.8, 1.2], faint: true }], {
      title: "a < b",
      xLabel: "step",
      yLabel: "loss (nats)",
      marks: [{ x: 1, label: "turn" }],
      width: 300,
      height: 200,
    });
    expect(svg).toMatchInlineSnapshot(`
      "<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200" viewBox="0 0 300 200" role="img" font-family="'DejaVu Sans Mono', ui-monospace, Menlo, Consolas, monospace" fill="#1c1c1c">
      <title>a &#60; b</title>
      <desc>2 lines, step from 0 to 2. loss: from 2 at 0 to 1.5 at 2, lowest 1 at 1, highest 2 at 0; mean: from 1.8 at 0 to 1.2 at 2, lowest 1.2 at 2, highest 1.8 at 0.</desc>
      <rect width="300" height="200" fill="#ffffff"/>
      <text x="16" y="21" font-size="14">a &#60; b</text>
      <path d="M62 48v82M171 48v82M280 48v82M62 127h218M62 89h218M62 51h218" stroke="#e4e4e4" fill="none" shape-rendering="crispEdges"/>
      <g font-size="11" text-anchor="middle">
      <text x="62" y="146">0</text>
      <text x="171" y="146">1</text>
      <text x="280" y="146">2</text>
      <text x="171" y="165">step</text>
      <text x="18" y="89" transform="rotate(-90 18 89)">loss (nats)</text>
      </g>
      <g font-size="11" text-anchor="end">
      <text x="56" y="131">1</text>
      <text x="56" y="93">1.5</text>
      <text x="56" y="55">2</text>
      </g>
      <path d="M171 48v82" stroke="#5c5c5c" stroke-dasharray="3 3" fill="none"><title>turn: 1</title></path>
      <text x="171" y="43" font-size="11" text-anchor="middle">turn</text>
      <path d="M62 66.2L280 111.8" stroke="#d55e00" stroke-width="1" stroke-opacity="0.35" fill="none" stroke-linejoin="round"><title>mean: from 1.8 at 0 to 1.2 at 2, lowest 1.2 at 2, highest 1.8 at 0</title></path>
      <path d="M62 51L171 127L280 89" stroke="#0072b2" stroke-width="1.8" fill="none" stroke-linejoin="round"><title>loss: from 2 at 0 to 1.5 at 2, lowest 1 at 1, highest 2 at 0</title></path>
      <rect x="62" y="48" width="218" height="82" fill="none" stroke="#9a9a9a"/>
      <path d="M16 182h22" stroke="#0072b2" stroke-width="1.8" fill="none"/><text x="44" y="186" font-size="11">loss</text>
      <path d="M87 182h22" stroke="#d55e00" stroke-width="1" stroke-opacity="0.35" fill="none"/><text x="115" y="186" font-size="11">mean</text>
      </svg>
      "
    `);
  });

  test("puts points in the plot's corners and middle", () => {
    const svg = curveSvg([{ name: "l", x: [0, 5, 10], y: [0, 1, 2] }], {});
    const [, left, top, width, height] = /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="none"/
      .exec(svg)!
      .map(Number);
    const points = pathOf(svg).slice(1).split("L").map((point) => point.split(" ").map(Number)); // oxfmt-ignore
    expect(points.map(([x]) => x)).toEqual([left!, left! + width! / 2, left! + width!]);
    // There is a share of 0.04 of the range above and below.
    const place = (share: number): number => Math.round((top! + (1 - share) * height!) * 10) / 10;
    expect(points.map(([, y]) => y)).toEqual([place(0.04 / 1.08), place(0.5), place(1.04 / 1.08)]);
  });

  test("interrupts a line where it has no value, and draws a lone one as a dot", () => {
    const svg = curveSvg([line([1, 2, undefined, 3, NaN, 4, 5])]);
    expect(pathOf(svg).match(/M/g)).toHaveLength(2);
    expect(svg.match(/<circle/g)).toHaveLength(1);
    expect(curveSvg([line([0, 1, 10, -1, 100, 1000])], { log: { y: true } }).match(/M[^M"]*L/g)).toHaveLength(2);
  });

  test("draws no more of a long line than can be seen, but its extremes", () => {
    const y = Array.from({ length: 100_000 }, (_, i) => Math.sin(i));
    y[54_321] = 9;
    y[54_322] = -9;
    const svg = curveSvg([line(y)]);
    expect(svg.length).toBeLessThan(60_000);
    const heights = pathOf(svg).slice(1).split("L").map((point) => Number(point.split(" ")[1])); // oxfmt-ignore
    expect(Math.max(...heights) - Math.min(...heights)).toBeGreaterThan(300);
  });

  test("tells what it shows in words", () => {
    const svg = curveSvg([line([4, 1, 2]), { name: "other", x: [0], y: [NaN] }], { xLabel: "step", log: { y: true } });
    expect(svg).toContain('role="img"');
    expect(svg).toContain("<title>line chart</title>");
    expect(svg).toContain(
      "<desc>2 lines, step from 0 to 2, logarithmic y. loss: from 4 at 0 to 2 at 2, lowest 1 at 1, highest 4 at 0; other: no values.</desc>",
    );
  });

  test("draws faint lines below the others, each series in its colour", () => {
    const svg = curveSvg([line([1, 2]), line([2, 3]), line([3, 4], { faint: true })]);
    expect([...svg.matchAll(/<path [^>]*stroke="(#\w+)"[^>]*><title>/g)].map(([, colour]) => colour)).toEqual([
      "#009e73",
      "#d55e00",
      "#0072b2",
    ]);
    const many = curveSvg(Array.from({ length: 9 }, (_, i) => line([i, i + 1])));
    const strokes = [...many.matchAll(/<path d="M[^"]*h22" (stroke[^/]*) fill/g)].map(([, stroke]) => stroke);
    expect(new Set(strokes).size).toBe(9);
  });

  test("escapes what XML cannot hold", () => {
    const evil = `</svg><script>"'\u0000`;
    const svg = curveSvg([line([1, 2], { name: evil })], { title: evil, xLabel: evil, yLabel: evil, marks: [{ x: 1, label: evil }] });
    expect(svg).not.toContain("<script>");
    expect(svg).not.toContain("\u0000");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
    expect(svg).not.toMatch(/<style|class=|style=|url\(/);
  });

  test("draws intervals as a band behind the lines, interrupted where they are not there", () => {
    const low = [0, 1, undefined, 1, NaN, 0];
    const svg = curveSvg([line([1, 2, 1, 2, 1, 1], { low, high: [2, 3, 2, 3, 2, 4] }), line([1, 1, 1, 1, 1, 1], { name: "other" })]);
    const bands = [...svg.matchAll(/<path d="M([^"]*)z" fill="#0072b2" fill-opacity="0.16"\/>/g)].map(([, path]) => path!.split("L"));
    expect(bands.map((points) => points.length)).toEqual([4]);
    // Two lone intervals are upright strokes.
    expect(svg.match(/<path d="M[\d.]+ [\d.]+V[\d.]+" stroke="#0072b2" stroke-opacity="0.5"/g)).toHaveLength(2);
    expect(svg.lastIndexOf("fill-opacity")).toBeLessThan(svg.indexOf('stroke-width="1.8"'));
    expect(svg).toContain("loss (with intervals): from 1 at 0");
    // The axis holds the whole band: 4 is the highest bound.
    expect(axesOf("test", [line([1], { low: [0], high: [4] })], {}, { x: 5, y: 5 }).y.to).toBeGreaterThan(4);
  });

  test("bounds the band of a long line by the extremes of each column of pixels", () => {
    const y = Array.from({ length: 50_000 }, () => 0);
    const high = y.map((_, i) => (i === 31_234 ? 9 : 1));
    const svg = curveSvg([line(y, { low: y.map(() => -1), high })]);
    expect(svg.length).toBeLessThan(60_000);
    const path = /<path d="M([^"]*)z" fill="#0072b2"/.exec(svg)![1]!;
    const heights = path.split("L").map((point) => Number(point.split(" ")[1]));
    expect(Math.max(...heights) - Math.min(...heights)).toBeGreaterThan(300);
  });

  test("marks each point with its value and interval if asked to", () => {
    const svg = curveSvg([
      line([1, NaN, 2], { markers: true, low: [0, 0, 1], high: [2, 2, 3] }),
      line([1, 1, 1], { name: "b", markers: true }),
    ]);
    expect([...svg.matchAll(/<title>(loss: [^<]*)<\/title><\/g>/g)].map(([, text]) => text)).toEqual([
      "loss: 1 at 0 (0 to 2)",
      "loss: 2 at 2 (1 to 3)",
    ]);
    expect(svg).toContain("<title>b: 1 at 2</title></g>");
  });

  test("refuses series without a point and of uneven length", () => {
    expect(() => curveSvg([])).toThrow("internal: curveSvg: 0 series have no point to draw");
    expect(() => curveSvg([line([0, -1])], { log: { y: true } })).toThrow("1 series have no point to draw");
    expect(() => curveSvg([{ name: "l", x: [1], y: [1, 2] }])).toThrow('series "l" has 1 values of x and 2 of y');
    expect(() => curveSvg([line([1, 2], { low: [0], high: [1, 2] })])).toThrow("2 values of x, 1 of low and 2 of high");
    expect(() => curveSvg([line([1], { low: [0] })])).toThrow("1 values of x, 1 of low and 0 of high");
    expect(() => curveSvg([line([1], { low: [2], high: [1] })])).toThrow("an interval from 2 to 1 at 0");
  });
});
