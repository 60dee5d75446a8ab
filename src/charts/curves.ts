/**
 * @file What line charts are drawn from, whether for SVG or a terminal: series of points, the axes that hold them all, and round numbers
 * along these.
 */
import { internal } from "../base/errors.js";

/** One line. */
export interface CurveSeries {
  readonly name: string;
  /** In ascending order; as many as `y`. */
  readonly x: ArrayLike<number>;
  /** `undefined` or not finite where the line is interrupted; on a logarithmic axis also where not above 0. */
  readonly y: ArrayLike<number | undefined>;
  /** Drawn thin and pale, such as the loss of each step behind its mean. */
  readonly faint?: boolean;
  /** An interval at each point, as many as `x`: a band in SVGs, interrupted where a bound is not there. Terminals leave it out. */
  readonly low?: ArrayLike<number | undefined>;
  readonly high?: ArrayLike<number | undefined>;
  /** Each point gets a mark with a tooltip, in SVGs. */
  readonly markers?: boolean;
}

/** A moment to point out by an upright line. */
export interface CurveMark {
  readonly x: number;
  readonly label: string;
}

/** What all series share. */
export interface CurveOptions {
  readonly title?: string;
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** Axes that are logarithmic. Default: none. */
  readonly log?: { readonly x?: boolean; readonly y?: boolean };
  readonly marks?: readonly CurveMark[];
}

/** An axis from one value to another. */
export interface Axis {
  readonly from: number;
  readonly to: number;
  readonly isLog: boolean;
  /** Round values on it, ascending. */
  readonly ticks: readonly number[];
}

/** Both axes, wide enough for all points and marks, with about so many ticks. */
export interface Axes {
  readonly x: Axis;
  readonly y: Axis;
}

/** The axes of the series, having checked that there is a point to draw. */
export function axesOf(
  chart: string,
  series: readonly CurveSeries[],
  { log = {}, marks = [] }: CurveOptions,
  ticks: { readonly x: number; readonly y: number },
): Axes {
  for (const line of series) checkLengths(chart, line);
  const points = series.flatMap((line) => pointsOf(line, log)).filter((point) => point !== undefined);
  if (points.length === 0) throw internal(`${chart}: ${series.length} series have no point to draw`);
  const shown = marks.map(({ x }) => x).filter((x) => isDrawn(x, log.x));
  return {
    x: axis([...points.map(({ x }) => x), ...shown], { isLog: log.x ?? false, ticks: ticks.x, pad: 0 }),
    y: axis(
      [...points.map(({ y }) => y), ...series.flatMap((line) => bandOf(line, log)).flatMap((band) => (band ? [band.low, band.high] : []))],
      { isLog: log.y ?? false, ticks: ticks.y, pad: 0.04 },
    ),
  };
}

/** The points of a line in order; undefined where it is interrupted. */
export function pointsOf({ x, y }: CurveSeries, log: CurveOptions["log"] = {}): ({ x: number; y: number } | undefined)[] {
  return Array.from(x, (at, i) => {
    const value = y[i];
    return isDrawn(at, log.x) && isDrawn(value, log.y) ? { x: at, y: value } : undefined;
  });
}

/** The interval at each point of a line; undefined where it has none. */
export function bandOf(
  { x, low, high }: CurveSeries,
  log: CurveOptions["log"] = {},
): ({ x: number; low: number; high: number } | undefined)[] {
  if (!low || !high) return [];
  return Array.from(x, (at, i) => {
    const [from, to] = [low[i], high[i]];
    return isDrawn(at, log.x) && isDrawn(from, log.y) && isDrawn(to, log.y) ? { x: at, low: from, high: to } : undefined;
  });
}

