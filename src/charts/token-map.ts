/**
 * @file A map of tokens: in each cell the text of one, on a colour that says how large its share is. The logit lens is one, with layers down and
 * positions across.
 */
import { internal } from "../base/errors.js";
import { divergingColour, inkOn } from "./colour-scale.js";
import { digits } from "./panels.js";
import { FRAME, round, shortened, SIZE, svgDocument, textWidth } from "./svg.js";
import { escapeXml, visibleToken } from "./text.js";

/** One cell: the text of a token, which is made visible, and its share in 0..1. */
export interface TokenCell {
  readonly text: string;
  readonly share: number;
}

/** How the map is labelled. */
export interface TokenMapOptions {
  /** Labels of the rows, from the top, drawn as they are. */
  readonly rowLabels: readonly string[];
  /** Labels of the columns, from the left: the text of tokens, which is made visible. */
  readonly columnLabels: readonly string[];
  readonly title?: string;
  /** What the columns are. */
  readonly xLabel?: string;
  /** What the shares are. Default: `probability`. */
  readonly unit?: string;
}

/** Texts are cut to so many columns; tooltips have them in full. */
const LONGEST = 10;
/** More cells than this get no tooltips. */
const TOOLTIPS = 20_000;
const GAP = 16;
const ROW = 24;
const LEGEND = { width: 260, bar: 12, steps: 65, height: 58 };

