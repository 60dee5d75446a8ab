/**
 * @file Charts as text for a terminal: a heat map and a table whose cells are shaded by a share in 0..1. With colour the shade
 * is a background from a dark-to-bright ramp with its own ink, readable on light and dark terminals; without it, block characters.
 */
import { displayWidth, fitText, visibleToken } from "./text.js";

/** How text charts are drawn. */
export interface TerminalOptions {
  /** Whether ANSI colours may be used. */
  readonly colour: boolean;
  /** Terminal columns to stay within. */
  readonly columns: number;
}

/** One cell of a table; `share` (0..1) shades it. */
export interface TableCell {
  readonly text: string;
  readonly share?: number;
}

const SHADES = [" ", "░", "▒", "▓", "█"] as const;
/** Background and ink of the 256-colour palette, from nothing to all. */
const RAMP = [undefined, [17, 255], [19, 255], [25, 255], [31, 255], [36, 16], [71, 16], [148, 16], [226, 16]] as const;

/** The text on the colour of its share, or as it is when the share is next to nothing. */
export function shaded(text: string, share: number, colour: boolean): string {
  const step = colour ? RAMP[stepOf(share, RAMP.length)] : undefined;
  return step ? `\x1b[48;5;${step[0]};38;5;${step[1]}m${text}\x1b[0m` : text;
}

function stepOf(share: number, steps: number): number {
  const clamped = Math.min(1, Math.max(0, Number.isNaN(share) ? 0 : share));
  return clamped < 0.02 ? 0 : Math.min(steps - 1, Math.max(1, Math.ceil(clamped * (steps - 1))));
}

/**
 * A square of shaded cells, `values[row][column]` in 0..1, with one label (a token's text) a row and the last digits of the index over each
 * column. Columns that do not fit are left out on the left, and a line says so.
 */
export function heatMap(values: readonly ArrayLike<number>[], labels: readonly string[], { colour, columns }: TerminalOptions): string {
  const count = values[0]?.length ?? 0;
  const named = labels.map((label, row) => `${row} ${visibleToken(label)}`);
  const labelWidth = Math.min(20, Math.max(0, ...named.map(displayWidth)));
  const room = Math.max(8, columns - labelWidth - 1);
  const cell = count * 2 <= room ? 2 : 1;
  const first = Math.max(0, count - Math.floor(room / cell));
  const shown = Array.from({ length: count - first }, (_, i) => first + i);
  const header = shown.map((column) => columnLabel(column, cell, count)).join("");
  const lines = values.map(
    (row, i) => `${fitText(named[i] ?? String(i), labelWidth)} ${shown.map((column) => block(row[column]!, cell, colour)).join("")}`,
  );
  const note = first > 0 ? [`(columns 0 to ${first - 1} do not fit)`] : [];
  return [
    `${" ".repeat(labelWidth)} ${header}`.trimEnd(),
    ...lines.map((line) => line.trimEnd()),
    ...note,
    legend(labelWidth, colour),
  ].join("\n");
}

/** The column's index where it fits; of columns one character wide its last digit. */
function columnLabel(column: number, width: number, count: number): string {
  if (width === 1) return String(column % 10);
  return count > 10 && column % 2 === 1 ? "  " : String(column % 100).padStart(width);
}

function block(share: number, width: number, colour: boolean): string {
  return colour ? shaded(" ".repeat(width), share, true) : SHADES[stepOf(share, SHADES.length)]!.repeat(width);
}

function legend(indent: number, colour: boolean): string {
  const steps = colour ? RAMP.length : SHADES.length;
  const scale = Array.from({ length: steps }, (_, step) => block(step / (steps - 1), 2, colour));
  return `${" ".repeat(indent)} 0 ${scale.join("").trimStart()} 1`;
}

/** What a table looks like beside its cells. */
export interface TableOptions extends TerminalOptions {
  readonly header: readonly string[];
  /** Default: the first column left, the others right. */
  readonly align?: readonly ("left" | "right")[];
  /** The widest a column may be. Default 24. */
  readonly widest?: number;
}

/** Rows under a header, in aligned columns. A table wider than the terminal continues below, its first column repeated. */
export function table(rows: readonly (readonly TableCell[])[], options: TableOptions): string {
  const { header, columns, widest = 24 } = options;
  const widths = header.map((title, column) =>
    Math.min(widest, Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[column]?.text ?? "")))),
  );
  return pagesOf(widths, columns)
    .map((page) => drawPage(rows, page, widths, options))
    .join("\n\n");
}

/** The columns of each page: the first one and as many others as fit, at least one. */
function pagesOf(widths: readonly number[], columns: number): number[][] {
  const pages: number[][] = [];
  let used = 0;
  for (let column = 1; column < widths.length; column++) {
    const width = widths[column]! + GAP.length;
    if (pages.length === 0 || used + width > columns) {
      pages.push([0]);
      used = widths[0]!;
    }
    pages.at(-1)!.push(column);
    used += width;
  }
  return pages.length > 0 ? pages : [[0]];
}

const GAP = "  ";

function drawPage(
  rows: readonly (readonly TableCell[])[],
  page: readonly number[],
  widths: readonly number[],
  options: TableOptions,
): string {
  const { header, colour } = options;
  const alignOf = (column: number): "left" | "right" => options.align?.[column] ?? (column === 0 ? "left" : "right");
  const line = (cells: readonly TableCell[]): string =>
    page
      .map((column) => {
        const { text, share } = cells[column] ?? { text: "" };
        return shaded(fitText(text, widths[column]!, alignOf(column)), share ?? 0, colour);
      })
      .join(GAP)
      .trimEnd();
  return [header.map((text) => ({ text })), ...rows].map(line).join("\n");
}
