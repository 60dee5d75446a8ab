/** @file Tables of a run: named columns of one length. They become Parquet. */
import { SextantError } from "../base/errors.js";

/** One column: its values in the order of the rows, and what they are counted in. */
export interface Column {
  readonly name: string;
  readonly type: "int" | "double" | "text" | "boolean";
  /** `null` where a row has none. */
  readonly values: readonly (number | string | boolean | null)[];
  /** Of numbers, such as `cosine` or `share`. */
  readonly unit?: string;
}

/** A table of a run. */
export interface Table {
  /** A file name without its ending: letters, digits, `-` and `_`. */
  readonly name: string;
  readonly title: string;
  readonly columns: readonly Column[];
  /** How far numbers of a second run may be off; absent: as `DEFAULT_TOLERANCE`. */
  readonly tolerance?: { readonly absolute: number; readonly relative: number };
}

type Cell = number | string | boolean | null | undefined;

/** A table from rows, with the columns named and typed: what rows leave out is null. */
export function tableOf(
  head: Pick<Table, "name" | "title" | "tolerance">,
  columns: readonly Omit<Column, "values">[],
  rows: readonly Readonly<Record<string, Cell>>[],
): Table {
  const known = new Set(columns.map(({ name }) => name));
  for (const row of rows)
    for (const name of Object.keys(row))
      if (!known.has(name)) throw new SextantError("internal", `table ${head.name}: a row has ${name}, which is no column`);
  return { ...head, columns: columns.map((column) => ({ ...column, values: rows.map((row) => row[column.name] ?? null) })) };
}

/** The number of rows. */
export function rowCount({ columns }: Table): number {
  return columns[0]?.values.length ?? 0;
}
