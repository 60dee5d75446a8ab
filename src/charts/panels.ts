/**
 * @file What maps of signed values are drawn from, whether for SVG or a terminal: panels with the same rows and columns, labels, and one
 * colour limit for all.
 */
import { internal } from "../base/errors.js";
import { symmetricLimit } from "./colour-scale.js";

/** One map: `values[row][column]`, `undefined` or not finite where there is no value. */
export interface MapPanel {
  readonly title?: string;
  readonly values: readonly ArrayLike<number | undefined>[];
  /** Cells to point out, such as significant ones; as many rows and columns as `values`. */
  readonly marked?: readonly ArrayLike<boolean>[];
}

/** What panels share. */
export interface MapOptions {
  /** Labels of the rows, from the top, drawn as they are. */
  readonly rowLabels: readonly string[];
  /** Labels of the columns, from the left: the text of tokens, which is made visible. */
  readonly columnLabels: readonly string[];
  readonly title?: string;
  /** What the columns are. */
  readonly xLabel?: string;
  /** What the rows are. */
  readonly yLabel?: string;
  /** What the values are. */
  readonly unit?: string;
  /** The distance from zero with the strongest colour. Default: the largest of all panels. */
  readonly limit?: number;
  /** What a mark says. Default: `marked`. */
  readonly markedMeans?: string;
}

/** The limit of the panels' common scale, having checked that every panel has a value for each pair of labels. */
export function sharedLimit(chart: string, panels: readonly MapPanel[], { rowLabels, columnLabels, limit }: MapOptions): number {
  const [rows, columns] = [rowLabels.length, columnLabels.length];
  if (panels.length === 0 || rows === 0 || columns === 0)
    throw internal(`${chart}: ${panels.length} panels of ${rows} rows and ${columns} columns leave nothing to draw`);
  if (limit !== undefined && !(limit > 0 && limit < Infinity)) throw internal(`${chart}: the limit is ${limit}, not a positive number`);
  for (const [panel, { values, marked = values }] of panels.entries()) {
    for (const [name, grid] of Object.entries({ values, marked })) checkGrid(`${chart}: ${name} of panel ${panel}`, grid, [rows, columns]);
  }
  return limit ?? symmetricLimit(valuesOf(panels));
}

function checkGrid(what: string, grid: readonly ArrayLike<unknown>[], [rows, columns]: readonly [number, number]): void {
  if (grid.length !== rows) throw internal(`${what}: ${grid.length} rows for ${rows} labels`);
  const ragged = grid.findIndex((row) => row.length !== columns);
  if (ragged >= 0) throw internal(`${what}: ${grid[ragged]!.length} values in row ${ragged} for ${columns} column labels`);
}

/** Whether there is a value to draw. */
export function isValue(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}

/** All values that there are. */
export function valuesOf(panels: readonly MapPanel[]): number[] {
  return panels.flatMap(({ values }) => values.flatMap((row) => Array.from(row).filter(isValue)));
}

/** Whether a value lies beyond the limit, so that its colour understates it. */
export function exceeds(panels: readonly MapPanel[], limit: number): boolean {
  return valuesOf(panels).some((value) => Math.abs(value) > limit);
}

/** The value at so many significant digits, without trailing zeros. */
export function digits(value: number, significant: number): string {
  return String(Number(value.toPrecision(significant)));
}
