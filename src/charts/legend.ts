/** @file The legend of a picture: names with their signs, as many a row as fit. */
import { round, SIZE, textWidth } from "./svg.js";
import { escapeXml } from "./text.js";

/** The height of a row in pixels. */
export const LEGEND_LINE = 18;

/** A name and the sign in front of it, drawn 22 pixels wide and 12 high with its upper left corner at `x`, `y`. */
export interface LegendEntry {
  readonly name: string;
  symbol(x: number, y: number): string;
}

interface PlacedEntry {
  readonly entry: LegendEntry;
  readonly x: number;
}

/** The entries in rows that are no wider than `room` pixels, unless one alone is. */
export function legendRows(entries: readonly LegendEntry[], room: number): PlacedEntry[][] {
  const rows: PlacedEntry[][] = [[]];
  let x = 0;
  for (const entry of entries) {
    const width = 28 + textWidth(entry.name, SIZE.legend) + 16;
    if (x > 0 && x + width > room) {
      rows.push([]);
      x = 0;
    }
    rows.at(-1)!.push({ entry, x: 16 + x });
    x += width;
  }
  return entries.length > 0 ? rows : [];
}

/** The rows from `top` on. */
export function drawLegend(rows: readonly (readonly PlacedEntry[])[], top: number): string[] {
  return rows.flatMap((row, index) =>
    row.map(({ entry, x }) => {
      const y = round(top + index * LEGEND_LINE);
      return `${entry.symbol(x, y)}<text x="${x + 28}" y="${round(y + 10)}" font-size="${SIZE.legend}">${escapeXml(entry.name)}</text>`;
    }),
  );
}
