/**
 * @file What SVG pictures are made of: one font, one set of colours, the document around the marks, and signs besides colour. Colours are Okabe and
 * Ito's (2008), which readers with any common colour blindness can tell apart. Nothing here has an id, a class or a style, so that many pictures
 * can stand in one page.
 */
import { DARK_INK } from "./colour-scale.js";
import { displayWidth, escapeXml, fitText } from "./text.js";

/** The fonts of pictures; the first comes with the project and is what PNGs are drawn with. */
const FONT = "'DejaVu Sans Mono', ui-monospace, Menlo, Consolas, monospace";
/** The width of a character of a monospaced font, as a share of its size. */
const ADVANCE = 0.605;

export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"] as const;
/** Lines around and behind what is drawn, and ink for what is said beside it. */
export const [FRAME, GRID, MARK] = ["#9a9a9a", "#e4e4e4", "#5c5c5c"] as const;
/** Sizes of text in pixels. */
export const SIZE = { axis: 11, title: 14, legend: 11 } as const;

/** A picture's size and what it is called. */
export interface SvgHead {
  readonly width: number;
  readonly height: number;
  /** Drawn in the upper left corner where `isTitled`. */
  readonly title: string;
  readonly isTitled: boolean;
  /** What there is to see, in words. */
  readonly description: string;
}

/** The elements as an SVG document with its own white background. */
export function svgDocument({ width, height, title, isTitled, description }: SvgHead, elements: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="${FONT}" fill="${DARK_INK}">`,
    `<title>${escapeXml(title)}</title>`,
    `<desc>${escapeXml(description)}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...(isTitled ? [`<text x="16" y="21" font-size="${SIZE.title}">${escapeXml(title)}</text>`] : []),
    ...elements,
    "</svg>\n",
  ].join("\n");
}

/** The pixels that the text takes at a size of its font. */
export function textWidth(content: string, font: number): number {
  return Math.ceil(displayWidth(content) * font * ADVANCE);
}

/** The text cut to so many columns, with an ellipsis. */
export function shortened(label: string, columns: number): string {
  return displayWidth(label) > columns ? fitText(label, columns).trimEnd() : label;
}

/** Text with a white rim, so that it can be read on lines and points. */
export function rimmedText(content: string, { x, y, fill }: { readonly x: number; readonly y: number; readonly fill?: string }): string {
  const at = `x="${x}" y="${y}" font-size="${SIZE.axis}" pointer-events="none"`;
  const text = escapeXml(content);
  return `<text ${at} stroke="#ffffff" stroke-width="3.5" stroke-linejoin="round">${text}</text><text ${at}${fill ? ` fill="${fill}"` : ""}>${text}</text>`;
}

/** A place in pixels, at a tenth. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** A rectangle in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Strokes across a rectangle: the sign of the second, third … kind of bar besides its colour. Nothing for the first. */
export function hatch(kind: number, { left, top, width, height }: Box, stroke: string): string {
  const [right, bottom] = [left + width, top + height];
  const diagonal = (isRising: boolean): string[] =>
    steps(left - height, right, 7).map((x) => {
      const [from, to] = [Math.max(x, left), Math.min(x + height, right)];
      const y = (at: number): number => (isRising ? bottom - (at - x) : top + (at - x));
      return to > from ? `M${round(from)} ${round(y(from))}L${round(to)} ${round(y(to))}` : "";
    });
  const upright = (): string[] => steps(left, right, 6).map((x) => (x > left ? `M${round(x)} ${round(top)}v${round(height)}` : ""));
  const level = (): string[] => steps(top, bottom, 5).map((y) => (y > top ? `M${round(left)} ${round(y)}h${round(width)}` : ""));
  const kinds = [() => [], () => diagonal(true), () => diagonal(false), upright, level, () => [...diagonal(true), ...diagonal(false)]];
  const path = kinds[kind % kinds.length]!().join("");
  return path ? `<path d="${path}" stroke="${stroke}" stroke-opacity="0.6" fill="none"/>` : "";
}

/** Multiples of `step` from the first above `from` to the last below `to`, so that neighbours' strokes meet. */
function steps(from: number, to: number, step: number): number[] {
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.floor(to / step) - first + 1) }, (_, i) => (first + i) * step);
}

/** A point's mark: a disc for the first kind, then a square, a diamond and triangles. */
export function marker(kind: number, x: number, y: number, radius: number): string {
  const [a, b] = [round(radius * 0.9), round(radius * 1.3)];
  const shapes = [
    `<circle cx="${x}" cy="${y}" r="${radius}"/>`,
    `<path d="M${round(x - a)} ${round(y - a)}h${2 * a}v${2 * a}h${-2 * a}z"/>`,
    `<path d="M${x} ${round(y - b)}L${round(x + b)} ${y}L${x} ${round(y + b)}L${round(x - b)} ${y}z"/>`,
    `<path d="M${x} ${round(y - b)}L${round(x + b)} ${round(y + a)}L${round(x - b)} ${round(y + a)}z"/>`,
    `<path d="M${x} ${round(y + b)}L${round(x + b)} ${round(y - a)}L${round(x - b)} ${round(y - a)}z"/>`,
  ];
  return shapes[kind % shapes.length]!;
}
