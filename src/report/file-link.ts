/** @file Paths of a run's files as links that stay in the run's folder. */
import { markup, type Markup } from "./markup.js";

/** Names of letters, digits, `-`, `_` and dots, none of which begins with a dot. */
const INSIDE = /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/;

/** The path as a link where it leads into the folder, else as text. */
export function fileLink(path: string): Markup {
  return INSIDE.test(path) ? markup`<a href="./${path}"><code>${path}</code></a>` : markup`<code>${path}</code>`;
}
