/**
 * @file Maps of signed values as one SVG picture: blue below zero, red above, the stronger the farther from it. Panels stand side by side
 * under one scale. Colours are attributes, not styles, and the background is the picture's own, so that it looks the same wherever it is
 * shown and as a PNG.
 */
import { DARK_INK, divergingColour, inkOn, NO_VALUE } from "./colour-scale.js";
import { digits, exceeds, isValue, sharedLimit, valuesOf, type MapOptions, type MapPanel } from "./panels.js";
import { displayWidth, escapeXml, fitText, visibleToken } from "./text.js";

const FONT = "'DejaVu Sans Mono', ui-monospace, Menlo, Consolas, monospace";
/** The width of a character of a monospaced font, as a share of its size. */
const ADVANCE = 0.605;
const [FRAME, HATCH] = ["#9a9a9a", "#8c8c8c"];
/** More cells than this get no tooltips. */
const TOOLTIPS = 20_000;
/** Panels beyond this width, in pixels, go to the next line. */
const LINE = 1280;
/** Space around a panel, in pixels. */
const GAP = 16;
const TITLE = { font: 14, height: 30 };
const PANEL_TITLE = { font: 12, height: 22 };
const AXIS = { font: 11, height: 20 };
const LEGEND = { font: 11, left: 30, width: 260, bar: 12, steps: 65, height: 54 };

/** Sizes in pixels that all panels share. */
interface Layout {
  readonly cell: { readonly width: number; readonly height: number };
  readonly rows: LabelPlan;
  readonly columns: LabelPlan & { readonly upright: boolean; readonly height: number };
  /** Where the cells of a panel begin, and how large a panel is with its labels. */
  readonly inset: { readonly left: number; readonly top: number };
  readonly panel: { readonly width: number; readonly height: number };
  /** Panels beside one another. */
  readonly across: number;
}

/** The labels of one axis: every `step`th is drawn. */
interface LabelPlan {
  readonly texts: readonly string[];
  readonly step: number;
  readonly font: number;
}

/** What all panels are drawn with. */
interface Chart {
  readonly panels: readonly MapPanel[];
  readonly options: MapOptions;
  readonly limit: number;
  readonly layout: Layout;
  readonly print: { readonly decimals: number; readonly font: number } | undefined;
}

/** The panels as an SVG document. Each cell's tooltip has its labels and its value at four digits, unless there are too many cells. */
export function heatMapSvg(panels: readonly MapPanel[], options: MapOptions): string {
  const limit = sharedLimit("heatMapSvg", panels, options);
  const layout = layoutOf(panels, options);
  const chart: Chart = { panels, options, limit, layout, print: printPlan(panels, limit, layout) };
  const { title, yLabel } = options;
  const origin = { left: GAP + (yLabel ? AXIS.height : 0), top: title ? TITLE.height : GAP / 2 };
  const lines = Math.ceil(panels.length / layout.across);
  const legendTop = origin.top + lines * (layout.panel.height + GAP);
  const legend = drawLegend(chart, legendTop);
  const mapsWidth = origin.left + layout.across * (layout.panel.width + GAP);
  const width = Math.max(mapsWidth, 2 * GAP + textWidth(title ?? "", TITLE.font), legend.width);
  const height = legendTop + LEGEND.height;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="${FONT}" fill="${DARK_INK}">`,
    `<title>${escapeXml(title ?? "heat map")}</title>`,
    `<desc>${escapeXml(description(chart))}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...(title ? [text(title, { x: GAP, y: 20, font: TITLE.font })] : []),
    ...panels.flatMap((panel, index) => placePanel(chart, panel, index, origin)),
    ...legend.elements,
    "</svg>\n",
  ].join("\n");
}

function description({ panels, options, limit }: Chart): string {
  const { rowLabels, columnLabels, unit } = options;
  let [least, most] = [Infinity, -Infinity];
  for (const value of valuesOf(panels)) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const maps = panels.length === 1 ? "Heat map" : `${panels.length} heat maps`;
  const range = least > most ? "no values" : `values from ${digits(least, 4)} to ${digits(most, 4)}`;
  return [
    `${maps} of ${rowLabels.length} rows and ${columnLabels.length} columns, ${range}${unit ? ` (${unit})` : ""};`,
    `colours from ${digits(-limit, 4)} (blue) through 0 (white) to ${digits(limit, 4)} (red).`,
  ].join(" ");
}

