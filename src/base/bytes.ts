/** @file Amounts of memory in words. */

const UNITS = ["bytes", "kB", "MB", "GB", "TB"] as const;

/** The number of bytes with two digits and a unit: `160 kB`, `1.2 GB`. */
export function describeBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit++;
  }
  return `${amount < 9.95 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${UNITS[unit]}`;
}
