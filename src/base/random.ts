/** @file Seeded random numbers: the same seed gives the same numbers on every machine. Never ambient. */

/** Gives the next number, evenly spread over 0 … 1 (1 excluded). */
export type Random = () => number;

/** A generator (sfc32, seeded by SplitMix32) for a seed and a stream of it; streams of one seed are independent. */
export function seededRandom(seed: number, stream = 0): Random {
  let state = (seed ^ Math.imul(stream + 1, 0x9e3779b9)) >>> 0;
  const split = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, counter] = [split(), split(), split(), 1];
  return () => {
    const mixed = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = (b ^ (b >>> 9)) >>> 0;
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + mixed) >>> 0;
    return mixed / 2 ** 32;
  };
}
