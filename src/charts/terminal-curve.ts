/**
 * @file Lines as text for a terminal, such as losses over steps. Braille characters give two by four dots a cell. With colour each series has its own;
 * without, each series after the first is drawn with a sign of its own, one a cell.
 */
import {
  axesOf,
  inDrawingOrder,
  placeOn,
  pointsOf,
  tickLabel,
  type Axes,
  type Axis,
  type CurveOptions,
  type CurveSeries,
} from "./curves.js";
import type { TerminalOptions } from "./terminal.js";
import { displayWidth, fitText } from "./text.js";

/** What series share, and the terminal that they are for. */
export interface TerminalCurveOptions extends Omit<CurveOptions, "marks">, TerminalOptions {
  /** Lines of text that the plot itself takes. Default 12. */
  readonly rows?: number;
}

/** Bits of the dots of a braille character, by row and column. */
// oxfmt-ignore
const DOTS = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]] as const;
const BLANK = 0x2800;
/** Of the 256-colour palette: blue, orange, green, pink, light blue, yellow; readable on light and dark grounds. */
const INKS = [33, 208, 35, 175, 74, 178] as const;
const SIGNS = ["+", "x", "o", "#", "%", "@"] as const;

/** What is drawn in a cell: dots or a sign, and whose it is. */
interface Cell {
  readonly dots: number;
  readonly series: number;
}

interface Grid {
  readonly cells: Cell[][];
  readonly width: number;
  readonly height: number;
}

/** The plot with its axes, and the names of the series where there are several or it has no title. */
export function terminalCurve(series: readonly CurveSeries[], options: TerminalCurveOptions): string {
  const { rows = 12, columns, title, yLabel, log } = options;
  const axes = axesOf("terminalCurve", series, options, { x: Math.max(2, Math.floor(columns / 14)), y: Math.max(2, Math.floor(rows / 2)) });
  const labels = rowLabels(axes.y, rows);
  const margin = Math.max(...labels.map(displayWidth));
  const width = Math.max(8, columns - margin - 2);
  const grid = { cells: Array.from({ length: rows }, () => blankRow(width)), width, height: rows };
  for (const [index, line] of inDrawingOrder(series)) for (const run of dotsOf(line, axes, grid, log)) drawRun(grid, run, index);
  const lines = grid.cells.map((row, i) => `${fitText(labels[i]!, margin, "right")} ┤${paintRow(row, series.length, options)}`.trimEnd());
  const heading = [...(title ? [title] : []), ...(yLabel ? [yLabel] : [])];
  return [...heading, ...lines, ...footer(axes.x, { margin, width }, options), ...legend(series, options)].join("\n");
}

function blankRow(width: number): Cell[] {
  return Array.from({ length: width }, () => ({ dots: 0, series: -1 }));
}

/** A label for each row that a tick falls into. */
function rowLabels(axis: Axis, rows: number): string[] {
  const labels = Array.from({ length: rows }, () => "");
  for (const tick of axis.ticks) {
    const row = Math.min(rows - 1, Math.max(0, Math.round((1 - placeOn(axis, tick)) * (rows * 4 - 1)) >> 2));
    labels[row] ||= tickLabel(tick);
  }
  return labels;
}

interface Dot {
  readonly x: number;
  readonly y: number;
}

/** The stretches of a line in dots, from the upper left corner. */
function dotsOf(line: CurveSeries, axes: Axes, { width, height }: Grid, log: CurveOptions["log"]): Dot[][] {
  const runs: Dot[][] = [[]];
  for (const point of pointsOf(line, log)) {
    if (!point) {
      runs.push([]);
      continue;
    }
    const x = Math.round(placeOn(axes.x, point.x) * (2 * width - 1));
    runs.at(-1)!.push({ x, y: Math.round((1 - placeOn(axes.y, point.y)) * (4 * height - 1)) });
  }
  return runs.filter((run) => run.length > 0);
}

function drawRun(grid: Grid, run: readonly Dot[], series: number): void {
  let from = run[0]!;
  for (const to of run) {
    const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
    for (let step = 0; step <= steps; step++) {
      const share = step / steps;
      setDot(grid, { x: Math.round(from.x + (to.x - from.x) * share), y: Math.round(from.y + (to.y - from.y) * share) }, series);
    }
    from = to;
  }
}

function setDot({ cells }: Grid, { x, y }: Dot, series: number): void {
  const row = cells[y >> 2]!;
  const cell = row[x >> 1]!;
  const dots = (cell.series === series ? cell.dots : 0) | DOTS[y & 3]![(x & 1) as 0 | 1];
  row[x >> 1] = { dots, series };
}

function paintRow(row: readonly Cell[], count: number, { colour }: TerminalOptions): string {
  return row.map((cell) => paintCell(cell, count, colour)).join("");
}

function paintCell({ dots, series }: Cell, count: number, colour: boolean): string {
  if (dots === 0) return " ";
  const character = String.fromCodePoint(BLANK + dots);
  if (colour) return inked(character, series);
  return count === 1 || series === 0 ? character : SIGNS[(series - 1) % SIGNS.length]!;
}

function inked(text: string, series: number): string {
  return `\x1b[38;5;${INKS[series % INKS.length]}m${text}\x1b[0m`;
}

/** The line below the plot, the numbers below that, and what they are. */
function footer(axis: Axis, { margin, width }: { margin: number; width: number }, { xLabel }: CurveOptions): string[] {
  const line = Array.from({ length: width }, () => "─");
  const numbers = Array.from({ length: width }, () => " ");
  let free = 0;
  for (const tick of axis.ticks) {
    const place = Math.round(placeOn(axis, tick) * (2 * width - 1)) >> 1;
    const label = tickLabel(tick);
    const start = Math.min(width - label.length, Math.max(0, place - Math.floor(label.length / 2)));
    if (start < free) continue;
    line[place] = "┬";
    for (const [i, character] of Array.from(label).entries()) numbers[start + i] = character;
    free = start + label.length + 1;
  }
  const indent = " ".repeat(margin + 2);
  const named = xLabel ? [`${indent}${" ".repeat(Math.max(0, Math.floor((width - displayWidth(xLabel)) / 2)))}${xLabel}`] : [];
  return [`${" ".repeat(margin + 1)}└${line.join("")}`, `${indent}${numbers.join("")}`.trimEnd(), ...named];
}

function legend(series: readonly CurveSeries[], { colour, title }: TerminalCurveOptions): string[] {
  if (series.length === 1 && title) return [];
  const signOf = (index: number): string => (colour ? inked("⠒⠒", index) : index === 0 ? "⠒⠒" : SIGNS[(index - 1) % SIGNS.length]!);
  return [series.map(({ name }, index) => `${signOf(index)} ${name}`).join("  ")];
}
