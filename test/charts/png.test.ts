/** @file PNGs of SVG pictures: that they are PNGs, how large they are, and that text is drawn without any font of the machine. */
import { describe, expect, test } from "vitest";
import { heatMapSvg } from "../../src/charts/heat-map.js";
import { svgToPng } from "../../src/charts/png.js";

/** A white picture with one text. */
function picture(text: string, width = 60, height = 30): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="5" y="20" font-size="14" font-family="'DejaVu Sans Mono', ui-monospace, monospace">${text}</text></svg>`,
  ].join("");
}

/** Width and height from the header of a PNG. */
function sizeOf(png: Uint8Array): [width: number, height: number] {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return [view.getUint32(16), view.getUint32(20)];
}

describe("size", () => {
  test("is twice the picture's own by default, in the picture's proportions otherwise", async () => {
    const png = await svgToPng(picture("Tom"));
    expect([...png.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    expect(new TextDecoder().decode(png.subarray(12, 16))).toBe("IHDR");
    expect(sizeOf(png)).toEqual([120, 60]);
    expect(sizeOf(await svgToPng(picture("Tom"), { width: 90 }))).toEqual([90, 45]);
  });

  test("is bounded by 8000 pixels a side", async () => {
    expect(sizeOf(await svgToPng(picture("", 6000, 3)))).toEqual([8000, 4]);
    expect(sizeOf(await svgToPng(picture("", 3, 6000)))).toEqual([4, 8000]);
    await expect(svgToPng(picture(""), { width: 8001 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[SextantError: a PNG 8001 pixels wide and 4001 high: a side has from 1 to 8000 whole pixels. Instead: ask for another width, or for none]`,
    );
    await expect(svgToPng(picture("", 3, 60), { width: 401 })).rejects.toThrow("401 pixels wide and 8020 high");
    for (const width of [0, -1, 1.5, NaN]) await expect(svgToPng(picture(""), { width })).rejects.toThrow("whole pixels");
  });
});

describe("text", () => {
  test("is drawn, and so are all signs for white space", async () => {
    const drawn = await Promise.all(["", "Tom", "·", "⏎", "⇥", "↵", "∅", "▁", "Ġ", "…", "\ue000"].map((text) => svgToPng(picture(text))));
    expect(new Set(drawn.map((png) => Buffer.from(png).toString("base64"))).size).toBe(drawn.length);
  });

  test("comes out as it is written, without ligatures", async () => {
    // Advance of the font's characters: 1233 of 2048 units.
    const apart = `!<tspan x="${5 + (14 * 1233) / 2048}">=</tspan>`;
    expect(await svgToPng(picture("!="))).toEqual(await svgToPng(picture(apart)));
    expect(await svgToPng(picture("!="))).not.toEqual(await svgToPng(picture("≠")));
  });

  test("labels of a map change its pixels and not its size", async () => {
    const mapOf = (label: string): Promise<Uint8Array> =>
      svgToPng(heatMapSvg([{ values: [[1]] }], { rowLabels: ["L0"], columnLabels: [label] }));
    const [named, unnamed] = [await mapOf("Tom"), await mapOf("...")];
    expect(sizeOf(named)).toEqual(sizeOf(unnamed));
    expect(named).not.toEqual(unnamed);
  });
});

test("what is no SVG is refused", async () => {
  await expect(svgToPng("<p>")).rejects.toMatchObject({ name: "SextantError", kind: "format" });
});
