/** @file Seeded draws: an order, normal numbers, and seeds. */
import type { Random } from "./random.js";

/** The items in random order (Fisher & Yates). */
export function shuffled<T>(items: ArrayLike<T>, random: Random): T[] {
  const order = Array.from(items);
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/** Independent normal numbers of mean 0 and deviation 1 (Box & Muller). */
export function normalNumbers(count: number, random: Random): Float64Array {
  return Float64Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** A seed for what draws by itself: a whole number below 2³¹. */
export function seedFrom(random: Random): number {
  return Math.floor(random() * 2 ** 31);
}
