/**
 * @file A figure's SVG as part of a page. Only shapes and text go into the page itself: a picture with anything else, such as styles, scripts, links or ids, becomes
 * an image, in which a browser runs nothing and loads nothing.
 */
import { markup, trusted, type Markup } from "./markup.js";

const ELEMENTS = new Set([
  "svg",
  "title",
  "desc",
  "g",
  "path",
  "rect",
  "circle",
  "ellipse",
  "line",
  "polyline",
  "polygon",
  "text",
  "tspan",
]);
// oxfmt-ignore
const ATTRIBUTES = new Set([
  "xmlns", "width", "height", "viewBox", "role", "x", "y", "dx", "dy", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "d", "points", "transform",
  "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity",
  "font-family", "font-size", "font-weight", "font-style", "text-anchor", "dominant-baseline", "shape-rendering", "pointer-events",
]);
const TAG = /<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/gy;
const ATTRIBUTE = /([\w:-]+)="([^"<]*)"/g;
const XMLNS = ' xmlns="http://www.w3.org/2000/svg"';

/** The picture as an element of the page, named `title` where it is an image. */
export function inlineSvg(svg: string, title: string): Markup {
  if (isPlain(svg)) return trusted(svg.trim().replace(XMLNS, ""));
  const bytes = new TextEncoder().encode(svg);
  return markup`<img src="data:image/svg+xml;base64,${base64(bytes)}" alt="${title}">`;
}

/** Whether the text is one `svg` element, well formed, of known elements and attributes only. */
function isPlain(svg: string): boolean {
  const text = svg.trim();
  const open: string[] = [];
  let at = 0;
  do {
    TAG.lastIndex = at;
    const tag = TAG.exec(text);
    if (!tag || !isKnown(tag[2]!, tag[3]!)) return false;
    if (!follow(open, tag)) return false;
    const next = text.indexOf("<", TAG.lastIndex);
    at = next < 0 ? text.length : next;
    // Between elements there is only text, and outside the outermost nothing.
    if (open.length === 0) return TAG.lastIndex === text.length;
  } while (at < text.length);
  return false;
}

/** Whether the tag is right where it stands; `open` are the elements around what follows it. */
function follow(open: string[], [, isEnd, name, , isEmpty]: RegExpExecArray): boolean {
  if (isEnd) return !isEmpty && open.pop() === name;
  if ((name === "svg") !== (open.length === 0) || open.at(-1) === "title" || open.at(-1) === "desc") return false;
  if (!isEmpty) open.push(name!);
  return true;
}

function isKnown(name: string, attributes: string): boolean {
  if (!ELEMENTS.has(name)) return false;
  return [...attributes.matchAll(ATTRIBUTE)].every(
    ([, key, value]) => ATTRIBUTES.has(key!) && !/url\s*\(|&(?!(?:#\d+|amp|lt|gt|quot|apos);)/i.test(value!),
  );
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
