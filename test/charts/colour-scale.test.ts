/** @file The diverging colour scale: its ends, its middle, and that both sides are alike. */
import { describe, expect, test } from "vitest";
import { DARK_INK, divergingColour, inkOn, LIGHT_INK, NO_VALUE, symmetricLimit } from "../../src/charts/colour-scale.js";

/** Lightness L* of CIELAB, 0 to 100. */
function lightness(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return luminance > 0.008856 ? 116 * Math.cbrt(luminance) - 16 : 903.3 * luminance;
}

const shares = Array.from({ length: 101 }, (_, i) => i / 100);

describe("diverging colours", () => {
  test("are neutral at zero, blue below and red above", () => {
    expect([-1, -0.5, -0, 0, 0.5, 1].map((value) => divergingColour(value, 1))).toEqual([
      "#053061",
      "#6bacd1",
      "#f7f7f7",
      "#f7f7f7",
      "#e58368",
      "#67001f",
    ]);
  });

  test("depend on the share of the limit only, and stay beyond it", () => {
    for (const share of shares) expect(divergingColour(-share * 8, 8)).toBe(divergingColour(-share, 1));
    expect([-3, -Infinity].map((value) => divergingColour(value, 2))).toEqual(["#053061", "#053061"]);
    expect([3, Infinity].map((value) => divergingColour(value, 2))).toEqual(["#67001f", "#67001f"]);
  });

  test("grow darker with the distance from zero, alike on both sides", () => {
    const [below, above] = [-1, 1].map((sign) => shares.map((share) => lightness(divergingColour(sign * share, 1))));
    for (const side of [below!, above!]) expect(side).toEqual(side.toSorted((a, b) => b - a));
    // Of 100 steps of lightness; ColorBrewer's own stops differ by up to 4.1, the colours between them by up to 4.6.
    for (const i of shares.keys()) expect(Math.abs(below![i]! - above![i]!)).toBeLessThan(4.7);
  });

  test("are grey where there is no number", () => {
    expect([divergingColour(NaN, 1), divergingColour(1, NaN), divergingColour(0, 0)]).toEqual([NO_VALUE, NO_VALUE, NO_VALUE]);
  });
});

test("the ink is readable on every colour: a contrast of 4 and more", () => {
  const luminance = (colour: string): number => ((lightness(colour) + 16) / 116) ** 3;
  for (const value of shares.flatMap((share) => [-share, share])) {
    const colour = divergingColour(value, 1);
    const [light = 0, dark = 0] = [colour, inkOn(colour)].map(luminance).toSorted((a, b) => b - a);
    expect((light + 0.05) / (dark + 0.05), colour).toBeGreaterThan(4);
  }
  expect([inkOn("#f7f7f7"), inkOn("#053061")]).toEqual([DARK_INK, LIGHT_INK]);
});

test("the limit is the largest distance from zero of what is finite", () => {
  expect(symmetricLimit([0.5, -2, undefined, NaN, -Infinity])).toBe(2);
  expect([symmetricLimit([]), symmetricLimit([0, undefined])]).toEqual([1, 1]);
});
