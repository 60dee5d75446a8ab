/**
 * @file Points in two dimensions as one SVG picture, such as one head a point. Groups are told apart by colour and shape; every point has a tooltip, and those that are
 * pointed out are ringed and named where there is room for the name.
 */
import { internal } from "../base/errors.js";
import { axis, placeOn, tickLabel, type Axes } from "./curves.js";
import { drawLegend, LEGEND_LINE, legendRows } from "./legend.js";
import { digits } from "./panels.js";
import { placeLabels, type PlacedLabel } from "./place-labels.js";
import { numbered } from "./rows.js";
import { COLOURS, FRAME, GRID, MARK, marker, rimmedText, round, shortened, SIZE, svgDocument, textWidth, type Box } from "./svg.js";
import { escapeXml, visibleText } from "./text.js";

/** One point. */
export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  readonly label?: string;
  /** Points of a group share a colour and a shape. */
  readonly group?: string;
  /** Whether it is ringed, drawn on top, and named. */
  readonly highlighted?: boolean;
}

/** What a picture of points looks like besides. */
export interface ScatterOptions {
  readonly title?: string;
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** Axes that are logarithmic. Default: none. */
  readonly log?: { readonly x?: boolean; readonly y?: boolean };
  /** Values to point out by a line across the plot. */
  readonly references?: readonly { readonly axis: "x" | "y"; readonly value: number; readonly label: string }[];
  /** In pixels. Default 720 by 480. */
  readonly width?: number;
  readonly height?: number;
}

/** More points than this get no tooltips but those pointed out. */
const TOOLTIPS = 5000;

interface Chart {
  readonly points: readonly ScatterPoint[];
  readonly options: ScatterOptions;
  readonly axes: Axes;
  readonly plot: Box;
  readonly groups: ReadonlyMap<string, number>;
}

/** The points as an SVG document. */
export function scatterSvg(points: readonly ScatterPoint[], options: ScatterOptions = {}): string {
  const { width = 720, height = 480, title } = options;
  check(points, options);
  const groups = numbered(points.map(({ group }) => group));
  const axes = axesOf(points, options, { width, height });
  const legend = legendRows(
    [...groups].map(([name, kind]) => ({
      name: visibleText(name),
      symbol: (x, y) => `<g fill="${colourOf(kind)}">${marker(kind, x + 11, y + 6, 4)}</g>`,
    })),
    width - 32,
  );
  const left = 16 + (options.yLabel ? 18 : 0) + Math.max(...axes.y.ticks.map((tick) => textWidth(tickLabel(tick), SIZE.axis)), 0) + 8;
  const top = title ? 34 : 14;
  const below = 22 + (options.xLabel ? 18 : 0) + legend.length * LEGEND_LINE + 12;
  const plot = { left, top, width: Math.max(60, width - left - 20), height: Math.max(60, height - top - below) };
  const chart = { points, options, axes, plot, groups };
  const references = referencesOf(chart);
  const [labels, missing] = labelsOf(
    chart,
    references.map(({ box }) => box),
  );
  const [whole, tall] = [left + plot.width + 20, top + plot.height + below];
  const head = { width: whole, height: tall, title: title ?? "scatter chart", isTitled: Boolean(title) };
  return svgDocument({ ...head, description: description(chart, missing) }, [
    ...drawGrid(chart),
    ...references.map(drawReference),
    ...drawPoints(chart),
    `<rect x="${left}" y="${top}" width="${plot.width}" height="${plot.height}" fill="none" stroke="${FRAME}" pointer-events="none"/>`,
    ...references.map(({ name, box }) => drawName(name, box)),
    ...labels.flatMap(drawLabel),
    ...drawLegend(legend, tall - legend.length * LEGEND_LINE - 6),
  ]);
}

function check(points: readonly ScatterPoint[], { log = {}, references = [] }: ScatterOptions): void {
  if (points.length === 0) throw internal("scatterSvg: there is no point to draw");
  const demand = (what: string, value: number, isLog = false): void => {
    if (!Number.isFinite(value) || (isLog && value <= 0))
      throw internal(`scatterSvg: ${what} is ${value}, not a ${isLog ? "positive" : "finite"} number`);
  };
  for (const [i, { x, y }] of points.entries()) {
    demand(`x of point ${i}`, x, log.x);
    demand(`y of point ${i}`, y, log.y);
  }
  for (const reference of references) demand(`the line ${JSON.stringify(reference.label)}`, reference.value, log[reference.axis]);
}

