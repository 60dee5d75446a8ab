/**
 * @file Lines over a common axis as one SVG picture, such as losses over steps. Colours are Okabe and Ito's (2008), which readers with any common
 * colour blindness can tell apart, and every line has its name in the legend and its first, last
 * and extreme values in a tooltip. Colours are attributes, and
 * the background is the picture's own, as in maps.
 */
import { axesOf, bandOf, inDrawingOrder, placeOn, pointsOf, tickLabel, type Axes, type CurveOptions, type CurveSeries } from "./curves.js";
import { drawLegend, LEGEND_LINE, legendRows } from "./legend.js";
import { digits } from "./panels.js";
import { COLOURS, FRAME, GRID, MARK, marker, round, SIZE, svgDocument, textWidth, type Box } from "./svg.js";
import { escapeXml } from "./text.js";

/** What an SVG of lines looks like besides. */
export interface CurveSvgOptions extends CurveOptions {
  /** In pixels. Default 720 by 420. */
  readonly width?: number;
  readonly height?: number;
}

/** Strokes of the second, third … seven lines. */
const DASHES = ["", "7 3", "2 3", "9 3 2 3"] as const;

interface Chart {
  readonly series: readonly CurveSeries[];
  readonly options: CurveSvgOptions;
  readonly axes: Axes;
  /** The rectangle that lines are drawn in, in pixels. */
  readonly plot: Box;
}

/** The series as an SVG document. Of a line with more points than pixels, each pixel shows the lowest and the highest value. */
export function curveSvg(series: readonly CurveSeries[], options: CurveSvgOptions = {}): string {
  const { width = 720, height = 420, title } = options;
  const axes = axesOf("curveSvg", series, options, { x: Math.max(2, Math.floor(width / 90)), y: Math.max(2, Math.floor(height / 60)) });
  const legend = legendRows(
    series.map((line, index) => ({ name: line.name, symbol: (x, y) => legendSymbol(line, index, { x, y }) })),
    width - 32,
  );
  const left = 16 + (options.yLabel ? 18 : 0) + Math.max(...axes.y.ticks.map((tick) => textWidth(tickLabel(tick), SIZE.axis)), 0) + 8;
  const top = (title ? 32 : 14) + (options.marks?.length ? 16 : 0);
  const below = 22 + (options.xLabel ? 18 : 0) + legend.length * LEGEND_LINE + 12;
  const plot = { left, top, width: Math.max(40, width - left - 20), height: Math.max(40, height - top - below) };
  const chart = { series, options, axes, plot };
  const [whole, tall] = [left + plot.width + 20, top + plot.height + below];
  const head = { width: whole, height: tall, title: title ?? "line chart", isTitled: Boolean(title), description: description(chart) };
  return svgDocument(head, [
    ...drawAxes(chart),
    ...drawMarks(chart),
    ...inDrawingOrder(series).flatMap(([index, line]) => drawBand(chart, line, index)),
    ...inDrawingOrder(series).flatMap(([index, line]) => drawLine(chart, line, index)),
    `<rect x="${plot.left}" y="${plot.top}" width="${plot.width}" height="${plot.height}" fill="none" stroke="${FRAME}"/>`,
    ...drawLegend(legend, tall - legend.length * LEGEND_LINE - 6),
  ]);
}

