/**
 * @file HTML that cannot be broken out of: a template whose inserted text is always made visible and escaped, and of which only another template can put
 * in elements. Whatever a model, a file or a user wrote goes through here.
 */
import { escapeXml, visibleText } from "../charts/text.js";

/** A piece of HTML that is whole in itself. */
export interface Markup {
  readonly html: string;
}

type Inserted = Markup | string | number | undefined | readonly Markup[];

/** HTML from a template. Strings and numbers become text, also inside quoted attributes; `undefined` becomes nothing. */
export function markup(parts: TemplateStringsArray, ...values: readonly Inserted[]): Markup {
  return { html: parts.map((part, i) => part + (i < values.length ? htmlOf(values[i]) : "")).join("") };
}

/** HTML that was checked by whoever calls this, or is written here in the source. */
export function trusted(html: string): Markup {
  return { html };
}

/** The pieces one after another, each on a line. */
export function joined(pieces: readonly Markup[]): Markup {
  return { html: pieces.map(({ html }) => html).join("\n") };
}

/** Nothing. */
export const NOTHING: Markup = { html: "" };

/** Text of several lines, such as JSON, with its line breaks kept; for a `pre`. */
export function lines(text: string): Markup {
  return { html: text.split("\n").map(escaped).join("\n") };
}

function htmlOf(value: Inserted): string {
  if (value === undefined) return "";
  if (typeof value === "string") return escaped(value);
  if (typeof value === "number") return escaped(String(value));
  return "html" in value ? value.html : joined(value).html;
}

function escaped(text: string): string {
  return escapeXml(visibleText(text));
}
