/** @file The logarithm of a sum of exponentials, which every probability of a softmax stands on. */

/** log Σ exp(x), shifted by the largest x so that nothing overflows; −∞ where there is none. */
export function logSumExp(values: ArrayLike<number>): number {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i]! > largest) largest = values[i]!;
  if (largest === -Infinity) return largest;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - largest);
  return largest + Math.log(sum);
}
