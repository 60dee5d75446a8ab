/**
 * @file Lines over a common axis as one SVG picture, such as losses over steps. Colours are Okabe and Ito's (2008), which readers with any common
 * colour blindness can tell apart, and every line has its name in the legend and its first, last
 * and extreme values in a tooltip. Colours are attributes, and
 * the background is the picture's own, as in maps.
 */
import { DARK_INK } from "./colour-scale.js";
import { axesOf, inDrawingOrder, placeOn, pointsOf, tickLabel, type Axes, type CurveOptions, type CurveSeries } from "./curves.js";
import { digits } from "./panels.js";
import { displayWidth, escapeXml } from "./text.js";

/** What an SVG of lines looks like besides. */
export interface CurveSvgOptions extends CurveOptions {
  /** In pixels. Default 720 by 420. */
  readonly width?: number;
  readonly height?: number;
}

const FONT = "'DejaVu Sans Mono', ui-monospace, Menlo, Consolas, monospace";
/** The width of a character of a monospaced font, as a share of its size. */
const ADVANCE = 0.605;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"] as const;
/** Strokes of the second, third … seven lines. */
const DASHES = ["", "7 3", "2 3", "9 3 2 3"] as const;
const [FRAME, GRID, MARK] = ["#9a9a9a", "#e4e4e4", "#5c5c5c"];
const SIZE = { axis: 11, title: 14, legend: 11 };
const LEGEND_LINE = 18;

/** The rectangle that lines are drawn in, in pixels. */
interface Plot {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

interface Chart {
  readonly series: readonly CurveSeries[];
  readonly options: CurveSvgOptions;
  readonly axes: Axes;
  readonly plot: Plot;
}

/** The series as an SVG document. Of a line with more points than pixels, each pixel shows the lowest and the highest value. */
export function curveSvg(series: readonly CurveSeries[], options: CurveSvgOptions = {}): string {
  const { width = 720, height = 420, title } = options;
  const axes = axesOf("curveSvg", series, options, { x: Math.max(2, Math.floor(width / 90)), y: Math.max(2, Math.floor(height / 60)) });
  const legend = legendRows(series, width - 32);
  const left = 16 + (options.yLabel ? 18 : 0) + Math.max(...axes.y.ticks.map((tick) => textWidth(tickLabel(tick), SIZE.axis)), 0) + 8;
  const top = (title ? 32 : 14) + (options.marks?.length ? 16 : 0);
  const below = 22 + (options.xLabel ? 18 : 0) + legend.length * LEGEND_LINE + 12;
  const plot = { left, top, width: Math.max(40, width - left - 20), height: Math.max(40, height - top - below) };
  const chart = { series, options, axes, plot };
  const [whole, tall] = [left + plot.width + 20, top + plot.height + below];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${tall}" viewBox="0 0 ${whole} ${tall}" role="img" font-family="${FONT}" fill="${DARK_INK}">`,
    `<title>${escapeXml(title ?? "line chart")}</title>`,
    `<desc>${escapeXml(description(chart))}</desc>`,
    `<rect width="${whole}" height="${tall}" fill="#ffffff"/>`,
    ...(title ? [`<text x="16" y="21" font-size="${SIZE.title}">${escapeXml(title)}</text>`] : []),
    ...drawAxes(chart),
    ...drawMarks(chart),
    ...inDrawingOrder(series).flatMap(([index, line]) => drawLine(chart, line, index)),
    `<rect x="${plot.left}" y="${plot.top}" width="${plot.width}" height="${plot.height}" fill="none" stroke="${FRAME}"/>`,
    ...drawLegend(legend, tall - legend.length * LEGEND_LINE - 6),
    "</svg>\n",
  ].join("\n");
}

function description({ series, options, axes }: Chart): string {
  const { xLabel = "x", log = {} } = options;
  const kinds = (["x", "y"] as const).filter((axis) => log[axis]).map((axis) => `logarithmic ${axis}`);
  const lines = series.map((line) => `${line.name}: ${summary(line, options)}`);
  const range = `${xLabel} from ${digits(axes.x.from, 4)} to ${digits(axes.x.to, 4)}`;
  return `${series.length === 1 ? "One line" : `${series.length} lines`}, ${[range, ...kinds].join(", ")}. ${lines.join("; ")}.`;
}

/** First, last and extreme values of a line in words. */
function summary(line: CurveSeries, { log }: CurveOptions): string {
  const points = pointsOf(line, log).filter((point) => point !== undefined);
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return "no values";
  let [least, most] = [first, first];
  for (const point of points) [least, most] = [point.y < least.y ? point : least, point.y > most.y ? point : most];
  const at = ({ x, y }: { x: number; y: number }): string => `${digits(y, 4)} at ${digits(x, 6)}`;
  return `from ${at(first)} to ${at(last)}, lowest ${at(least)}, highest ${at(most)}`;
}