function layoutOf(panels: readonly MapPanel[], { rowLabels, columnLabels, xLabel, yLabel }: MapOptions): Layout {
  const room =
    panels.length === 1 ? { width: 900, height: 640 } : panels.length <= 4 ? { width: 540, height: 420 } : { width: 360, height: 300 };
  const cell = {
    width: between(Math.floor(room.width / columnLabels.length), 3, 44),
    height: between(Math.floor(room.height / rowLabels.length), 3, 26),
  };
  const rows = labelPlan(
    rowLabels.map((label) => shortened(label, 24)),
    cell.height,
  );
  const columns = labelPlan(
    columnLabels.map((label) => shortened(visibleToken(label), 16)),
    cell.width,
  );
  const upright = columns.texts.every((label) => textWidth(label, columns.font) <= cell.width * columns.step - 2);
  const height = upright ? columns.font + 6 : widest(columns.texts, columns.font) + 8;
  const titled = panels.some(({ title }) => title);
  const inset = { left: widest(rows.texts, rows.font) + 6, top: titled ? PANEL_TITLE.height : 0 };
  const titles = panels.map(({ title }) => textWidth(title ?? "", PANEL_TITLE.font));
  const panel = {
    width: inset.left + Math.max(columnLabels.length * cell.width, textWidth(xLabel ?? "", AXIS.font), ...titles),
    height: Math.max(inset.top + rowLabels.length * cell.height + height + (xLabel ? AXIS.height : 0), textWidth(yLabel ?? "", AXIS.font)),
  };
  const across = between(Math.floor(LINE / (panel.width + GAP)), 1, panels.length);
  return { cell, rows, columns: { ...columns, upright, height }, inset, panel, across };
}

/** Labels no closer than their font allows, given the size of a cell along the axis. */
function labelPlan(texts: readonly string[], pitch: number): LabelPlan {
  const step = Math.ceil(10 / pitch);
  return { texts, step, font: Math.min(11, Math.floor(step * pitch * 0.85)) };
}

/** How values are printed into cells; nothing where they do not fit. */
function printPlan(panels: readonly MapPanel[], limit: number, { cell }: Layout): Chart["print"] {
  const decimals = limit >= 99.5 ? 0 : limit >= 9.95 ? 1 : 2;
  const font = Math.min(10, cell.height - 4);
  if (font < 8 || limit < 0.05 || limit >= 1e5) return undefined;
  const fits = valuesOf(panels).every((value) => textWidth(printed(value, decimals), font) <= cell.width - 2);
  return fits ? { decimals, font } : undefined;
}

function printed(value: number, decimals: number): string {
  const rounded = value.toFixed(decimals);
  return Number(rounded) === 0 ? "0" : rounded;
}

function placePanel(chart: Chart, panel: MapPanel, index: number, origin: { left: number; top: number }): string[] {
  const { layout, options } = chart;
  const x = origin.left + (index % layout.across) * (layout.panel.width + GAP);
  const y = origin.top + Math.floor(index / layout.across) * (layout.panel.height + GAP);
  const centre = layout.inset.top + (options.rowLabels.length * layout.cell.height) / 2;
  const middle = Math.max(centre, textWidth(options.yLabel ?? "", AXIS.font) / 2);
  const first = index % layout.across === 0 && options.yLabel;
  return [
    `<g transform="translate(${x} ${y})">`,
    ...(first ? [text(options.yLabel, { x: -AXIS.height / 2, y: round(middle), font: AXIS.font, anchor: "middle", turned: true })] : []),
    ...(panel.title ? [text(panel.title, { x: layout.inset.left, y: 14, font: PANEL_TITLE.font })] : []),
    `<g transform="translate(${layout.inset.left} ${layout.inset.top})">`,
    ...drawLabels(chart),
    ...drawCells(chart, panel),
    ...drawHatch(chart, panel),
    ...drawInk(chart, panel),
    "</g>",
    "</g>",
  ];
}

