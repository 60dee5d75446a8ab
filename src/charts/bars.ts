/**
 * @file Values of labelled rows as one SVG picture: bars from zero, or dots, with their intervals as whiskers, controls as ticks beside them, and each
 * value as text. A tooltip has the row's label in full, its interval, its controls and its note.
 */
import { internal } from "../base/errors.js";
import { axis, type Axis } from "./curves.js";
import { drawLegend, LEGEND_LINE, legendRows, type LegendEntry } from "./legend.js";
import { shownNumber } from "./numbers.js";
import {
  across,
  checkFinite,
  checkRows,
  drawReferences,
  drawScale,
  labelsWidth,
  namesHeight,
  numbered,
  placeNames,
  rowLabel,
  rowPitch,
  scaleLabel,
  type ReferenceLine,
} from "./rows.js";
import { COLOURS, FRAME, hatch, MARK, marker, rimmedText, round, shortened, SIZE, svgDocument, textWidth, type Box } from "./svg.js";
import { escapeXml, visibleText } from "./text.js";

/** One row. */
export interface Bar {
  readonly label: string;
  /** Null: there is none, which the picture says. */
  readonly value: number | null;
  /** Its interval: both bounds or none. */
  readonly low?: number;
  readonly high?: number;
  /** Rows of a group share a colour and a hatching or shape. */
  readonly group?: string;
  /** What it is read beside; controls of one name look alike in all rows. */
  readonly controls?: readonly { readonly name: string; readonly value: number }[];
  /** For the tooltip; with a value of null it says why, in the picture. */
  readonly note?: string;
}

/** What a picture of rows looks like besides. */
export interface BarsOptions {
  readonly title?: string;
  readonly xLabel?: string;
  /** Of the values, as in findings: `share` is shown as percent. */
  readonly unit?: string;
  readonly references?: readonly ReferenceLine[];
  /** Default: `bars`, which begin at 0; `dots` show differences far from 0. */
  readonly marks?: "bars" | "dots";
  /** In pixels. Default 760. */
  readonly width?: number;
}

/** Strokes of the first, second … control. */
const DASHES = ["", "4 2", "1.5 1.5", "6 2 1.5 2"] as const;

interface Chart {
  readonly bars: readonly Bar[];
  readonly options: BarsOptions;
  readonly scale: Axis;
  readonly plot: Box;
  readonly groups: ReadonlyMap<string, number>;
  readonly controls: ReadonlyMap<string, number>;
}

/** From 1 to 200 rows, from the top, as an SVG document. */
export function barsSvg(bars: readonly Bar[], options: BarsOptions = {}): string {
  const { references = [], title, width = 760, xLabel } = options;
  check(bars, references);
  const texts = bars.map((bar) => valueText(bar, options));
  const left = 16 + labelsWidth(bars.map(({ label }) => label)) + 8;
  const right = 12 + texts.reduce((most, text) => Math.max(most, textWidth(text, SIZE.axis)), 0) + 12;
  const room = Math.max(120, width - left - right);
  const scale = scaleOf(bars, options, room);
  const whole = left + room + right;
  const names = placeNames(references, { axis: scale, plot: { left, top: 0, width: room, height: 0 }, whole });
  const top = (title ? 34 : 12) + namesHeight(names);
  const plot = { left, top, width: room, height: bars.length * rowPitch(bars.length) };
  const [groups, controls] = [
    numbered(bars.map(({ group }) => group)),
    numbered(bars.flatMap((bar) => (bar.controls ?? []).map(({ name }) => name))),
  ];
  const chart = { bars, options, scale, plot, groups, controls };
  const legend = legendRows(legendOf(chart), whole - 32);
  const below = top + plot.height + 24 + (xLabel ? 18 : 0);
  const head = { width: whole, height: below + legend.length * LEGEND_LINE + 14, title: title ?? "bar chart", isTitled: Boolean(title) };
  return svgDocument({ ...head, description: description(chart) }, [
    ...drawScale(scale, plot, options),
    ...drawReferences(names, plot, (value) => shownNumber(value, options.unit)),
    ...bars.flatMap((bar, row) => drawRow(chart, bar, { row, text: texts[row]! })),
    `<rect x="${plot.left}" y="${plot.top}" width="${plot.width}" height="${plot.height}" fill="none" stroke="${FRAME}" pointer-events="none"/>`,
    ...drawLegend(legend, below + 6),
  ]);
}

