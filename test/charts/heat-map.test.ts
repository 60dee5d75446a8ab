/** @file The SVG of maps of signed values: what a tiny one looks like, that nothing breaks out of it, and how it is laid out. */
import { describe, expect, test } from "vitest";
import { heatMapSvg } from "../../src/charts/heat-map.js";

const tiny = [
  [1, -0.123456],
  [0, undefined],
];
const labels = { rowLabels: ["L0", "L1"], columnLabels: ["<s>", " a&b"] };

/** The picture without the 65 rectangles of its scale. */
function withoutBar(svg: string): string {
  return svg.replace(/(?:<rect [^>]*width="4" height="12"[^>]*\/>\n)+/, "(scale)\n");
}

function gridOf<T>(rows: number, columns: number, value: (row: number, column: number) => T): T[][] {
  return Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (__, column) => value(row, column)));
}

function named(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

/** Numbers of one attribute, in order of appearance. */
function numbersOf(svg: string, pattern: RegExp): number[] {
  return [...svg.matchAll(pattern)].map(([, number]) => Number(number));
}

describe("a map", () => {
  test("has a coloured cell for each value, its tooltip, labels and the scale", () => {
    const options = { ...labels, title: "patched", xLabel: "token", yLabel: "layer", unit: "share" };
    expect(withoutBar(heatMapSvg([{ values: tiny, marked: gridOf(2, 2, (row, column) => row + column === 0) }], options)))
      .toMatchInlineSnapshot(`
      "<svg xmlns="http://www.w3.org/2000/svg" width="504" height="189" viewBox="0 0 504 189" role="img" font-family="'DejaVu Sans Mono', ui-monospace, Menlo, Consolas, monospace" fill="#1c1c1c">
      <title>patched</title>
      <desc>Heat map of 2 rows and 2 columns, values from -0.1235 to 1 (share); colours from -1 (blue) through 0 (white) to 1 (red).</desc>
      <rect width="504" height="189" fill="#ffffff"/>
      <text x="16" y="20" font-size="14">patched</text>
      <g transform="translate(36 30)">
      <text x="-10" y="26" font-size="11" text-anchor="middle" transform="rotate(-90 -10 26)">layer</text>
      <g transform="translate(20 0)">
      <g font-size="11" text-anchor="end">
      <text x="-5" y="17">L0</text>
      <text x="-5" y="43">L1</text>
      </g>
      <g font-size="11" text-anchor="middle">
      <text x="22" y="66">&#60;s&#62;</text>
      <text x="66" y="66">·a&#38;b</text>
      </g>
      <text x="44" y="83" font-size="11" text-anchor="middle">token</text>
      <rect x="-0.5" y="-0.5" width="89" height="53" fill="none" stroke="#9a9a9a"/>
      <g shape-rendering="crispEdges">
      <rect x="0" y="0" width="44" height="26" fill="#67001f"><title>L0, &#60;s&#62;: 1 (marked)</title></rect>
      <rect x="44" y="0" width="44" height="26" fill="#e0ecf3"><title>L0, ·a&#38;b: -0.1235</title></rect>
      <rect x="0" y="26" width="44" height="26" fill="#f7f7f7"><title>L1, &#60;s&#62;: 0</title></rect>
      <rect x="44" y="26" width="44" height="26" fill="#d9d9d9"><title>L1, ·a&#38;b: no value</title></rect>
      </g>
      <path d="M44 52l44 -26" stroke="#8c8c8c" fill="none" pointer-events="none"/>
      <g font-size="10" text-anchor="middle" pointer-events="none">
      <text x="22" y="16.6" fill="#ffffff">1.00</text>
      <circle cx="40" cy="4" r="2.5" fill="#ffffff"/>
      <text x="66" y="16.6" fill="#1c1c1c">-0.12</text>
      <text x="22" y="42.6" fill="#1c1c1c">0</text>
      </g>
      </g>
      </g>
      <text x="30" y="145" font-size="11">share</text>
      <g shape-rendering="crispEdges">
      (scale)
      </g>
      <rect x="29.5" y="152.5" width="261" height="13" fill="none" stroke="#9a9a9a"/>
      <text x="30" y="179" font-size="10" text-anchor="middle">-1</text>
      <text x="95" y="179" font-size="10" text-anchor="middle">-0.5</text>
      <text x="160" y="179" font-size="10" text-anchor="middle">0</text>
      <text x="225" y="179" font-size="10" text-anchor="middle">0.5</text>
      <text x="290" y="179" font-size="10" text-anchor="middle">1</text>
      <g transform="translate(338 153)"><rect width="14" height="12" fill="#d9d9d9"/><path d="M0 12l14 -12" stroke="#8c8c8c"/><text x="20" y="10" font-size="11">no value</text></g>
      <g transform="translate(428 153)"><circle cx="7" cy="6" r="3"/><text x="20" y="10" font-size="11">marked</text></g>
      </svg>
      "
    `);
  });

  test("is the same for typed arrays", () => {
    const values = [Float64Array.of(1, 2), Float64Array.of(3, NaN)];
    const plain = [
      [1, 2],
      [3, undefined],
    ];
    expect(heatMapSvg([{ values }], labels)).toBe(heatMapSvg([{ values: plain }], labels));
  });

  test("escapes what XML cannot hold", () => {
    const evil = `</svg><script>"'\u0000\ud800`;
    const options = { rowLabels: [evil], columnLabels: [evil], title: evil, xLabel: evil, yLabel: evil, unit: evil, markedMeans: evil };
    const svg = heatMapSvg([{ title: evil, values: [[1]], marked: [[true]] }], options);
    expect(svg).not.toContain("<script>");
    expect(svg).not.toContain("\u0000");
    expect(svg).not.toContain("\ud800");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
  });

  test("takes its colours from attributes alone", () => {
    const svg = heatMapSvg([{ values: tiny }], labels);
    expect(svg).not.toMatch(/<style|class=|style=|url\(/);
    expect(svg).toMatch(/<rect width="\d+" height="\d+" fill="#ffffff"\/>/);
  });

  test("hatches cells without a value and says so", () => {
    const svg = heatMapSvg([{ values: [[undefined, NaN, Infinity, 2]] }], { rowLabels: ["r"], columnLabels: ["a", "b", "c", "d"] });
    expect(svg.match(/<title>r, [abc]: no value<\/title>/g)).toHaveLength(3);
    expect(svg).toContain("<title>r, d: 2</title>");
    expect(svg).toMatch(/<path d="(?:M\d+ \d+l\d+ -\d+){3}" stroke/);
    expect(svg).toContain(">no value</text>");
    expect(heatMapSvg([{ values: [[1]] }], { rowLabels: ["r"], columnLabels: ["a"] })).not.toContain("no value");
    expect(heatMapSvg([{ values: [[NaN]] }], { rowLabels: ["r"], columnLabels: ["a"] })).toContain("1 rows and 1 columns, no values;");
  });

  test("says where its scale ends short of the values", () => {
    const ends = (limit: number): (string | undefined)[] =>
      [...heatMapSvg([{ values: tiny }], { ...labels, limit }).matchAll(/middle">([≤≥]?-?[\d.]+)<\/text>/g)].map(([, text]) => text);
    expect(ends(1)).toEqual(["-1", "-0.5", "0", "0.5", "1"]);
    expect(ends(0.5)).toEqual(["≤-0.5", "-0.25", "0", "0.25", "≥0.5"]);
  });
});

describe("layout", () => {
  test("panels share one scale and go to the next line where the page ends", () => {
    const panels = named("head ", 6).map((title, i) => ({ title, values: gridOf(12, 15, () => i + 1) }));
    const svg = heatMapSvg(panels, { rowLabels: named("L", 12), columnLabels: named("t", 15) });
    const places = [...svg.matchAll(/<g transform="translate\((\d+) (\d+)\)">\n<text/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(new Set(places.map(([x]) => x)).size).toBe(3);
    expect(new Set(places.map(([, y]) => y)).size).toBe(2);
    expect(svg.match(/font-size="10" text-anchor="middle">6<\/text>/g)).toHaveLength(1);
    // The strongest colour belongs to the largest value of all panels: in its 180 cells and at the end of the scale.
    expect(svg.match(/fill="#67001f"/g)).toHaveLength(180 + 1);
  });

  test("prints values where cells are large enough", () => {
    const printed = (rows: number, columns: number, value: number): string[] =>
      heatMapSvg([{ values: gridOf(rows, columns, () => value) }], {
        rowLabels: named("L", rows),
        columnLabels: named("t", columns),
      }).match(/<text [^>]*fill="#\w+">[^<]*/g) ?? [];
    expect(printed(12, 15, -0.5)).toHaveLength(180);
    expect(printed(1, 1, -0.5)[0]).toMatch(/>-0\.50$/);
    expect(printed(1, 1, 12.34)[0]).toMatch(/>12\.3$/);
    expect(printed(1, 1, -1234)[0]).toMatch(/>-1234$/);
    expect(printed(12, 60, -0.5)).toHaveLength(0);
    expect(printed(60, 12, -0.5)).toHaveLength(0);
    expect(printed(1, 1, 1e-4)).toHaveLength(0);
  });

  test("labels stand upright where they fit, else turned, and every so many of them where cells are small", () => {
    const labelsOf = (columnLabels: string[]): string =>
      heatMapSvg([{ values: [columnLabels.map(() => 1)] }], { rowLabels: ["r"], columnLabels });
    expect(labelsOf(named("", 12))).not.toContain("rotate");
    expect(labelsOf([" had", " a longer token", "x"]).match(/rotate/g)).toHaveLength(3);
    expect(labelsOf(named("token ", 300)).match(/rotate/g)!.length).toBeLessThan(100);
    expect(labelsOf(["an extremely long token"])).toContain(">an·extremely·lo…</text>");
  });

  test("nothing lies outside the picture", () => {
    for (const [rows, columns] of [
      [1, 1],
      [2, 3],
      [12, 15],
      [100, 500],
    ] as const) {
      const labelled = { rowLabels: named("a row ", rows), columnLabels: named(" token ", columns) };
      const options = { ...labelled, title: "a title of the map", xLabel: "what the columns are", yLabel: "what the rows are" };
      const svg = heatMapSvg([{ values: gridOf(rows, columns, (row) => row) }], options);
      const [width = 0, height = 0] = [...svg.match(/viewBox="0 0 (\d+) (\d+)"/)!].slice(1).map(Number);
      expect(Math.max(...numbersOf(svg, / x="([-\d.]+)"/g)), `${rows} by ${columns}`).toBeLessThan(width);
      expect(Math.max(...numbersOf(svg, / y="([-\d.]+)"/g)), `${rows} by ${columns}`).toBeLessThan(height);
      expect(Math.max(width, height)).toBeLessThan(2000);
    }
  });

  test("large maps have no tooltips", () => {
    const svg = heatMapSvg([{ values: gridOf(100, 201, () => 1) }], { rowLabels: named("L", 100), columnLabels: named("t", 201) });
    expect(svg.match(/<title>/g)).toHaveLength(1);
  });
});

describe("panels that do not fit their labels are refused", () => {
  test.each([
    ["none", [], "heatMapSvg: 0 panels of 2 rows and 2 columns leave nothing to draw"],
    ["too few rows", [{ values: [[1, 2]] }], "heatMapSvg: values of panel 0: 1 rows for 2 labels"],
    ["ragged", [{ values: [[1, 2], [1]] }], "heatMapSvg: values of panel 0: 1 values in row 1 for 2 column labels"],
    [
      "ragged marks",
      [{ values: tiny }, { values: tiny, marked: [[true, true], []] }],
      "heatMapSvg: marked of panel 1: 0 values in row 1 for 2 column labels",
    ],
  ])("%s", (_, panels, message) => {
    expect(() => heatMapSvg(panels, labels)).toThrow(`internal: ${message}`);
  });

  test.each([0, -1, NaN, Infinity])("a limit of %d", (limit) => {
    expect(() => heatMapSvg([{ values: tiny }], { ...labels, limit })).toThrow("not a positive number");
  });
});