function drawAxes({ axes, plot, options: { xLabel, yLabel } }: Chart): string[] {
  const { left, top, width, height } = plot;
  const bottom = top + height;
  const columns = axes.x.ticks.map((tick) => [round(left + placeOn(axes.x, tick) * width), tickLabel(tick)] as const);
  const rows = axes.y.ticks.map((tick) => [round(bottom - placeOn(axes.y, tick) * height), tickLabel(tick)] as const);
  const grid = [...columns.map(([x]) => `M${x} ${top}v${height}`), ...rows.map(([y]) => `M${left} ${y}h${width}`)].join("");
  const middle = round(top + height / 2);
  return [
    ...(grid ? [`<path d="${grid}" stroke="${GRID}" fill="none" shape-rendering="crispEdges"/>`] : []),
    `<g font-size="${SIZE.axis}" text-anchor="middle">`,
    ...columns.map(([x, label]) => `<text x="${x}" y="${bottom + 16}">${label}</text>`),
    ...(xLabel ? [`<text x="${round(left + width / 2)}" y="${bottom + 35}">${escapeXml(xLabel)}</text>`] : []),
    ...(yLabel ? [`<text x="18" y="${middle}" transform="rotate(-90 18 ${middle})">${escapeXml(yLabel)}</text>`] : []),
    "</g>",
    `<g font-size="${SIZE.axis}" text-anchor="end">`,
    ...rows.map(([y, label]) => `<text x="${left - 6}" y="${round(y + SIZE.axis * 0.36)}">${label}</text>`),
    "</g>",
  ];
}

function drawMarks({ axes, plot, options: { marks = [] } }: Chart): string[] {
  return marks.flatMap(({ x, label }) => {
    const share = placeOn(axes.x, x);
    if (!Number.isFinite(share)) return [];
    const at = round(plot.left + share * plot.width);
    const anchor = share < 0.2 ? "start" : share > 0.8 ? "end" : "middle";
    return [
      `<path d="M${at} ${plot.top}v${plot.height}" stroke="${MARK}" stroke-dasharray="3 3" fill="none"><title>${escapeXml(`${label}: ${digits(x, 6)}`)}</title></path>`,
      `<text x="${at}" y="${plot.top - 5}" font-size="${SIZE.axis}" text-anchor="${anchor}">${escapeXml(label)}</text>`,
    ];
  });
}

function drawLine(chart: Chart, line: CurveSeries, index: number): string[] {
  const { axes, plot, options } = chart;
  const pixels = pointsOf(line, options.log).map((point) =>
    point
      ? { x: round(plot.left + placeOn(axes.x, point.x) * plot.width), y: round(plot.top + (1 - placeOn(axes.y, point.y)) * plot.height) }
      : undefined,
  );
  const runs = runsOf(pixels);
  const tooltip = `<title>${escapeXml(`${line.name}: ${summary(line, options)}`)}</title>`;
  const lone = runs.flatMap((run) => (run.length === 1 ? run : []));
  const colour = COLOURS[index % COLOURS.length]!;
  const paths = runs.filter((run) => run.length > 1).map((run) => `M${thinned(run).map(({ x, y }) => `${x} ${y}`).join("L")}`); // oxfmt-ignore
  return [
    ...(paths.length > 0
      ? [`<path d="${paths.join("")}" ${strokeOf(line, index)} fill="none" stroke-linejoin="round">${tooltip}</path>`]
      : []),
    ...lone.map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}">${tooltip}</circle>`),
  ];
}

interface Pixel {
  readonly x: number;
  readonly y: number;
}

/** Stretches without interruption. */
function runsOf(pixels: readonly (Pixel | undefined)[]): Pixel[][] {
  const runs: Pixel[][] = [[]];
  for (const pixel of pixels) {
    if (pixel) runs.at(-1)!.push(pixel);
    else if (runs.at(-1)!.length > 0) runs.push([]);
  }
  return runs.filter((run) => run.length > 0);
}

/** Of the points in one column of pixels, the first, the extreme ones in their order, and the last. */
function thinned(run: readonly Pixel[]): Pixel[] {
  const kept: Pixel[] = [];
  for (let start = 0; start < run.length;) {
    let end = start;
    let [low, high] = [start, start];
    while (end < run.length && Math.floor(run[end]!.x) === Math.floor(run[start]!.x)) {
      if (run[end]!.y < run[low]!.y) low = end;
      if (run[end]!.y > run[high]!.y) high = end;
      end++;
    }
    kept.push(...[...new Set([start, low, high, end - 1])].toSorted((a, b) => a - b).map((i) => run[i]!));
    start = end;
  }
  return kept;
}

function strokeOf({ faint }: CurveSeries, index: number): string {
  const dash = DASHES[Math.floor(index / COLOURS.length) % DASHES.length]!;
  const paleness = faint ? ` stroke-opacity="0.35"` : "";
  return `stroke="${COLOURS[index % COLOURS.length]!}" stroke-width="${faint ? 1 : 1.8}"${paleness}${dash ? ` stroke-dasharray="${dash}"` : ""}`;
}

interface LegendEntry {
  readonly name: string;
  readonly x: number;
  readonly stroke: string;
}

/** Names with their strokes, as many a row as fit. */
function legendRows(series: readonly CurveSeries[], room: number): LegendEntry[][] {
  const rows: LegendEntry[][] = [[]];
  let x = 0;
  for (const [index, line] of series.entries()) {
    const width = 28 + textWidth(line.name, SIZE.legend) + 16;
    if (x > 0 && x + width > room) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1)!.push({ name: line.name, x: 16 + x, stroke: strokeOf(line, index) });
    x += width;
  }
  return rows;
}

function drawLegend(rows: readonly (readonly LegendEntry[])[], top: number): string[] {
  return rows.flatMap((row, index) =>
    row.map(({ name, x, stroke }) => {
      const y = top + index * LEGEND_LINE;
      return `<path d="M${x} ${y + 6}h22" ${stroke} fill="none"/><text x="${x + 28}" y="${y + 10}" font-size="${SIZE.legend}">${escapeXml(name)}</text>`;
    }),
  );
}

function textWidth(content: string, font: number): number {
  return Math.ceil(displayWidth(content) * font * ADVANCE);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
