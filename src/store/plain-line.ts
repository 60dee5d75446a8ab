/** @file Text of a run's folder on one line of a terminal. */

/** The text with what steers a terminal, and with ends of lines, as `\xNN`. */
export function plainLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\x${character.codePointAt(0)!.toString(16).padStart(2, "0")}`);
}
