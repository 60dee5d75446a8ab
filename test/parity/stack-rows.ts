/** @file Rows computed one by one, put together as the engine returns a batch: zeros behind a row's end, −∞ where no key is. */
import type { Compared } from "../reference/compare.js";

type Points = ReadonlyMap<string, Compared>;

/** Points `[1, …]` of single rows as points `[batch, …]`, each axis as long as the longest. */
export function stackRows(rows: readonly Points[]): Map<string, Compared> {
  return new Map(
    [...rows[0]!.keys()].map((address) => [
      address,
      stack(
        address,
        rows.map((points) => points.get(address)!),
      ),
    ]),
  );
}

function stack(address: string, parts: readonly Compared[]): Compared {
  const shape = parts[0]!.shape.slice(1).map((_, axis) => Math.max(...parts.map((part) => part.shape[axis + 1]!)));
  const size = shape.reduce((product, length) => product * length, 1);
  const data = new Float64Array(parts.length * size);
  const behind = address.startsWith("attn_scores") ? -Infinity : 0;
  parts.forEach((part, row) => putInCorner(part, { shape, data: data.subarray(row * size, (row + 1) * size) }, behind));
  return { shape: [parts.length, ...shape], data };
}

/** Copies `part [1, …shape]` line by line; what is left of a line that it reaches is `behind`. */
function putInCorner(part: Compared, into: { shape: readonly number[]; data: Float64Array }, behind: number): void {
  const [own, width] = [part.shape.at(-1)!, into.shape.at(-1)!];
  for (let line = 0; line < part.data.length / own; line++) {
    const target = into.data.subarray(lineIn(into.shape, part.shape, line) * width).subarray(0, width);
    target.fill(behind);
    for (let i = 0; i < own; i++) target[i] = part.data[line * own + i]!;
  }
}

/** The number of a line of `part` among the lines of `shape`. */
function lineIn(shape: readonly number[], part: readonly number[], line: number): number {
  let [rest, at, stride] = [line, 0, 1];
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    const length = part[axis + 1]!;
    at += (rest % length) * stride;
    rest = Math.floor(rest / length);
    stride *= shape[axis]!;
  }
  return at;
}
