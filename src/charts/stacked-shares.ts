/**
 * @file How wholes divide into parts, one bar a row, such as outcomes of interventions. Parts are told apart by colour, by hatching and by their order; a part's
 * percentage is printed where it fits and is in its tooltip.
 */
import { internal } from "../base/errors.js";
import { inkOn } from "./colour-scale.js";
import { axis } from "./curves.js";
import { drawLegend, LEGEND_LINE, legendRows } from "./legend.js";
import { shownNumber } from "./numbers.js";
import { checkFinite, checkRows, drawScale, labelsWidth, numbered, rowLabel, rowPitch } from "./rows.js";
import { COLOURS, FRAME, hatch, MARK, round, SIZE, svgDocument, textWidth, type Box } from "./svg.js";
import { escapeXml, visibleText } from "./text.js";

/** One whole. */
export interface SharesRow {
  readonly label: string;
  /** From the left; shares are at least 0 and at most 1 together. None: the row says `no value`. */
  readonly parts: readonly { readonly name: string; readonly share: number }[];
  /** For tooltips, such as the number of cases. */
  readonly note?: string;
}

/** What a picture of shares looks like besides. */
export interface SharesOptions {
  readonly title?: string;
  readonly xLabel?: string;
  /** In pixels. Default 760. */
  readonly width?: number;
}

/** What sums of shares may be above 1: a hundred float64 sums of rounded percentages. */
const SLACK = 1e-6;

/** From 1 to 200 rows, from the top, as an SVG document. A part has the same colour in all rows. */
export function stackedSharesSvg(rows: readonly SharesRow[], options: SharesOptions = {}): string {
  const { title, xLabel, width = 760 } = options;
  check(rows);
  const kinds = numbered(rows.flatMap(({ parts }) => parts.map(({ name }) => name)));
  const left = 16 + labelsWidth(rows.map(({ label }) => label)) + 8;
  const plot = { left, top: title ? 34 : 12, width: Math.max(120, width - left - 28), height: rows.length * rowPitch(rows.length) };
  const scale = axis([0, 1], { isLog: false, ticks: Math.max(2, Math.floor(plot.width / 80)), pad: 0 });
  const whole = left + plot.width + 28;
  const entries = [...kinds].map(([name, kind]) => ({
    name: visibleText(name),
    symbol: (x: number, y: number) => segment(kind, { left: x, top: y, width: 22, height: 12 }),
  }));
  const legend = legendRows(entries, whole - 32);
  const below = plot.top + plot.height + 24 + (xLabel ? 18 : 0);
  const head = { width: whole, height: below + legend.length * LEGEND_LINE + 14, title: title ?? "shares", isTitled: Boolean(title) };
  return svgDocument({ ...head, description: description(rows) }, [
    ...drawScale(scale, plot, { unit: "share", ...(xLabel ? { xLabel } : {}) }),
    ...rows.flatMap((row, index) => drawRow(row, { index, pitch: rowPitch(rows.length), plot, kinds })),
    `<rect x="${plot.left}" y="${plot.top}" width="${plot.width}" height="${plot.height}" fill="none" stroke="${FRAME}"/>`,
    ...drawLegend(legend, below + 6),
  ]);
}

function check(rows: readonly SharesRow[]): void {
  checkRows("stackedSharesSvg", rows.length);
  for (const { label, parts } of rows) {
    const row = `stackedSharesSvg: row ${JSON.stringify(label)}`;
    for (const { name, share } of parts) {
      checkFinite(`${row}: ${JSON.stringify(name)}`, share);
      if (share < 0) throw internal(`${row}: ${JSON.stringify(name)} is ${share}, below 0`);
    }
    if (new Set(parts.map(({ name }) => name)).size < parts.length) throw internal(`${row}: a part is there twice`);
    const sum = parts.reduce((total, { share }) => total + share, 0);
    if (sum > 1 + SLACK) throw internal(`${row}: the shares are ${sum} together, more than 1`);
  }
}

interface RowPlace {
  readonly index: number;
  readonly pitch: number;
  readonly plot: Box;
  readonly kinds: ReadonlyMap<string, number>;
}

function drawRow({ label, parts, note }: SharesRow, { index, pitch, plot, kinds }: RowPlace): string[] {
  const top = plot.top + index * pitch;
  const baseline = round(top + pitch / 2 + SIZE.axis * 0.36);
  let before = 0;
  const segments = parts.map(({ name, share }) => {
    const [from, to] = [before, Math.min(1, before + share)].map((at) => round(plot.left + at * plot.width)) as [number, number];
    before += share;
    const box = { left: from, top: round(top + pitch * 0.14), width: round(to - from), height: round(pitch * 0.72) };
    const tooltip = visibleText([`${label}, ${name}: ${shownNumber(share, "share")}`, ...(note ? [note] : [])].join("; "));
    const kind = kinds.get(name)!;
    return box.width === 0 ? "" : `<g><title>${escapeXml(tooltip)}</title>${segment(kind, box)}${percentage(share, kind, box)}</g>`;
  });
  const isEmpty = parts.length === 0;
  return [
    `<g><title>${escapeXml(visibleText(label))}</title><text x="${plot.left - 8}" y="${baseline}" font-size="${SIZE.axis}" text-anchor="end">${escapeXml(rowLabel(label))}</text></g>`,
    ...segments.filter(Boolean),
    ...(isEmpty ? [`<text x="${plot.left + 8}" y="${baseline}" font-size="${SIZE.axis}" fill="${MARK}">no value</text>`] : []),
  ];
}

function segment(kind: number, { left, top, width, height }: Box): string {
  const colour = colourOf(kind);
  const ink = inkOn(colour);
  return `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${colour}"/>${hatch(kind, { left, top, width, height }, ink)}<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="none" stroke="#ffffff"/>`;
}

/** The share in the middle of its part, on a patch without hatching; nothing where it does not fit. */
function percentage(share: number, kind: number, { left, top, width, height }: Box): string {
  const text = shownNumber(share, "share");
  const font = Math.min(SIZE.axis, Math.floor(height - 3));
  const wide = textWidth(text, font);
  if (wide + 8 > width) return "";
  const [middle, colour] = [round(left + width / 2), colourOf(kind)];
  const patch = `<rect x="${round(middle - wide / 2 - 3)}" y="${round(top + 1)}" width="${wide + 6}" height="${round(height - 2)}" fill="${colour}"/>`;
  return `${patch}<text x="${middle}" y="${round(top + height / 2 + font * 0.36)}" font-size="${font}" text-anchor="middle" fill="${inkOn(colour)}">${text}</text>`;
}

function colourOf(kind: number): string {
  return COLOURS[kind % COLOURS.length]!;
}

function description(rows: readonly SharesRow[]): string {
  const told = rows.map(({ label, parts, note }) => {
    const shares = parts.map(({ name, share }) => `${name} ${shownNumber(share, "share")}`);
    return `${label}: ${shares.length > 0 ? shares.join(", ") : "no value"}${note ? ` (${note})` : ""}`;
  });
  return visibleText(`${rows.length === 1 ? "One bar" : `${rows.length} bars`} of shares. ${told.join(". ")}.`);
}
