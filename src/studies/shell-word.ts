/** @file Words of commands that a reader can paste into a shell. */

/** The word, in quotes where a shell would take it apart. */
export function shellWord(word: string): string {
  return /^[\w./=:@-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