/** The labels on the left and below, and the frame that they stand at. */
function drawLabels({ layout: { cell, rows, columns }, options: { xLabel } }: Chart): string[] {
  const [width, height] = [columns.texts.length * cell.width, rows.texts.length * cell.height];
  const onAxis = (plan: LabelPlan): [label: string, index: number][] =>
    plan.texts.map((label, index): [string, number] => [label, index]).filter(([, index]) => index % plan.step === 0);
  const rowLabel = ([label, index]: [string, number]): string =>
    `<text x="-5" y="${round((index + 0.5) * cell.height + rows.font * 0.36)}">${escapeXml(label)}</text>`;
  const columnLabel = ([label, index]: [string, number]): string => {
    const middle = (index + 0.5) * cell.width;
    if (columns.upright) return `<text x="${round(middle)}" y="${height + columns.font + 3}">${escapeXml(label)}</text>`;
    const [x, y] = [round(middle + columns.font * 0.36), height + 5];
    return `<text x="${x}" y="${y}" transform="rotate(-90 ${x} ${y})">${escapeXml(label)}</text>`;
  };
  return [
    `<g font-size="${rows.font}" text-anchor="end">`,
    ...onAxis(rows).map(rowLabel),
    "</g>",
    `<g font-size="${columns.font}" text-anchor="${columns.upright ? "middle" : "end"}">`,
    ...onAxis(columns).map(columnLabel),
    "</g>",
    ...(xLabel ? [text(xLabel, { x: width / 2, y: height + columns.height + AXIS.height - 6, font: AXIS.font, anchor: "middle" })] : []),
    `<rect x="-0.5" y="-0.5" width="${width + 1}" height="${height + 1}" fill="none" stroke="${FRAME}"/>`,
  ];
}

function drawCells({ panels, options, limit, layout: { cell } }: Chart, panel: MapPanel): string[] {
  const named = panels.length * options.rowLabels.length * options.columnLabels.length <= TOOLTIPS;
  const rects = cellsOf(panel).map(({ row, column, value, marked }) => {
    const place = `x="${column * cell.width}" y="${row * cell.height}" width="${cell.width}" height="${cell.height}"`;
    const fill = divergingColour(value ?? NaN, limit);
    if (!named) return `<rect ${place} fill="${fill}"/>`;
    const shown = value === undefined ? "no value" : digits(value, 4);
    const note = marked ? ` (${options.markedMeans ?? "marked"})` : "";
    const tooltip = `${options.rowLabels[row]}, ${visibleToken(options.columnLabels[column]!)}: ${shown}${note}`;
    return `<rect ${place} fill="${fill}"><title>${escapeXml(tooltip)}</title></rect>`;
  });
  return [`<g shape-rendering="crispEdges">`, ...rects, "</g>"];
}

/** A stroke across each cell without a value; beside one another they are a hatching. */
function drawHatch({ layout: { cell } }: Chart, panel: MapPanel): string[] {
  const strokes = cellsOf(panel)
    .filter(({ value }) => value === undefined)
    .map(({ row, column }) => `M${column * cell.width} ${(row + 1) * cell.height}l${cell.width} ${-cell.height}`);
  return strokes.length > 0 ? [`<path d="${strokes.join("")}" stroke="${HATCH}" fill="none" pointer-events="none"/>`] : [];
}

/** Printed values and marks: a dot in the middle, or in the corner where a value is printed. */
function drawInk({ limit, print, layout: { cell } }: Chart, panel: MapPanel): string[] {
  const radius = round(Math.min(3, cell.width / 4, cell.height / 4));
  const ink = cellsOf(panel).flatMap(({ row, column, value, marked }) => {
    const number = print && value !== undefined ? printed(value, print.decimals) : undefined;
    if (number === undefined && !marked) return [];
    const [left, top] = [column * cell.width, row * cell.height];
    const [x, y] = [round(left + cell.width / 2), round(top + cell.height / 2)];
    const fill = inkOn(divergingColour(value ?? NaN, limit));
    const place = number === undefined ? `cx="${x}" cy="${y}" r="${radius}"` : `cx="${left + cell.width - 4}" cy="${top + 4}" r="2.5"`;
    const dot = marked ? [`<circle ${place} fill="${fill}"/>`] : [];
    return number === undefined ? dot : [`<text x="${x}" y="${round(y + print!.font * 0.36)}" fill="${fill}">${number}</text>`, ...dot];
  });
  return ink.length > 0 ? [`<g font-size="${print?.font ?? 10}" text-anchor="middle" pointer-events="none">`, ...ink, "</g>"] : [];
}

