/** @file What charts of labelled rows share: the column of labels, the scale below, reference lines above, and who has which colour. */
import { internal } from "../base/errors.js";
import { placeOn, tickLabel, type Axis } from "./curves.js";
import { GRID, MARK, rimmedText, round, shortened, SIZE, textWidth, type Box } from "./svg.js";
import { escapeXml, visibleText } from "./text.js";

/** The most rows that a picture has. */
const MOST = 200;
/** Labels are cut to so many columns; tooltips have them in full. */
const LABEL = 40;
/** The height of a line of names above the plot, in pixels. */
const NAME_LINE = 15;

/** A value to point out by an upright line through all rows. */
export interface ReferenceLine {
  readonly value: number;
  readonly label: string;
}

/** Refuses pictures without rows or with too many. */
export function checkRows(chart: string, rows: number): void {
  if (rows < 1 || rows > MOST) throw internal(`${chart}: ${rows} rows; a picture has from 1 to ${MOST}`);
}

/** Refuses a number that is not finite; absent ones pass. */
export function checkFinite(what: string, value: number | null | undefined): void {
  if (value !== null && value !== undefined && !Number.isFinite(value)) throw internal(`${what} is ${value}, not a finite number`);
}

/** The height of a row in pixels: less where there are many. */
export function rowPitch(rows: number): number {
  return rows <= 40 ? 22 : 17;
}

/** A row's label as it is drawn. */
export function rowLabel(label: string): string {
  return shortened(visibleText(label), LABEL);
}

/** The width of the column of labels. */
export function labelsWidth(labels: readonly string[]): number {
  return labels.reduce((width, label) => Math.max(width, textWidth(rowLabel(label), SIZE.axis)), 0);
}

/** A tick as text: shares as percent. */
export function scaleLabel(value: number, unit?: string): string {
  return unit === "share" ? `${tickLabel(Number((value * 100).toPrecision(10)))} %` : tickLabel(value);
}

/** Where a value lies, in pixels from the left. */
export function across(axis: Axis, plot: Box, value: number): number {
  return round(plot.left + placeOn(axis, value) * plot.width);
}

/** Upright lines at the ticks, their numbers below, and what they count. */
export function drawScale(axis: Axis, plot: Box, { xLabel, unit }: { readonly xLabel?: string; readonly unit?: string }): string[] {
  const bottom = plot.top + plot.height;
  const ticks = axis.ticks.map((tick) => [across(axis, plot, tick), scaleLabel(tick, unit)] as const);
  return [
    `<path d="${ticks.map(([x]) => `M${x} ${plot.top}v${plot.height}`).join("")}" stroke="${GRID}" fill="none" shape-rendering="crispEdges"/>`,
    `<g font-size="${SIZE.axis}" text-anchor="middle">`,
    ...ticks.map(([x, label]) => `<text x="${x}" y="${bottom + 16}">${label}</text>`),
    ...(xLabel ? [`<text x="${round(plot.left + plot.width / 2)}" y="${bottom + 35}">${escapeXml(visibleText(xLabel))}</text>`] : []),
    "</g>",
  ];
}

/** A name above the plot: where it stands, and on which line, counted from the plot. */
interface PlacedName {
  readonly reference: ReferenceLine;
  readonly at: number;
  readonly left: number;
  readonly line: number;
}

/** Names of lines, on as few lines of text as let none touch another; none leaves the picture. */
export function placeNames(
  references: readonly ReferenceLine[],
  { axis, plot, whole }: { axis: Axis; plot: Box; whole: number },
): PlacedName[] {
  const ends: number[] = [];
  return references
    .map((reference) => ({ reference, at: across(axis, plot, reference.value) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ reference, at }) => {
      const width = textWidth(rowLabel(reference.label), SIZE.axis);
      const left = Math.max(4, Math.min(at - width / 2, whole - width - 4));
      const free = ends.findIndex((end) => end + 8 <= left);
      const line = free < 0 ? ends.length : free;
      ends[line] = left + width;
      return { reference, at, left: round(left), line };
    });
}

/** The height of all lines of names. */
export function namesHeight(names: readonly PlacedName[]): number {
  return names.reduce((most, { line }) => Math.max(most, line + 1), 0) * NAME_LINE;
}

/** Dashed lines with their names above; what each stands at is in its tooltip. */
export function drawReferences(names: readonly PlacedName[], plot: Box, shown: (value: number) => string): string[] {
  const heightOf = (line: number): number => plot.top - 5 - line * NAME_LINE;
  const lines = names.map(({ reference: { label, value }, at, line }) => {
    const tooltip = escapeXml(`${visibleText(label)}: ${shown(value)}`);
    return `<path d="M${at} ${heightOf(line) + 2}V${plot.top + plot.height}" stroke="${MARK}" stroke-dasharray="3 3" fill="none"><title>${tooltip}</title></path>`;
  });
  return [...lines, ...names.map(({ reference, left, line }) => rimmedText(rowLabel(reference.label), { x: left, y: heightOf(line) }))];
}

/** Names in the order in which they first come, each with its number. */
export function numbered(names: readonly (string | undefined)[]): Map<string, number> {
  return new Map([...new Set(names.filter((name) => name !== undefined))].map((name, i) => [name, i]));
}
