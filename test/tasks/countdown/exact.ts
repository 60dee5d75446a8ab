/** @file Arithmetic a second time: the text is split at sums, then at products, and reckoned in fractions of whole numbers without a bound. */

/** A fraction in lowest terms; the denominator is above 0. */
interface Fraction {
  readonly top: bigint;
  readonly bottom: bigint;
}

/** The value of a text such as `6 / 4 * 2`; undefined where a division on the way, from the left, is by 0 or does not come out whole. */
export function exactValue(text: string): bigint | undefined {
  let total = 0n;
  for (const [sign, term] of signedTerms(text)) {
    const value = product(term);
    if (value === undefined) return undefined;
    total += sign * value;
  }
  return total;
}

function signedTerms(text: string): (readonly [sign: bigint, term: string])[] {
  const parts = ` + ${text}`.split(/ ([+-]) /).slice(1);
  return parts.flatMap((part, i) => (i % 2 === 1 ? [[parts[i - 1] === "+" ? 1n : -1n, part] as const] : []));
}

function product(term: string): bigint | undefined {
  const parts = `1 * ${term}`.split(" ");
  let value: Fraction = { top: 1n, bottom: 1n };
  for (let i = 1; i < parts.length; i += 2) {
    const number = BigInt(parts[i + 1]!);
    if (parts[i] === "/" && number === 0n) return undefined;
    value = lowest(parts[i] === "*" ? { ...value, top: value.top * number } : { ...value, bottom: value.bottom * number });
    if (value.bottom !== 1n) return undefined;
  }
  return value.top;
}

function lowest({ top, bottom }: Fraction): Fraction {
  let [a, b] = [top, bottom];
  while (b !== 0n) [a, b] = [b, a % b];
  const common = a < 0n ? -a : a;
  return { top: top / common, bottom: bottom / common };
}
