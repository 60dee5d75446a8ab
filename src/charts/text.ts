/** @file Text that goes into a chart: tokens made visible, columns counted as a terminal counts them, XML escaped. */

const SIGNS: { readonly [character: string]: string } = { " ": "·", "\n": "⏎", "\t": "⇥", "\r": "↵" };

/** The token's text with white space shown as signs and control characters as `\xNN`, so that no token can steer a terminal. */
export function visibleToken(text: string): string {
  if (text === "") return "∅";
  return text
    .replace(/[ \n\t\r]/g, (character) => SIGNS[character]!)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\x${character.codePointAt(0)!.toString(16).padStart(2, "0")}`);
}

/** The text with its spaces, but with control characters, line breaks and marks of direction as signs or `\xNN`: what a reader can take for what it says. */
export function visibleText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, visibleToken);
}

const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])/u;
const EMPTY = /^[\p{Mn}\p{Me}\p{Cf}]/u;
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Terminal columns that the text takes: two for East Asian wide characters and emoji, none for combining marks. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += widthOf(segment);
  return width;
}

function widthOf(segment: string): number {
  if (EMPTY.test(segment)) return 0;
  return WIDE.test(segment) ? 2 : 1;
}

/** The text in exactly `width` columns: padded on one side, or cut with an ellipsis. */
export function fitText(text: string, width: number, align: "left" | "right" = "left"): string {
  const cut = displayWidth(text) > width ? cutText(text, width) : text;
  const padding = " ".repeat(Math.max(0, width - displayWidth(cut)));
  return align === "left" ? cut + padding : padding + cut;
}

function cutText(text: string, width: number): string {
  let out = "";
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    if (used + widthOf(segment) > width - 1) break;
    out += segment;
    used += widthOf(segment);
  }
  return width > 0 ? `${out}…` : "";
}

/** The text for XML content and attributes; characters that XML cannot hold become `�`. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "�")
    .replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