function axesOf(
  points: readonly ScatterPoint[],
  { log = {}, references = [] }: ScatterOptions,
  size: { width: number; height: number },
): Axes {
  const valuesOn = (name: "x" | "y"): number[] => [
    ...points.map((point) => point[name]),
    ...references.filter((reference) => reference.axis === name).map(({ value }) => value),
  ];
  return {
    x: axis(valuesOn("x"), { isLog: log.x ?? false, ticks: Math.max(2, Math.floor(size.width / 90)), pad: 0.04 }),
    y: axis(valuesOn("y"), { isLog: log.y ?? false, ticks: Math.max(2, Math.floor(size.height / 60)), pad: 0.04 }),
  };
}

function drawGrid({ axes, plot, options: { xLabel, yLabel } }: Chart): string[] {
  const bottom = plot.top + plot.height;
  const columns = axes.x.ticks.map((tick) => [round(plot.left + placeOn(axes.x, tick) * plot.width), tickLabel(tick)] as const);
  const rows = axes.y.ticks.map((tick) => [round(bottom - placeOn(axes.y, tick) * plot.height), tickLabel(tick)] as const);
  const grid = [...columns.map(([x]) => `M${x} ${plot.top}v${plot.height}`), ...rows.map(([y]) => `M${plot.left} ${y}h${plot.width}`)].join(
    "",
  );
  const middle = round(plot.top + plot.height / 2);
  return [
    `<path d="${grid}" stroke="${GRID}" fill="none" shape-rendering="crispEdges"/>`,
    `<g font-size="${SIZE.axis}" text-anchor="middle">`,
    ...columns.map(([x, label]) => `<text x="${x}" y="${bottom + 16}">${label}</text>`),
    ...(xLabel ? [`<text x="${round(plot.left + plot.width / 2)}" y="${bottom + 35}">${escapeXml(visibleText(xLabel))}</text>`] : []),
    ...(yLabel ? [`<text x="18" y="${middle}" transform="rotate(-90 18 ${middle})">${escapeXml(visibleText(yLabel))}</text>`] : []),
    "</g>",
    `<g font-size="${SIZE.axis}" text-anchor="end">`,
    ...rows.map(([y, label]) => `<text x="${plot.left - 6}" y="${round(y + SIZE.axis * 0.36)}">${label}</text>`),
    "</g>",
  ];
}

/** A line across the plot and where its name stands. */
interface PlacedReference {
  readonly path: string;
  readonly name: string;
  readonly box: Box;
  readonly tooltip: string;
}

function referencesOf({ axes, plot, options }: Chart): PlacedReference[] {
  return (options.references ?? []).map(({ axis: along, value, label }) => {
    const name = shortened(visibleText(label), 40);
    const size = { width: textWidth(name, SIZE.axis) + 4, height: 14 };
    const tooltip = visibleText(`${label}: ${digits(value, 6)}`);
    const { x, y } = {
      x: round(plot.left + placeOn(axes.x, value) * plot.width),
      y: round(plot.top + (1 - placeOn(axes.y, value)) * plot.height),
    };
    if (along === "y")
      return { path: `M${plot.left} ${y}h${plot.width}`, name, tooltip, box: { left: plot.left + 4, top: y - 16, ...size } };
    const left = x > plot.left + plot.width / 2 ? x - 4 - size.width : x + 4;
    return { path: `M${x} ${plot.top}v${plot.height}`, name, tooltip, box: { left, top: plot.top + 3, ...size } };
  });
}

function drawReference({ path, tooltip }: PlacedReference): string {
  return `<path d="${path}" stroke="${MARK}" stroke-dasharray="3 3" fill="none"><title>${escapeXml(tooltip)}</title></path>`;
}

