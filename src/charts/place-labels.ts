/** @file Where names of points stand, so that none lies on another name or on a named point. Names that find no place are left out. */
import { SIZE, textWidth, type Box } from "./svg.js";

interface Pixel {
  readonly x: number;
  readonly y: number;
}

/** A point in pixels and its name. */
export interface WantedLabel extends Pixel {
  readonly text: string;
}

/** A name with its place. */
export interface PlacedLabel extends WantedLabel {
  readonly box: Box;
  /** Where a stroke from the point ends, where the name stands so far off that it needs one. */
  readonly leader?: Pixel;
}

const HEIGHT = 14;
/** Distances from the point that are tried, in pixels; beyond the second a stroke leads to the name. */
const DISTANCES = [7, 12, 22, 34, 48, 64];
/** Shares of the way to the right and down. */
const DIRECTIONS = [
  [1, 0],
  [-1, 0],
  [0, -1],
  [0, 1],
  ...[0.8, 0.4].flatMap((down) => [1, -1].flatMap((right) => [[right, -down], [right, down]] as const)),
  ...[0.5, -0.5].flatMap((right) => [[right, -1], [right, 1]] as const),
] as const; // oxfmt-ignore
/** The side of the square around a named point that stays free. */
const POINT = 10;

/** The names in the order given, each at the nearest free place around its point within the plot and off `taken`. No stroke crosses a name. */
export function placeLabels(wanted: readonly WantedLabel[], plot: Box, taken: readonly Box[] = []): PlacedLabel[] {
  const points = wanted.map(({ x, y }) => ({ left: x - POINT / 2, top: y - POINT / 2, width: POINT, height: POINT }));
  const placed: PlacedLabel[] = [];
  for (const label of wanted) {
    const names = [...taken, ...placed.map(({ box }) => box)];
    const isFree = ({ box, leader }: PlacedLabel): boolean =>
      isWithin(box, plot) &&
      [...names, ...points].every((other) => !overlaps(box, other)) &&
      !(leader && names.some((name) => crosses(label, leader, name))) &&
      !placed.some((other) => other.leader && crosses(other, other.leader, box));
    const place = candidates(label).find(isFree);
    if (place) placed.push(place);
  }
  return placed;
}

function candidates(label: WantedLabel): PlacedLabel[] {
  return DISTANCES.flatMap((distance, ring) =>
    around(label, distance).map((box) => ({ ...label, box, ...(ring >= 2 ? { leader: nearest(label, box) } : {}) })),
  );
}

/** The place in the box that is nearest to the point. */
function nearest({ x, y }: Pixel, { left, top, width, height }: Box): Pixel {
  return { x: Math.max(left, Math.min(x, left + width)), y: Math.max(top, Math.min(y, top + height)) };
}

/** Whether the stroke passes through the box, looked at every pixel or so. */
function crosses(from: Pixel, to: Pixel, box: Box): boolean {
  const steps = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y));
  return Array.from({ length: steps + 1 }, (_, i) => i / Math.max(1, steps)).some((share) => {
    const [x, y] = [from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)];
    return x > box.left && x < box.left + box.width && y > box.top && y < box.top + box.height;
  });
}

/** Right, left, above and below, then the directions between them. */
function around({ x, y, text }: WantedLabel, distance: number): Box[] {
  const size = { width: textWidth(text, SIZE.axis) + 4, height: HEIGHT };
  return DIRECTIONS.map(([right, down]) => ({
    left: x + right * (distance + size.width / 2) - size.width / 2,
    top: y + down * (distance + HEIGHT / 2) - HEIGHT / 2,
    ...size,
  }));
}

function isWithin(box: Box, plot: Box): boolean {
  return (
    box.left >= plot.left + 2 &&
    box.top >= plot.top + 2 &&
    box.left + box.width <= plot.left + plot.width - 2 &&
    box.top + box.height <= plot.top + plot.height - 2
  );
}

function overlaps(a: Box, b: Box): boolean {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}