interface Cell {
  readonly row: number;
  readonly column: number;
  readonly value: number | undefined;
  readonly marked: boolean;
}

function cellsOf({ values, marked }: MapPanel): Cell[] {
  return values.flatMap((line, row) =>
    Array.from(line, (value, column) => ({
      row,
      column,
      value: isValue(value) ? value : undefined,
      marked: marked?.[row]?.[column] ?? false,
    })),
  );
}

/** The scale with its numbers, what the values are, and what hatching and dots say. */
function drawLegend(chart: Chart, top: number): { elements: string[]; width: number } {
  const { panels, options } = chart;
  const cells = panels.flatMap(cellsOf);
  const keys: [symbol: string, meaning: string][] = [];
  if (cells.some(({ value }) => value === undefined))
    keys.push([`<rect width="14" height="12" fill="${NO_VALUE}"/><path d="M0 12l14 -12" stroke="${HATCH}"/>`, "no value"]);
  if (cells.some(({ marked }) => marked)) keys.push([`<circle cx="7" cy="6" r="3"/>`, options.markedMeans ?? "marked"]);
  let x = LEGEND.left + LEGEND.width + 3 * GAP;
  const keyed = keys.map(([symbol, meaning]) => {
    const element = `<g transform="translate(${x} ${top + 18})">${symbol}${text(meaning, { x: 20, y: 10, font: LEGEND.font })}</g>`;
    x += 20 + textWidth(meaning, LEGEND.font) + GAP;
    return element;
  });
  const unit = options.unit ? [text(options.unit, { x: LEGEND.left, y: top + 10, font: LEGEND.font })] : [];
  const width = Math.max(x, LEGEND.left + textWidth(options.unit ?? "", LEGEND.font) + GAP);
  return { elements: [...unit, ...drawBar(chart, top + 18), ...keyed], width };
}

/** The colours from `-limit` to `limit` with five numbers below; the outer ones say so where they stand for more than themselves. */
function drawBar({ panels, limit }: Chart, top: number): string[] {
  const clipped = exceeds(panels, limit);
  const step = LEGEND.width / LEGEND.steps;
  const colours = Array.from({ length: LEGEND.steps }, (_, i) => {
    const fill = divergingColour(((2 * i) / (LEGEND.steps - 1) - 1) * limit, limit);
    return `<rect x="${LEGEND.left + i * step}" y="${top}" width="${step}" height="${LEGEND.bar}" fill="${fill}"/>`;
  });
  const ticks = [-1, -0.5, 0, 0.5, 1].map((share) => {
    const x = LEGEND.left + ((share + 1) / 2) * LEGEND.width;
    const sign = clipped && Math.abs(share) === 1 ? (share < 0 ? "≤" : "≥") : "";
    return text(sign + digits(share * limit, 3), { x, y: top + LEGEND.bar + 14, font: 10, anchor: "middle" });
  });
  const frame = `<rect x="${LEGEND.left - 0.5}" y="${top - 0.5}" width="${LEGEND.width + 1}" height="${LEGEND.bar + 1}" fill="none" stroke="${FRAME}"/>`;
  return [`<g shape-rendering="crispEdges">`, ...colours, "</g>", frame, ...ticks];
}

interface TextPlace {
  readonly x: number;
  readonly y: number;
  readonly font: number;
  readonly anchor?: "middle" | "end";
  /** Whether it reads upwards. */
  readonly turned?: boolean;
}

function text(content: string, { x, y, font, anchor, turned }: TextPlace): string {
  const anchored = anchor ? ` text-anchor="${anchor}"` : "";
  const rotated = turned ? ` transform="rotate(-90 ${x} ${y})"` : "";
  return `<text x="${x}" y="${y}" font-size="${font}"${anchored}${rotated}>${escapeXml(content)}</text>`;
}

function widest(texts: readonly string[], font: number): number {
  return texts.reduce((width, label) => Math.max(width, textWidth(label, font)), 0);
}

function textWidth(content: string, font: number): number {
  return Math.ceil(displayWidth(content) * font * ADVANCE);
}

function shortened(label: string, width: number): string {
  return displayWidth(label) > width ? fitText(label, width).trimEnd() : label;
}

function between(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