/** All points, those pointed out last and ringed. */
function drawPoints(chart: Chart): string[] {
  const { points } = chart;
  const radius = points.length <= 100 ? 4 : points.length <= 1000 ? 3 : 2;
  const draw = (point: ScatterPoint): string => {
    const kind = kindOf(chart, point);
    const { x, y } = pixelOf(chart, point);
    const isNamed = point.highlighted || points.length <= TOOLTIPS;
    const tooltip = isNamed ? `<title>${escapeXml(tooltipOf(point, chart.options))}</title>` : "";
    const ring = point.highlighted ? `<circle cx="${x}" cy="${y}" r="${radius + 3}" fill="none" stroke="#000000" stroke-width="1.3"/>` : "";
    const mark = marker(kind, x, y, radius);
    const opacity = point.highlighted ? "" : ` fill-opacity="0.7"`;
    return `<g fill="${colourOf(kind)}"${opacity}>${mark}${ring}${tooltip}</g>`;
  };
  return [...points.filter(({ highlighted }) => !highlighted), ...points.filter(({ highlighted }) => highlighted)].map(draw);
}

/** The names that have a place, and how many have none. */
function labelsOf(chart: Chart, taken: readonly Box[]): [labels: PlacedLabel[], missing: number] {
  const named = chart.points.filter(({ highlighted, label }) => highlighted && label);
  const wanted = named.map((point) => ({ ...pixelOf(chart, point), text: shortened(visibleText(point.label!), 28) }));
  const labels = placeLabels(wanted, chart.plot, taken);
  return [labels, wanted.length - labels.length];
}

function drawLabel({ text, x, y, box, leader }: PlacedLabel): string[] {
  const stroke = `stroke="${MARK}" stroke-width="0.8" fill="none" pointer-events="none"`;
  return [...(leader ? [`<path d="M${x} ${y}L${round(leader.x)} ${round(leader.y)}" ${stroke}/>`] : []), drawName(text, box)];
}

function drawName(name: string, { left, top, height }: Box): string {
  return rimmedText(name, { x: round(left + 2), y: round(top + height - 3) });
}

function kindOf({ groups }: Chart, { group }: ScatterPoint): number {
  return group === undefined ? 0 : groups.get(group)!;
}

function pixelOf({ axes, plot }: Chart, { x, y }: ScatterPoint): { x: number; y: number } {
  return { x: round(plot.left + placeOn(axes.x, x) * plot.width), y: round(plot.top + (1 - placeOn(axes.y, y)) * plot.height) };
}

function colourOf(kind: number): string {
  return COLOURS[kind % COLOURS.length]!;
}

function tooltipOf({ x, y, label, group }: ScatterPoint, { xLabel = "x", yLabel = "y" }: ScatterOptions): string {
  const name = [label, group === undefined ? undefined : `(${group})`].filter((part) => part !== undefined).join(" ");
  return visibleText(`${name ? `${name}: ` : ""}${xLabel} ${digits(x, 4)}, ${yLabel} ${digits(y, 4)}`);
}

function description({ points, options, axes, groups }: Chart, missing: number): string {
  const { xLabel = "x", yLabel = "y", references = [] } = options;
  const range = (name: string, { from, to, isLog }: Axes["x"]): string =>
    `${name} from ${digits(from, 3)} to ${digits(to, 3)}${isLog ? " (logarithmic)" : ""}`;
  const named = points.filter(({ highlighted }) => highlighted);
  const counts = [...groups.keys()].map((name) => `${name}: ${points.filter(({ group }) => group === name).length}`);
  const sentences = [
    `${points.length === 1 ? "One point" : `${points.length} points`}, ${range(xLabel, axes.x)}, ${range(yLabel, axes.y)}`,
    ...(counts.length > 0 ? [`Points of each group: ${counts.join(", ")}`] : []),
    ...references.map(({ axis: name, value, label }) => `Line at ${name} = ${digits(value, 4)}: ${label}`),
    ...(named.length > 0 ? [`Pointed out: ${named.slice(0, 60).map((point) => tooltipOf(point, options)).join("; ")}`] : []), // oxfmt-ignore
    ...(missing > 0 ? [`${missing} of their names had no room and are in tooltips`] : []),
  ];
  return visibleText(`${sentences.join(". ")}.`);
}
