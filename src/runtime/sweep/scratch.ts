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
    if (!found || found.length > 2 * length + SMALL) return new Float32Array(length);
    this.#free.splice(at, 1);
    return found.length === length ? found : new Float32Array(found.buffer, 0, length);
  }

  /** Takes an array back that came from `take`. */
  give(array: Float32Array): void {
    const whole = new Float32Array(array.buffer);
    const at = this.#free.findIndex(({ length }) => length >= whole.length);
    this.#free.splice(at === -1 ? this.#free.length : at, 0, whole);
    if (this.#free.length > MOST) this.#free.shift();
  }
}

/** A longer array is not cut down for less than half of it, unless it is small. */
const SMALL = 1 << 14;
/** Arrays kept at most. */
const MOST = 32;
