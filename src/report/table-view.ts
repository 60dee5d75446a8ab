/** @file A table of a run as a table of the page: its first rows, how many there are, and which file has them all. */
import { shownNumber } from "../charts/numbers.js";
import { rowCount, type Column, type Table } from "../store/table.js";
import { cell } from "./cells.js";
import { joined, markup, type Markup } from "./markup.js";

/** More columns than this are left to the file. */
const COLUMNS = 40;

/** What of a table is shown, and where the rest is. */
export interface TableViewOptions {
  /** The most rows. */
  readonly rows: number;
  /** The Parquet file as a link or a name. */
  readonly file: Markup;
}

/** The table with a caption, in a box that scrolls where it is wide. */
export function tableView(table: Table, { rows, file }: TableViewOptions): Markup {
  const total = rowCount(table);
  const columns = table.columns.slice(0, COLUMNS);
  const shown = Math.min(rows, total);
  const left = table.columns.length - columns.length;
  const some =
    shown < total
      ? `the first ${shownNumber(shown)} of ${shownNumber(total)} rows`
      : total === 1
        ? "one row"
        : `${shownNumber(total)} rows`;
  const more = left > 0 ? `, ${columns.length} of ${table.columns.length} columns` : "";
  const body = Array.from({ length: shown }, (_, row) => markup`<tr>${columns.map((column) => dataCell(column, row))}</tr>`);
  return scrolling(
    `Table: ${table.title}`,
    markup`<table>
<caption>${table.title} <span class="note">(${some}${more}; all in ${file})</span></caption>
<thead><tr>${columns.map(headCell)}</tr></thead>
<tbody>
${joined(body)}
</tbody>
</table>`,
  );
}

/** A box that the keyboard can scroll; the ground of pictures is white, in the dark too. */
export function scrolling(label: string, content: Markup, ground: "page" | "picture" = "page"): Markup {
  return markup`<div class="scroll ${ground}" role="group" aria-label="${label}" tabindex="0">${content}</div>`;
}

function headCell({ name, unit, type }: Column): Markup {
  const counted = unit === undefined ? undefined : markup` <span class="unit">(${unit === "share" ? "percent" : unit})</span>`;
  return markup`<th scope="col" class="${type}">${name}${counted}</th>`;
}

function dataCell({ type, values, unit }: Column, row: number): Markup {
  return markup`<td class="${type}">${cell(values[row] ?? null, unit)}</td>`;
}
