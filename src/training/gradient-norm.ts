/** @file The length of all gradients together, and clipping by it (Pascanu et al. 2013). */

/** √Σg² over all elements of all gradients, summed in float64; NaN or infinite where an element is. */
export function gradientNorm(gradients: ReadonlyMap<string, Float32Array>): number {
  let total = 0;
  for (const gradient of gradients.values()) total += sumOfSquares(gradient);
  return Math.sqrt(total);
}

/** What to multiply gradients of that norm with so that it is `limit` at most; 1 without a limit. */
export function clippingOf(norm: number, limit: number | undefined): number {
  return limit === undefined || norm <= limit ? 1 : limit / norm;
}

/** Four sums side by side, so that additions need not wait for one another. */
function sumOfSquares(x: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = x.length - (x.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += x[i]! * x[i]!;
    b += x[i + 1]! * x[i + 1]!;
    c += x[i + 2]! * x[i + 2]!;
    d += x[i + 3]! * x[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) a += x[i]! * x[i]!;
  return a + b + c + d;
}
