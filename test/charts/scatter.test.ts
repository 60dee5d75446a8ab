/** @file The SVG of points: where they lie, which names find a place, words, refusals. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { placeLabels } from "../../src/charts/place-labels.js";
import { scatterSvg } from "../../src/charts/scatter.js";
import type { Box } from "../../src/charts/svg.js";

/** Whether no part of one box lies in the other. */
function apart(a: Box, b: Box): boolean {
  const beside = a.left >= b.left + b.width || b.left >= a.left + a.width;
  return beside || a.top >= b.top + b.height || b.top >= a.top + a.height;
}

/** Centres of the discs of points. */
function discsOf(svg: string): number[][] {
  return [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="4"\/>/g)].map(([, x, y]) => [Number(x), Number(y)]);
}

describe("scatterSvg", () => {
  test("of a tiny one", () => {
    const points = [
      { x: 0, y: 0, label: "L0H0", group: "others" },
      { x: 1, y: 2, label: "L1H0", group: "heads", highlighted: true },
    ];
    const references = [{ axis: "x" as const, value: 0.5, label: "threshold" }];
    expect(
      scatterSvg(points, { title: "Heads", xLabel: "attention", yLabel: "score", references, width: 360, height: 260 }),
    ).toMatchSnapshot();
  });

  test("puts points where their values are, upwards and to the right", () => {
    const points = [0, 1, 2].map((v) => ({ x: v, y: v * v }));
    const [a, b, c] = discsOf(scatterSvg(points)) as [number[], number[], number[]];
    expect(b[0]! - a[0]!).toBeCloseTo(c[0]! - b[0]!, 0);
    expect((a[1]! - c[1]!) / (a[1]! - b[1]!)).toBeCloseTo(4, 1);
    const [d, e, f] = discsOf(scatterSvg([1, 10, 100].map((x) => ({ x, y: 0 })), { log: { x: true } })) as [number[], number[], number[]]; // oxfmt-ignore
    expect(e[0]! - d[0]!).toBeCloseTo(f[0]! - e[0]!, 0);
  });

  test("gives every point a tooltip, and draws those pointed out last", () => {
    const points = Array.from({ length: 30 }, (_, i) => ({ x: i, y: -i, label: `p${i}`, highlighted: i === 3 }));
    const svg = scatterSvg(points, { xLabel: "a", yLabel: "b" });
    const tooltips = [...svg.matchAll(/<title>(p\d+): a (-?\d+), b (-?\d+)<\/title>/g)];
    expect(tooltips).toHaveLength(30);
    expect(tooltips.at(-1)![1]).toBe("p3");
    expect(svg).toContain("Pointed out: p3: a 3, b -3.</desc>");
    expect(svg.match(/>p3<\/text>/g)).toHaveLength(2);
  });

  test("keeps pictures of very many points small", () => {
    const points = Array.from({ length: 20_000 }, (_, i) => ({
      x: Math.sin(i),
      y: Math.cos(i * 1.3),
      label: `p${i}`,
      highlighted: i === 7,
    }));
    const svg = scatterSvg(points);
    expect(svg.length).toBeLessThan(2_000_000);
    expect(svg.match(/<title>p\d+/g)).toEqual(["<title>p7"]);
  });

  test("says how many names had no room", () => {
    const points = Array.from({ length: 150 }, (_, i) => ({ x: 1 + i * 1e-6, y: 1, label: `point ${i}`, highlighted: true }));
    const svg = scatterSvg([...points, { x: 0, y: 0 }, { x: 2, y: 2 }]);
    const drawn = new Set([...svg.matchAll(/>(point \d+)<\/text>/g)].map(([, name]) => name)).size;
    expect(drawn).toBeGreaterThan(2);
    expect(svg).toContain(`${150 - drawn} of their names had no room and are in tooltips`);
  });

  test("lets nothing break out of it", () => {
    const evil = `</svg><script>"'\u0000\u202e`;
    const svg = scatterSvg([{ x: 1, y: 1, label: evil, group: evil, highlighted: true }], {
      title: evil,
      xLabel: evil,
      yLabel: evil,
      references: [{ axis: "y", value: 1, label: evil }],
    });
    expect(svg).not.toContain("<script>");
    expect(svg).not.toContain("\u0000");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
  });

  test("refuses no points, and points without a place", () => {
    expect(() => scatterSvg([])).toThrow("scatterSvg: there is no point to draw");
    expect(() => scatterSvg([{ x: NaN, y: 1 }])).toThrow("x of point 0 is NaN, not a finite number");
    expect(() => scatterSvg([{ x: 1, y: 0 }], { log: { y: true } })).toThrow("y of point 0 is 0, not a positive number");
    expect(() => scatterSvg([{ x: 1, y: 0 }], { references: [{ axis: "x", value: NaN, label: "l" }] })).toThrow('the line "l" is NaN');
  });
});

describe("names of points", () => {
  const plot = { left: 0, top: 0, width: 400, height: 300 };
  const wanted = fc.array(
    fc.record({ x: fc.integer({ min: 0, max: 400 }), y: fc.integer({ min: 0, max: 300 }), text: fc.constantFrom("L1H2", "a longer name") }),
    { maxLength: 25 },
  );

  test("never overlap, never leave the plot, and are never struck through", () => {
    fc.assert(
      fc.property(wanted, (labels) => {
        const placed = placeLabels(labels, plot);
        for (const [i, { box, x, y, leader }] of placed.entries()) {
          expect(box.left >= 0 && box.top >= 0 && box.left + box.width <= 400 && box.top + box.height <= 300).toBe(true);
          for (const [j, other] of placed.entries()) {
            if (i === j) continue;
            expect(apart(box, other.box)).toBe(true);
            if (!leader) continue;
            // The middle of the stroke as a box without a size.
            expect(apart({ left: (x + leader.x) / 2, top: (y + leader.y) / 2, width: 0, height: 0 }, other.box)).toBe(true);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of a point alone stands on its right, at the right edge on its left", () => {
    expect(placeLabels([{ x: 100, y: 100, text: "a" }], plot)[0]!.box.left).toBeGreaterThan(100);
    expect(placeLabels([{ x: 395, y: 100, text: "a" }], plot)[0]!.box.left).toBeLessThan(395);
    expect(placeLabels([{ x: 100, y: 100, text: "a" }], plot, [plot])).toEqual([]);
  });
});
