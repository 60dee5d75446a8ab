/** @file Numbers for readers: as many digits as make sense for what they count. The exact value belongs beside them, in a tooltip or an attribute. */

/** Units of numbers between −1 and 1 that are read at three digits behind the point. */
const THREE_DIGITS = new Set(["cosine", "AUROC", "correlation", "probability", "R²"]);

/**
 * The value as text: shares as percent with one digit behind the point, cosines and the like with three, whole numbers in full, others with four significant
 * digits. What is not 0 is never printed as 0, and what is not 1 never as 100 %.
 */
export function shownNumber(value: number, unit = ""): string {
  if (!Number.isFinite(value)) return String(value);
  if (unit === "share") return `${percent(value * 100)} %`;
  if (THREE_DIGITS.has(unit)) return withDecimals(value, 3);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return grouped(String(value));
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-3) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return size >= 1e4 ? grouped(value.toFixed(0)) : String(Number(value.toPrecision(4)));
}

function percent(value: number): string {
  // Shares such as 0.57 have no exact percentage in binary.
  const exact = Number(value.toPrecision(12));
  if (exact === 0 || Math.abs(exact) === 100) return String(exact);
  for (const decimals of [1, 2, 3, 4, 5]) {
    const text = exact.toFixed(decimals);
    if (Number(text) !== 0 && Math.abs(Number(text)) !== 100) return text;
  }
  return exact > 99 ? "> 99.99999" : exact < -99 ? "< -99.99999" : Number(exact.toPrecision(2)).toExponential();
}

function withDecimals(value: number, decimals: number): string {
  const text = value.toFixed(decimals);
  if (Number(text) === 0) return value === 0 ? "0" : String(Number(value.toPrecision(2)));
  return text;
}

function grouped(text: string): string {
  return text.replace(/\B(?=(\d{3})+$)/g, ",");
}