/** Sizes in pixels. */
interface Layout {
  readonly cell: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The map as an SVG document: `cells[row][column]`. Each cell's tooltip has its labels, its text and its share, unless there are too many cells. */
export function tokenMapSvg(cells: readonly (readonly TokenCell[])[], options: TokenMapOptions): string {
  checkCells(cells, options);
  const { rowLabels, columnLabels, title, xLabel, unit = "probability" } = options;
  const layout = layoutOf(cells, options);
  const { cell, left, top, width, height } = layout;
  const mapWidth = columnLabels.length * cell;
  const legendTop = top + height + 26 + (xLabel ? 18 : 0);
  const elements = [
    `<g font-size="${SIZE.axis}" text-anchor="end">`,
    ...rowLabels.map((label, row) => `<text x="${left - 6}" y="${top + row * ROW + 16}">${escapeXml(shortened(label, 24))}</text>`),
    "</g>",
    `<g font-size="${SIZE.axis}" text-anchor="middle">`,
    ...columnLabels.map((label, column) => `<text x="${left + (column + 0.5) * cell}" y="${top + height + 16}">${shownText(label)}</text>`),
    ...(xLabel ? [`<text x="${left + mapWidth / 2}" y="${top + height + 36}">${escapeXml(xLabel)}</text>`] : []),
    "</g>",
    ...drawCells(cells, options, layout),
    `<rect x="${left - 0.5}" y="${top - 0.5}" width="${mapWidth + 1}" height="${height + 1}" fill="none" stroke="${FRAME}"/>`,
    ...drawScale(unit, left, legendTop),
  ];
  const head = { width, height: legendTop + LEGEND.height, title: title ?? "token map", isTitled: title !== undefined };
  return svgDocument({ ...head, description: description(cells, options) }, elements);
}

function checkCells(cells: readonly (readonly TokenCell[])[], { rowLabels, columnLabels }: TokenMapOptions): void {
  if (rowLabels.length === 0 || columnLabels.length === 0) throw internal("tokenMapSvg: there is nothing to draw");
  if (cells.length !== rowLabels.length) throw internal(`tokenMapSvg: ${cells.length} rows for ${rowLabels.length} labels`);
  for (const [row, line] of cells.entries()) {
    if (line.length !== columnLabels.length)
      throw internal(`tokenMapSvg: ${line.length} cells in row ${row} for ${columnLabels.length} column labels`);
    const stray = line.find(({ share }) => !(share >= 0 && share <= 1));
    if (stray) throw internal(`tokenMapSvg: a share in row ${row} is ${stray.share}, not within 0 and 1`);
  }
}

function layoutOf(cells: readonly (readonly TokenCell[])[], { rowLabels, columnLabels, title, xLabel }: TokenMapOptions): Layout {
  const texts = [...columnLabels, ...cells.flatMap((line) => line.map(({ text }) => text))];
  const widest = texts.reduce((most, text) => Math.max(most, textWidth(shortened(visibleToken(text), LONGEST), SIZE.axis)), 0);
  const cell = Math.max(30, widest + 8);
  const left = GAP + rowLabels.reduce((most, label) => Math.max(most, textWidth(shortened(label, 24), SIZE.axis)), 0) + 6;
  const inner = Math.max(columnLabels.length * cell, LEGEND.width + GAP, textWidth(xLabel ?? "", SIZE.axis));
  const width = Math.max(left + inner + GAP, textWidth(title ?? "", SIZE.title) + 2 * GAP);
  return { cell, left, top: title ? 36 : GAP, width, height: rowLabels.length * ROW };
}

function drawCells(
  cells: readonly (readonly TokenCell[])[],
  { rowLabels, columnLabels }: TokenMapOptions,
  { cell, left, top }: Layout,
): string[] {
  const isNamed = cells.length * columnLabels.length <= TOOLTIPS;
  const drawn = cells.flatMap((line, row) =>
    line.map(({ text, share }, column) => {
      const colour = divergingColour(share, 1);
      const [x, y] = [column * cell, row * ROW];
      const tooltip = `${rowLabels[row]}, ${visibleToken(columnLabels[column]!)}: ${visibleToken(text)} ${digits(share, 3)}`;
      const title = isNamed ? `<title>${escapeXml(tooltip)}</title>` : "";
      return [
        `<rect x="${x}" y="${y}" width="${cell}" height="${ROW}" fill="${colour}">${title}</rect>`,
        `<text x="${round(x + cell / 2)}" y="${y + 16}" fill="${inkOn(colour)}" pointer-events="none">${shownText(text)}</text>`,
      ].join("");
    }),
  );
  return [`<g transform="translate(${left} ${top})" font-size="${SIZE.axis}" text-anchor="middle">`, ...drawn, "</g>"];
}

/** The colours from 0 to 1 with numbers below. */
function drawScale(unit: string, left: number, top: number): string[] {
  const step = LEGEND.width / LEGEND.steps;
  const colours = Array.from({ length: LEGEND.steps }, (_, i) => {
    const fill = divergingColour(i / (LEGEND.steps - 1), 1);
    return `<rect x="${left + i * step}" y="${top + 16}" width="${step}" height="${LEGEND.bar}" fill="${fill}"/>`;
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<text x="${left + share * LEGEND.width}" y="${top + 16 + LEGEND.bar + 14}" font-size="10" text-anchor="middle">${share}</text>`,
  );
  return [
    `<text x="${left}" y="${top + 10}" font-size="${SIZE.legend}">${escapeXml(unit)}</text>`,
    `<g shape-rendering="crispEdges">`,
    ...colours,
    "</g>",
    `<rect x="${left - 0.5}" y="${top + 15.5}" width="${LEGEND.width + 1}" height="${LEGEND.bar + 1}" fill="none" stroke="${FRAME}"/>`,
    ...ticks,
  ];
}

function shownText(text: string): string {
  return escapeXml(shortened(visibleToken(text), LONGEST));
}

function description(cells: readonly (readonly TokenCell[])[], { rowLabels, columnLabels, unit = "probability" }: TokenMapOptions): string {
  const top = `in the top row: ${cells[0]!
    .slice(0, 64)
    .map(({ text, share }) => `${visibleToken(text)} ${digits(share, 2)}`)
    .join(", ")}`;
  return `A token in each cell of ${rowLabels.length} rows and ${columnLabels.length} columns, the redder the higher its ${unit}; ${top}.`;
}
