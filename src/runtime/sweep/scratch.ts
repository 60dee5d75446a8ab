/**
 * @file Memory that is used again: a march makes arrays of the same sizes layer after layer, and fresh memory costs a page fault for each
 * 4 KiB. Arrays are taken with whatever values they had, and given back when nobody reads them any more.
 */

export class Scratch {
  /** Arrays given back, the shortest first. */
  readonly #free: Float32Array[] = [];

  /** An array of that length; its values are arbitrary. */
  take(length: number): Float32Array {
    const at = this.#free.findIndex((array) => array.length >= length);
    const found = this.#free[at];
    if (!found || found.length > 2 * length + SMALL) return new Float32Array(roomFor(length)).subarray(0, length);
    this.#free.splice(at, 1);
    return found.subarray(0, length);
  }

  /** Takes an array back that came from `take`. */
  give(array: Float32Array): void {
    const whole = new Float32Array(array.buffer);
    const at = this.#free.findIndex(({ length }) => length >= whole.length);
    this.#free.splice(at === -1 ? this.#free.length : at, 0, whole);
    if (this.#free.length > MOST) this.#free.shift();
  }
}

/** That many elements or a few more, so that the array serves later layers, too, where there are more rows. */
function roomFor(length: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, length))) - 2);
  return Math.ceil(length / step) * step;
}

/** A longer array is not cut down for less than half of it, unless it is small. */
const SMALL = 1 << 14;
/** Arrays kept at most. */
const MOST = 32;
