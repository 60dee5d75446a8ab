/** @file Values as cells of a page: numbers at digits that make sense with the exact value beside them, texts with white space that can be seen. */
import { shownNumber } from "../charts/numbers.js";
import { visibleToken } from "../charts/text.js";
import { markup, type Markup } from "./markup.js";

/** The longest text of a cell, in characters. */
const MOST = 400;

/** The number as text, with the exact value as a machine reads it and in a tooltip where the text has fewer digits. */
export function number(value: number, unit?: string): Markup {
  const text = shownNumber(value, unit);
  const exact = Object.is(value, -0) ? "-0" : String(value);
  return text === exact ? markup`${text}` : markup`<data value="${exact}" title="${exact}">${text}</data>`;
}

/** A number with its unit behind it, unless the text has it already. */
export function quantity(value: number, unit: string): Markup {
  return unit === "share" || unit === "" ? number(value, unit) : markup`${number(value, unit)} <span class="unit">${unit}</span>`;
}

/** The value of a table's cell; white space at the ends of a text is shown as signs. */
export function cell(value: number | string | boolean | null, unit?: string): Markup {
  if (value === null) return markup`<span class="none" title="no value">–</span>`;
  if (typeof value === "number") return number(value, unit);
  return typeof value === "boolean" ? markup`${value ? "yes" : "no"}` : text(value);
}

function text(value: string): Markup {
  const shown = shortened(value);
  if (shown.trim() === "") return markup`<span class="text">${visibleToken(shown)}</span>`;
  const ends = shown.replace(/^\s+|\s+$/g, (space) => visibleToken(space));
  const rest = value.length > shown.length ? markup` <span class="none">… (${shownNumber(value.length)} characters)</span>` : undefined;
  return markup`<span class="text">${ends}</span>${rest}`;
}

/** The first characters, never half of one that takes two code units. */
function shortened(value: string): string {
  if (value.length <= MOST) return value;
  const cut = value.slice(0, MOST);
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
}

/** A size in bytes, in the largest binary unit of which there is at least one. */
export function bytes(value: number): Markup {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return markup`<data value="${value}" title="${value} bytes">${Number((value / 1024 ** power).toPrecision(3))} ${units[power]}</data>`;
}

/** A time in milliseconds as hours, minutes and seconds. */
export function duration(ms: number): Markup {
  const seconds = Math.round(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const long = [...(hours > 0 ? [`${hours} h`] : []), ...(seconds >= 60 ? [`${minutes} min`] : []), `${seconds % 60} s`].join(" ");
  return markup`<data value="${ms}" title="${ms} ms">${ms < 60_000 ? `${Number((ms / 1000).toPrecision(3))} s` : long}</data>`;
}
