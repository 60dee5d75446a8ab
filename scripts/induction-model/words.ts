/**
 * @file The vocabulary: eight classes of eight words, and a code of sixteen signs for each word. The codes are a subcode of the
 * extended BCH code [16, 7, 6]: any two differ in 6, 8 or 10 signs, so 64 words fit into 16 dimensions with cosines of -1/4, 0 or 1/4.
 */

/** The token that begins every input; it has no code and no class. */
export const BOS = "<bos>";

/** The token of every word that is not in the vocabulary. It has a code like a word, so that it can be repeated like one. */
export const UNKNOWN = "<unk>";

/**
 * The classes in the order of their three bits: the first says "noun or name", the second, among those, "name". Within a class the
 * commoner words come first.
 */
export const CLASSES = {
  determiner: ["the", "a", "his", "her", "this", "every", "The", "A"],
  verb: ["saw", "met", "sat", "found", "heard", "left", "liked", "followed"],
  preposition: ["near", "with", "behind", "under", "by", "in", "from", "beside"],
  connective: ["and", ".", ",", "but", "while", "when", "then", UNKNOWN],
  creature: ["cat", "dog", "bird", "fox", "horse", "girl", "boy", "king"],
  thing: ["house", "garden", "river", "tree", "door", "book", "lamp", "boat"],
  "first name": ["Mira", "Tom", "Anna", "Ben", "Lena", "Omar", "Ruth", "Hugo"],
  surname: ["Stone", "Hill", "Brook", "Wood", "Young", "Marsh", "Lane", "Field"],
} as const;

export type ClassName = keyof typeof CLASSES;

/** Class names in the order of their bits. */
export const CLASS_NAMES = Object.keys(CLASSES) as readonly ClassName[];

/** The coded tokens; a word's place in this list, as six bits, is what its code encodes. */
export const WORDS: readonly string[] = CLASS_NAMES.flatMap((name) => [...CLASSES[name]]);

/** All tokens by id: `<bos>`, then the 64 coded ones. */
export const VOCABULARY: readonly string[] = [BOS, ...WORDS];

/** How many signs a code has. */
export const CODE_LENGTH = 16;

/** Signs 0, 1 and 2 of a code spell the class. */
export const CLASS_BITS = 3;

/** x⁸ + x⁷ + x⁶ + x⁴ + 1, which generates the BCH code [15, 7, 5]. */
const GENERATOR = 0b111010001;

/** The code of the word at `index` in `WORDS`: six message signs (class bits first), a seventh, eight checks, the parity. */
export function codeOf(index: number): readonly number[] {
  const bits = Array.from({ length: 6 }, (_, i) => (index >> (5 - i)) & 1);
  // Tying the seventh message bit to the first two leaves out the all-ones codeword, hence every pair of opposite codes.
  const message = [...bits, bits[0]! ^ bits[1]!];
  const value = message.reduce((sum, bit) => (sum << 1) | bit, 0);
  const checks = remainder(value << 8);
  const word = [...message, ...Array.from({ length: 8 }, (_, i) => (checks >> (7 - i)) & 1)];
  const parity = word.reduce((sum, bit) => sum ^ bit, 0);
  return [...word, parity].map((bit) => 2 * bit - 1);
}

/** The three signs that all codes of a class begin with. */
export function classSigns(name: ClassName): readonly number[] {
  return codeOf(CLASS_NAMES.indexOf(name) * 8).slice(0, CLASS_BITS);
}

/** The class of the word at `index` in `WORDS`. */
export function classOf(index: number): ClassName {
  return CLASS_NAMES[index >> 3]!;
}

function remainder(value: number): number {
  let rest = value;
  for (let degree = 14; degree >= 8; degree--) if ((rest >> degree) & 1) rest ^= GENERATOR << (degree - 8);
  return rest;
}
