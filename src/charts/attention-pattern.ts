/**
 * @file One head's attention as an SVG picture: queries down, keys across, the darker the more attention. The picture brings its
 * own background and follows the reader's light or dark setting, so it is readable wherever it is shown.
 */
import type { Tensor } from "../base/tensor.js";
import { internal } from "../base/errors.js";
import { displayWidth, escapeXml, visibleToken } from "./text.js";

/** How the picture is labelled and sized. */
export interface AttentionPatternOptions {
  /** Text of each token, one a row and column. */
  readonly tokens: readonly string[];
  readonly title?: string;
  /** Side of a cell in pixels. Default: 20, less for long prompts. */
  readonly cell?: number;
}

const STYLE = `
  .page { fill: #ffffff } .cell { fill: #b5310a } .ink { fill: #1c1c1c; stroke: none } .frame { fill: none; stroke: #9a9a9a }
  text { font-family: ui-monospace, Menlo, Consolas, monospace }
  @media (prefers-color-scheme: dark) { .page { fill: #16181d } .cell { fill: #ff9d5c } .ink { fill: #ececec } .frame { stroke: #6f6f6f } }`;

/** Shares below this are not drawn. */
const FAINT = 1 / 256;
/** More cells than this get no tooltips. */
const TOOLTIPS = 4096;

/** The picture of `pattern` (axes `query, key`, shares in 0..1) as an SVG document. */
export function attentionPattern(pattern: Tensor, { tokens, title, cell }: AttentionPatternOptions): string {
  const [queries = 0, keys = 0] = pattern.shape;
  if (queries !== tokens.length || keys !== tokens.length)
    throw internal(`attentionPattern: ${tokens.length} tokens for a pattern of [${pattern.shape.join(", ")}]`);
  const side = cell ?? Math.max(4, Math.min(20, Math.floor(800 / Math.max(1, keys))));
  const font = Math.max(5, Math.min(12, side * 0.7));
  const labels = tokens.map(visibleToken).map((label) => (displayWidth(label) > 16 ? `${label.slice(0, 15)}…` : label));
  const margin = Math.ceil(Math.max(3, ...labels.map(displayWidth)) * font * 0.62) + 8;
  const top = margin + (title ? 24 : 0);
  const [width, height] = [margin + keys * side + 8, top + queries * side + 8];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escapeXml(title ?? "attention pattern")}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    ...(title ? [`<text class="ink" x="8" y="18" font-size="13">${escapeXml(title)}</text>`] : []),
    `<g font-size="${round(font)}" class="ink">`,
    ...labels.flatMap((label, i) => labelPair(label, (i + 0.5) * side, { margin, top, font })),
    "</g>",
    `<g class="cell" transform="translate(${margin} ${top})">`,
    ...cellsOf(pattern, labels, side),
    "</g>",
    `<rect class="frame" x="${margin}" y="${top}" width="${keys * side}" height="${queries * side}"/>`,
    "</svg>\n",
  ].join("\n");
}

/** The label of one token on the left, and again, upright, on top. */
function labelPair(label: string, middle: number, { margin, top, font }: { margin: number; top: number; font: number }): string[] {
  const text = escapeXml(label);
  const [x, y] = [round(margin + middle + font * 0.35), round(top + middle + font * 0.35)];
  return [
    `<text x="${margin - 5}" y="${y}" text-anchor="end">${text}</text>`,
    `<text x="${x}" y="${top - 5}" transform="rotate(-90 ${x} ${top - 5})">${text}</text>`,
  ];
}

function cellsOf({ data, shape }: Tensor, labels: readonly string[], side: number): string[] {
  const [queries = 0, keys = 0] = shape;
  const cells: string[] = [];
  for (let query = 0; query < queries; query++) {
    for (let key = 0; key < keys; key++) {
      const share = data[query * keys + key]!;
      if (!(share >= FAINT)) continue;
      const place = `x="${key * side}" y="${query * side}" width="${side}" height="${side}" fill-opacity="${Math.min(1, share).toFixed(3)}"`;
      const tooltip = `${query} ${labels[query]} → ${key} ${labels[key]}: ${share.toFixed(3)}`;
      cells.push(data.length > TOOLTIPS ? `<rect ${place}/>` : `<rect ${place}><title>${escapeXml(tooltip)}</title></rect>`);
    }
  }
  return cells;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
