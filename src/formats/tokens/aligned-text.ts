/**
 * @file Text that remembers where it came from. Tokenizers rewrite text before they cut it (NFC, `▁` for spaces, a prepended space);
 * each UTF-16 unit of the rewritten text keeps the range of the original that it stands for, so that tokens can be traced back.
 */

/** Rewritten text; unit `i` stands for the original's units `from[i]` to `to[i]`, an empty range where it was inserted. */
export interface AlignedText {
  readonly text: string;
  readonly from: Int32Array;
  readonly to: Int32Array;
}

/** `length` units from unit `at` on become `text`. */
export interface Rewrite {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

/** The text as it is, each unit standing for itself. */
export function alignedText(text: string): AlignedText {
  const from = Int32Array.from({ length: text.length }, (_, i) => i);
  return { text, from, to: from.map((i) => i + 1) };
}

/** The units from `start` up to `end`. */
export function sliceAligned({ text, from, to }: AlignedText, start: number, end: number): AlignedText {
  return { text: text.slice(start, end), from: from.subarray(start, end), to: to.subarray(start, end) };
}

/** The text with the rewrites made: in ascending order, none overlapping. A rewritten unit stands for all that it replaced. */
export function rewriteAligned(source: AlignedText, rewrites: readonly Rewrite[]): AlignedText {
  if (rewrites.length === 0) return source;
  const size = rewrites.reduce((sum, { length, text }) => sum + text.length - length, source.text.length);
  const [from, to] = [new Int32Array(size), new Int32Array(size)];
  const parts: string[] = [];
  let [read, written] = [0, 0];
  const copyUpTo = (end: number): void => {
    parts.push(source.text.slice(read, end));
    from.set(source.from.subarray(read, end), written);
    to.set(source.to.subarray(read, end), written);
    written += end - read;
    read = end;
  };
  for (const { at, length, text } of rewrites) {
    copyUpTo(at);
    parts.push(text);
    const start = source.from[at] ?? source.to[at - 1] ?? 0;
    from.fill(start, written, written + text.length);
    to.fill(length > 0 ? source.to[at + length - 1]! : start, written, written + text.length);
    written += text.length;
    read = at + length;
  }
  copyUpTo(source.text.length);
  return { text: parts.join(""), from, to };
}

/** Rewrites that turn `text` into `change(text)`, kept to the smallest clusters of combining characters that change. */
export function rewritesOf(text: string, change: (text: string) => string): Rewrite[] {
  const changed = change(text);
  if (changed === text) return [];
  const rewrites: Rewrite[] = [];
  let result = "";
  for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
    const after = change(cluster);
    result += after;
    if (after !== cluster) rewrites.push({ at: index, length: cluster.length, text: after });
  }
  return result === changed ? rewrites : [{ at: 0, length: text.length, text: changed }];
}

/** A character with its combining marks; Korean letters that compose into a syllable belong together too. */
const CLUSTER = /(?:[\uac00-\ud7a3]?[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]+|[^])\p{M}*/gu;