function check(bars: readonly Bar[], references: readonly ReferenceLine[]): void {
  checkRows("barsSvg", bars.length);
  for (const { label, value } of references) checkFinite(`barsSvg: the reference ${JSON.stringify(label)}`, value);
  for (const { label, value, low, high, controls = [] } of bars) {
    const row = `barsSvg: row ${JSON.stringify(label)}`;
    for (const [what, number] of Object.entries({ value, low, high })) checkFinite(`${row}: ${what}`, number);
    for (const control of controls) checkFinite(`${row}: control ${JSON.stringify(control.name)}`, control.value);
    if ((low === undefined) !== (high === undefined) || low! > high!) throw internal(`${row}: an interval from ${low} to ${high}`);
  }
}

/** The scale of all values, bounds, controls and references. */
function scaleOf(bars: readonly Bar[], { references = [], marks = "bars", unit }: BarsOptions, width: number): Axis {
  const own = bars.flatMap(({ value, low, high, controls = [] }) => [value, low, high, ...controls.map((control) => control.value)]);
  const found = [...own, ...references.map(({ value }) => value)].filter((value) => typeof value === "number");
  const values = [...(found.length > 0 ? found : [0, 1]), ...(marks === "bars" ? [0] : [])];
  return axis(values, {
    isLog: false,
    ticks: Math.max(2, Math.floor(width / 80)),
    pad: 0.04,
    within: endsOf(values, marks === "bars", unit === "share"),
  });
}

/** Where padding ends: at 0 for bars on one side of it, and at the ends of what shares can be. */
function endsOf(values: readonly number[], areBars: boolean, areShares: boolean): [least: number, most: number] {
  const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  if (areShares && least >= 0 && most <= 1) return [0, 1];
  return [areBars && least >= 0 ? 0 : -Infinity, areBars && most <= 0 && least < 0 ? 0 : Infinity];
}

/** What stands on the right of a row: its value, and its interval in brackets. */
function valueText({ value, low, high }: Bar, { unit }: BarsOptions): string {
  if (value === null) return "–";
  return low === undefined
    ? shownNumber(value, unit)
    : `${shownNumber(value, unit)} (${shownNumber(low, unit)} to ${shownNumber(high!, unit)})`;
}

function drawRow(chart: Chart, bar: Bar, { row, text }: { row: number; text: string }): string[] {
  const { plot, options } = chart;
  const pitch = rowPitch(chart.bars.length);
  const box = { left: plot.left, top: plot.top + row * pitch, width: plot.width, height: pitch };
  const baseline = round(box.top + pitch / 2 + SIZE.axis * 0.36);
  const right = plot.left + plot.width + 12;
  const words = `<text x="${plot.left - 8}" y="${baseline}" font-size="${SIZE.axis}" text-anchor="end">${escapeXml(rowLabel(bar.label))}</text>`;
  return [
    `<g><title>${escapeXml(tooltipOf(bar, options))}</title>`,
    `<rect x="0" y="${box.top}" width="${plot.left + plot.width}" height="${pitch}" fill="none" pointer-events="all"/>`,
    words,
    ...(bar.value === null ? [noValue(bar, box, baseline)] : drawValue(chart, { ...bar, value: bar.value }, box)),
    ...drawControls(chart, bar, box),
    `<text x="${right}" y="${baseline}" font-size="${SIZE.axis}">${escapeXml(text)}</text>`,
    "</g>",
  ];
}

function noValue({ note }: Bar, box: Box, baseline: number): string {
  const columns = Math.floor((box.width - 16) / textWidth("x", SIZE.axis));
  const text = shortened(visibleText(note ? `no value: ${note}` : "no value"), columns);
  return rimmedText(text, { x: box.left + 8, y: baseline, fill: MARK });
}

