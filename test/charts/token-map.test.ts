/** @file The SVG of a map of tokens: what a tiny one looks like, that nothing breaks out of it, and what it refuses. */
import { expect, test } from "vitest";
import { divergingColour, inkOn } from "../../src/charts/colour-scale.js";
import { tokenMapSvg, type TokenCell } from "../../src/charts/token-map.js";

const cells = [
  [
    { text: " cat", share: 0.75 },
    { text: "</text><script>", share: 1 },
  ],
  [
    { text: "\n", share: 0 },
    { text: "a&b", share: 0.123456 },
  ],
] as const;
const options = { rowLabels: ["L1", "L0"], columnLabels: ["<s>", " the"], title: "lens", xLabel: "token" };

/** The attributes of the elements that a pattern finds. */
function all(svg: string, pattern: RegExp): string[] {
  return [...svg.matchAll(pattern)].map(([, found]) => found!);
}

test("each cell has its colour, an ink that can be read on it, its text and its tooltip", () => {
  const svg = tokenMapSvg(cells, options);
  const flat: TokenCell[] = cells.flat();
  expect(all(svg, /<rect [^>]*fill="(#\w+)"><title>/g)).toEqual(flat.map(({ share }) => divergingColour(share, 1)));
  expect(all(svg, /<\/rect><text [^>]*fill="(#\w+)"/g)).toEqual(flat.map(({ share }) => inkOn(divergingColour(share, 1))));
  expect(all(svg, /<rect [^>]*><title>([^<]*)</g)).toEqual([
    "L1, &#60;s&#62;: ·cat 0.75",
    "L1, ·the: &#60;/text&#62;&#60;script&#62; 1",
    "L0, &#60;s&#62;: ⏎ 0",
    "L0, ·the: a&#38;b 0.123",
  ]);
  expect(all(svg, /pointer-events="none">([^<]*)</g)).toEqual(["·cat", "&#60;/text&#62;&#60;s…", "⏎", "a&#38;b"]);
});

test("rows are stacked from the top, columns from the left, and all of it lies within the picture", () => {
  const svg = tokenMapSvg(cells, options);
  const [width, height] = all(svg, /<svg [^>]*viewBox="0 0 ([\d ]+)"/g)[0]!
    .split(" ")
    .map(Number);
  const places = all(svg, /<rect (x="\d+" y="\d+" width="\d+" height="\d+")[^>]*><title>/g).map((place) =>
    place.match(/\d+/g)!.map(Number),
  );
  const [cell, row] = [places[0]![2]!, places[0]![3]!];
  expect(places).toEqual([
    [0, 0, cell, row],
    [cell, 0, cell, row],
    [0, row, cell, row],
    [cell, row, cell, row],
  ]);
  const [left, top] = all(svg, /translate\(([\d ]+)\)/g)[0]!
    .split(" ")
    .map(Number);
  expect(left! + 2 * cell).toBeLessThan(width!);
  expect(top! + 2 * row).toBeLessThan(height!);
});

test("nothing of a token becomes markup, and the words are there for who sees no picture", () => {
  const svg = tokenMapSvg(cells, options);
  expect(svg).not.toMatch(/<script|\n<\/text><|a&b/);
  expect(all(svg, /<title>(lens)<\/title>/g)).toEqual(["lens"]);
  expect(all(svg, /<desc>([^<]*)</g)[0]).toBe(
    "A token in each cell of 2 rows and 2 columns, the redder the higher its probability; in the top row: ·cat 0.75, &#60;/text&#62;&#60;script&#62; 1.",
  );
});

test("what does not fit together is refused", () => {
  const one = [[{ text: "a", share: 0.5 }]];
  const labels = { rowLabels: ["L0"], columnLabels: ["a"] };
  expect(tokenMapSvg(one, labels)).toContain("<svg");
  expect(() => tokenMapSvg([], { rowLabels: [], columnLabels: [] })).toThrow("there is nothing to draw");
  expect(() => tokenMapSvg(one, { ...labels, rowLabels: ["L0", "L1"] })).toThrow("1 rows for 2 labels");
  expect(() => tokenMapSvg(one, { ...labels, columnLabels: ["a", "b"] })).toThrow("1 cells in row 0 for 2 column labels");
  for (const share of [-0.1, 1.1, NaN]) expect(() => tokenMapSvg([[{ text: "a", share }]], labels)).toThrow(`a share in row 0 is ${share}`);
});