function checkLengths(chart: string, { name, x, y, low, high }: CurveSeries): void {
  const line = `${chart}: series ${JSON.stringify(name)} has`;
  if (x.length !== y.length) throw internal(`${line} ${x.length} values of x and ${y.length} of y`);
  if (!low && !high) return;
  const [lows, highs] = [low?.length ?? 0, high?.length ?? 0];
  if (lows !== x.length || highs !== x.length) throw internal(`${line} ${x.length} values of x, ${lows} of low and ${highs} of high`);
  const crossed = Array.from(low!).findIndex((bound, i) => bound! > high![i]!);
  if (crossed >= 0) throw internal(`${line} an interval from ${low![crossed]} to ${high![crossed]} at ${x[crossed]}`);
}

/** The series with their numbers, what lies on top last: faint ones below the others, and later ones below earlier ones. */
export function inDrawingOrder(series: readonly CurveSeries[]): (readonly [index: number, line: CurveSeries])[] {
  const fromBelow = [...series.entries()].toReversed();
  return [...fromBelow.filter(([, { faint }]) => faint), ...fromBelow.filter(([, { faint }]) => !faint)];
}

/** Where a value lies on an axis: 0 at its beginning, 1 at its end. */
export function placeOn({ from, to, isLog }: Axis, value: number): number {
  return isLog ? Math.log(value / from) / Math.log(to / from) : (value - from) / (to - from);
}

/** A round number, in thousands or as a power of ten where that is shorter. */
export function tickLabel(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6 || (size < 1e-4 && size > 0))
    return value.toExponential(Number(value.toPrecision(3)).toExponential().includes(".") ? 1 : 0).replace("e+", "e");
  if (size >= 1e4) return `${Number((value / 1000).toPrecision(4))}k`;
  return String(Number(value.toPrecision(4)));
}

function isDrawn(value: number | undefined, isLog = false): value is number {
  return value !== undefined && Number.isFinite(value) && (!isLog || value > 0);
}

/** How an axis is made for values. */
export interface AxisOptions {
  readonly isLog: boolean;
  /** About how many. */
  readonly ticks: number;
  /** What it is longer on both sides, as a share of the values' range. */
  readonly pad: number;
  /** Where its padding ends. Default: nowhere. */
  readonly within?: readonly [least: number, most: number];
}

/** An axis that holds all values. */
export function axis(values: readonly number[], { isLog, ticks, pad, within = [-Infinity, Infinity] }: AxisOptions): Axis {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const [from, to] = isLog ? padded(Math.log(least), Math.log(most), pad).map(Math.exp) : padded(least, most, pad);
  const ends = { from: Math.max(from!, within[0]), to: Math.min(to!, within[1]) };
  return { ...ends, isLog, ticks: isLog ? logTicks(ends, ticks) : linearTicks(ends, ticks) };
}

/** The range with a share of it on both sides; a single value gets a range around it. */
function padded(least: number, most: number, pad: number): [number, number] {
  if (most - least <= Math.abs(most) * 1e-12) {
    const room = Math.abs(most) * 0.1 || 1;
    return [least - room, most + room];
  }
  const room = (most - least) * pad;
  return [least - room, most + room];
}

/** Multiples of 1, 2 or 5 times a power of ten, about `count` of them. */
function linearTicks({ from, to }: { from: number; to: number }, count: number): number[] {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const [first, last] = [Math.ceil(from / step - 1e-9), Math.floor(to / step + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Powers of ten, with their doubles and fives where there are few; as on a linear axis where there is none or one of these. */
function logTicks(ends: { from: number; to: number }, count: number): number[] {
  const [low, high] = [Math.floor(Math.log10(ends.from)), Math.ceil(Math.log10(ends.to))];
  const stride = Math.max(1, Math.ceil((high - low) / count));
  const factors = high - low <= count / 2 ? [1, 2, 5] : [1];
  const decades = Array.from({ length: Math.floor((high - low) / stride) + 1 }, (_, i) => low + i * stride);
  const all = decades.flatMap((decade) => factors.map((factor) => Number(`${factor}e${decade}`)));
  const within = all.filter((value) => value >= ends.from * (1 - 1e-9) && value <= ends.to * (1 + 1e-9));
  return within.length >= 3 ? within : linearTicks(ends, count).filter((value) => value > 0);
}