function description({ series, options, axes }: Chart): string {
  const { xLabel = "x", log = {} } = options;
  const kinds = (["x", "y"] as const).filter((axis) => log[axis]).map((axis) => `logarithmic ${axis}`);
  const lines = series.map((line) => `${line.name}${line.low ? " (with intervals)" : ""}: ${summary(line, options)}`);
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

/** The intervals of a line as a pale band; one alone is an upright stroke. */
function drawBand(chart: Chart, line: CurveSeries, index: number): string[] {
  const colour = COLOURS[index % COLOURS.length]!;
  const pixels = bandOf(line, chart.options.log).map((band) => {
    if (!band) return undefined;
    const high = pixelOf(chart, band.x, band.high);
    return { x: high.x, high: high.y, low: pixelOf(chart, band.x, band.low).y };
  });
  return runsOf(pixels).map((run) => {
    if (run.length === 1)
      return `<path d="M${run[0]!.x} ${run[0]!.high}V${run[0]!.low}" stroke="${colour}" stroke-opacity="0.5" fill="none"/>`;
    const columns = bandColumns(run);
    const [up, down] = [columns.map(({ x, high }) => `${x} ${high}`), columns.toReversed().map(({ x, low }) => `${x} ${low}`)];
    return `<path d="M${[...up, ...down].join("L")}z" fill="${colour}" fill-opacity="0.16"/>`;
  });
}

interface BandPixel {
  readonly x: number;
  readonly high: number;
  readonly low: number;
}

/** Of the intervals in one column of pixels, one that holds them all. */
function bandColumns(run: readonly BandPixel[]): BandPixel[] {
  const columns: BandPixel[] = [];
  for (const pixel of run) {
    const last = columns.at(-1);
    if (!last || Math.floor(last.x) !== Math.floor(pixel.x)) columns.push(pixel);
    else columns[columns.length - 1] = { x: last.x, high: Math.min(last.high, pixel.high), low: Math.max(last.low, pixel.low) };
  }
  return columns;
}

function pixelOf({ axes, plot }: Chart, x: number, y: number): Pixel {
  return { x: round(plot.left + placeOn(axes.x, x) * plot.width), y: round(plot.top + (1 - placeOn(axes.y, y)) * plot.height) };
}

function drawLine(chart: Chart, line: CurveSeries, index: number): string[] {
  const { options } = chart;
  const pixels = pointsOf(line, options.log).map((point) => (point ? pixelOf(chart, point.x, point.y) : undefined));
  const runs = runsOf(pixels);
  const tooltip = `<title>${escapeXml(`${line.name}: ${summary(line, options)}`)}</title>`;
  const lone = line.markers ? [] : runs.flatMap((run) => (run.length === 1 ? run : []));
  const colour = COLOURS[index % COLOURS.length]!;
  const paths = runs.filter((run) => run.length > 1).map((run) => `M${thinned(run).map(({ x, y }) => `${x} ${y}`).join("L")}`); // oxfmt-ignore
  return [
    ...(paths.length > 0
      ? [`<path d="${paths.join("")}" ${strokeOf(line, index)} fill="none" stroke-linejoin="round">${tooltip}</path>`]
      : []),
    ...lone.map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="2.5" fill="${colour}">${tooltip}</circle>`),
    ...(line.markers ? drawMarkers(chart, line, index) : []),
  ];
}

function drawMarkers(chart: Chart, line: CurveSeries, index: number): string[] {
  const bands = bandOf(line, chart.options.log);
  const marks = pointsOf(line, chart.options.log).flatMap((point, i) => {
    if (!point) return [];
    const { x, y } = pixelOf(chart, point.x, point.y);
    const [band, place] = [bands[i], `${line.name}: ${digits(point.y, 4)} at ${digits(point.x, 6)}`];
    const tooltip = band ? `${place} (${digits(band.low, 4)} to ${digits(band.high, 4)})` : place;
    return [`<g>${marker(index, x, y, 3)}<title>${escapeXml(tooltip)}</title></g>`];
  });
  return [`<g fill="${COLOURS[index % COLOURS.length]!}">`, ...marks, "</g>"];
}

interface Pixel {
  readonly x: number;
  readonly y: number;
}

/** Stretches without interruption. */
function runsOf<P extends object>(pixels: readonly (P | undefined)[]): P[][] {
  const runs: P[][] = [[]];
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

function legendSymbol(line: CurveSeries, index: number, { x, y }: Pixel): string {
  const stroke = `<path d="M${x} ${y + 6}h22" ${strokeOf(line, index)} fill="none"/>`;
  return line.markers ? `${stroke}<g fill="${COLOURS[index % COLOURS.length]!}">${marker(index, x + 11, y + 6, 3)}</g>` : stroke;
}
