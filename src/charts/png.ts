/**
 * @file SVG pictures as PNG. The text is drawn with a font that comes with the project, DejaVu Sans Mono, so that labels look the same on
 * every machine; fonts of the machine are looked at only for characters that it lacks. The renderer is loaded when first used.
 */
import { createRequire } from "node:module";
import type { ResvgRenderOptions } from "@resvg/resvg-js";
import { refuse, SextantError } from "../base/errors.js";

const FAMILY = "DejaVu Sans Mono";
/** Characters outside the blocks that the font covers, such as East Asian ones. */
const FOREIGN = /[^\0-\u058f\u1e00-\u2bff\ufffd]/u;
/** The longest side of a picture, in pixels. */
const LONGEST = 8000;

/** How large a PNG becomes. */
export interface PngOptions {
  /** In pixels. Default: twice the SVG's own width, or less so that no side is longer than 8000. */
  readonly width?: number;
}

/** The picture as the bytes of a PNG file, in the SVG's own proportions. */
export async function svgToPng(svg: string, { width }: PngOptions = {}): Promise<Uint8Array> {
  const { Resvg, renderAsync } = await import("@resvg/resvg-js");
  const options = fontsFor(svg);
  try {
    const own = new Resvg(svg, { font: { loadSystemFonts: false } });
    const value = width ?? Math.max(1, Math.floor(Math.min(2 * own.width, LONGEST, (LONGEST * own.width) / own.height)));
    checkSize(value, (value * own.height) / own.width);
    return (await renderAsync(svg, { ...options, fitTo: { mode: "width", value } })).asPng();
  } catch (error) {
    if (error instanceof SextantError) throw error;
    throw new SextantError("format", `the picture is no SVG that can be drawn: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function checkSize(width: number, height: number): void {
  if (Number.isInteger(width) && width > 0 && Math.max(width, height) < LONGEST + 1) return;
  throw refuse(
    {
      what: `a PNG ${width} pixels wide and ${Math.ceil(height)} high`,
      why: `a side has from 1 to ${LONGEST} whole pixels`,
      instead: "ask for another width, or for none",
    },
    "usage",
  );
}

function fontsFor(svg: string): ResvgRenderOptions {
  const require = createRequire(import.meta.url);
  const file = require.resolve("dejavu-fonts-ttf/ttf/DejaVuSansMono.ttf");
  return { font: { fontFiles: [file], loadSystemFonts: FOREIGN.test(svg), defaultFontFamily: FAMILY, monospaceFamily: FAMILY } };
}