function drawValue(
  { scale, plot, groups, options }: Chart,
  { value, low, high, group }: Bar & { readonly value: number },
  box: Box,
): string[] {
  const kind = group === undefined ? 0 : groups.get(group)!;
  const colour = COLOURS[kind % COLOURS.length]!;
  const [x, y] = [across(scale, plot, value), round(box.top + box.height / 2)];
  const cap = round(box.height * 0.16);
  const [from, to] = low === undefined ? [x, x] : [across(scale, plot, low), across(scale, plot, high!)];
  const whisker = low === undefined ? "" : `M${from} ${y}H${to}M${from} ${y - cap}v${2 * cap}M${to} ${y - cap}v${2 * cap}`;
  if (options.marks === "dots")
    return [
      ...(whisker ? [`<path d="${whisker}" stroke="${colour}" stroke-width="1.5" fill="none"/>`] : []),
      `<g fill="${colour}">${marker(kind, x, y, 4)}</g>`,
    ];
  const zero = across(scale, plot, 0);
  const rect = {
    left: Math.min(zero, x),
    top: round(box.top + box.height * 0.2),
    width: round(Math.abs(x - zero)),
    height: round(box.height * 0.6),
  };
  return [
    `<rect x="${rect.left}" y="${rect.top}" width="${rect.width}" height="${rect.height}" fill="${colour}" fill-opacity="0.75" stroke="${colour}"/>`,
    hatch(kind, rect, "#ffffff"),
    ...(whisker ? [`<path d="${whisker}" stroke="#000000" stroke-width="1.3" fill="none"/>`] : []),
  ].filter(Boolean);
}

function drawControls({ scale, plot, controls }: Chart, bar: Bar, box: Box): string[] {
  return (bar.controls ?? []).map(({ name, value }) => {
    const x = across(scale, plot, value);
    return controlTick(controls.get(name)!, x, { top: round(box.top + 1.5), height: box.height - 3 });
  });
}

/** An upright stroke with a white rim, so that it shows on every bar. */
function controlTick(kind: number, x: number, { top, height }: { readonly top: number; readonly height: number }): string {
  const dash = DASHES[kind % DASHES.length]!;
  const path = `d="M${x} ${top}v${height}" fill="none"`;
  return `<path ${path} stroke="#ffffff" stroke-width="4.4"/><path ${path} stroke="#000000" stroke-width="2.2"${dash ? ` stroke-dasharray="${dash}"` : ""}/>`;
}

function legendOf({ groups, controls, options }: Chart): LegendEntry[] {
  const marks = [...groups].map(([name, kind]): LegendEntry => {
    const colour = COLOURS[kind % COLOURS.length]!;
    const dot = (x: number, y: number): string => `<g fill="${colour}">${marker(kind, x + 11, y + 6, 4)}</g>`;
    const bar = (x: number, y: number): string =>
      `<rect x="${x}" y="${y}" width="22" height="12" fill="${colour}" fill-opacity="0.75" stroke="${colour}"/>${hatch(kind, { left: x, top: y, width: 22, height: 12 }, "#ffffff")}`;
    return { name: visibleText(name), symbol: options.marks === "dots" ? dot : bar };
  });
  const ticks = [...controls].map(([name, kind]): LegendEntry => ({
    name: visibleText(name),
    symbol: (x, y) => controlTick(kind, x + 11, { top: y - 1, height: 14 }),
  }));
  return [...marks, ...ticks];
}

function tooltipOf(bar: Bar, options: BarsOptions): string {
  const { label, value, group, controls = [], note } = bar;
  const said = value === null ? "no value" : valueText(bar, options);
  const beside = controls.map((control) => `${control.name}: ${shownNumber(control.value, options.unit)}`);
  return visibleText([`${label}${group === undefined ? "" : ` (${group})`}: ${said}`, ...beside, ...(note ? [note] : [])].join("; "));
}

function description({ bars, options, scale }: Chart): string {
  const { xLabel = "values", unit, references = [] } = options;
  const range = `${xLabel} from ${scaleLabel(Number(scale.from.toPrecision(3)), unit)} to ${scaleLabel(Number(scale.to.toPrecision(3)), unit)}`;
  const lines = references.map(({ label, value }) => `line at ${shownNumber(value, unit)}: ${label}`);
  const rows = bars.map((bar) => tooltipOf(bar, options));
  return visibleText(`${bars.length === 1 ? "One row" : `${bars.length} rows`}, ${[range, ...lines].join(", ")}. ${rows.join(". ")}.`);
}
