/**
 * @file A diverging colour scale: blue below zero, near white at zero, red above, symmetric, so that equal distances from zero look equally
 * strong. The stops are ColorBrewer's RdBu (https://colorbrewer2.org), which readers with any common colour blindness can tell apart.
 */

/** Red, green and blue from zero outwards; the lightness of both sides falls in step. */
const BLUES = ["#f7f7f7", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"].map(channelsOf);
const REDS = ["#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"].map(channelsOf);

/** The colour of a place without a value. */
export const NO_VALUE = "#d9d9d9";
/** Ink for light colours. */
export const DARK_INK = "#1c1c1c";
/** Ink for dark colours. */
export const LIGHT_INK = "#ffffff";

/** The colour of `value` as `#rrggbb` on the scale from `-limit` to `limit` (positive), beyond which it stays; grey for NaN. */
export function divergingColour(value: number, limit: number): string {
  const share = Math.min(1, Math.abs(value) / limit);
  if (Number.isNaN(share)) return NO_VALUE;
  const stops = value < 0 ? BLUES : REDS;
  const place = share * (stops.length - 1);
  const stop = Math.min(stops.length - 2, Math.floor(place));
  const [from, to] = [stops[stop]!, stops[stop + 1]!];
  return hex(from.map((channel, i) => channel + (to[i]! - channel) * (place - stop)));
}

/** The ink, dark or light, that has more contrast on `colour` (`#rrggbb`), by the relative luminance of WCAG 2. */
export function inkOn(colour: string): string {
  const luminance = luminanceOf(colour);
  const contrastOf = (ink: string): number => {
    const other = luminanceOf(ink);
    return (Math.max(luminance, other) + 0.05) / (Math.min(luminance, other) + 0.05);
  };
  return contrastOf(DARK_INK) >= contrastOf(LIGHT_INK) ? DARK_INK : LIGHT_INK;
}

/** The largest distance from zero among the finite `values`: the limit of a scale that shows them all. 1 where none differs from zero. */
export function symmetricLimit(values: Iterable<number | undefined>): number {
  let limit = 0;
  for (const value of values) if (value !== undefined && Number.isFinite(value)) limit = Math.max(limit, Math.abs(value));
  return limit || 1;
}

function luminanceOf(colour: string): number {
  const [red = 0, green = 0, blue = 0] = channelsOf(colour).map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function channelsOf(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

function hex(channels: readonly number[]): string {
  return `#${channels.map((channel) => Math.round(channel).toString(16).padStart(2, "0")).join("")}`;
}
