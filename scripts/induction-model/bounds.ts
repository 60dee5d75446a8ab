/**
 * @file The guarantee, derived. Every quantity is bounded from the strengths in `layout.ts` alone, in the order in which the model
 * computes: how sharp the previous-token head is, how far each norm is from the identity, how far scores may be off, how much of
 * the induction head's attention leaks, and what is left for the logits. The bounds hold for every input of up to `SIZES.context`
 * tokens that begins with `<bos>`, and with any of the six heads without a part in induction switched off.
 */
import { CHANNELS, FLAG, SIZES, SQUARED_LENGTH, STRENGTH, turn } from "./layout.js";
import { CLASS_NAMES, classOf, CODE_LENGTH, codeOf, WORDS, type ClassName } from "./words.js";
import { expectedAfter, grammarWeight } from "./circuit.js";
import { silu } from "./parts.js";

/** The smallest and the largest value that a quantity can take. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** What is guaranteed where the current word was seen before, and the steps that lead there. */
export interface Guarantee {
  /** Attention of head 0.1 that does not go to the previous token, at most. */
  readonly previousLeak: number;
  /** Factor between layer 1's normalised stream and the stream. */
  readonly norm1: Range;
  /** Scores of head 1.2, in nats. */
  readonly match: Range;
  readonly other: Range;
  readonly rest: Range;
  /** Attention of head 1.2 that goes elsewhere: than to the match where there is one, than to `<bos>` where there is none. */
  readonly inductionLeak: number;
  readonly restLeak: number;
  /** Length of what layer 1's MLP leaves of GRAMMAR, which had length one, where a match was found. */
  readonly grammarLeft: number;
  /** Factor of the last norm where a match was found. */
  readonly normFinal: Range;
  /** Logit of the word that followed. */
  readonly answerLogit: Range;
  /** Logit of that word minus the logit of any other token. */
  readonly margin: number;
  readonly probability: number;
}

/** Largest product of two different codes. */
const OTHER_PRODUCT = 4;
const [N0, N1, N2] = [
  SQUARED_LENGTH["layers.0.post_attention_layernorm"],
  SQUARED_LENGTH["layers.1.input_layernorm"],
  SQUARED_LENGTH["layers.1.post_attention_layernorm"],
];
/** TOKEN or FIRST, and ONE: exactly this, always. */
const EMBEDDED = 2 * FLAG ** 2;
const { dModel, normEps } = SIZES;

/** The bounds, computed. */
export function guarantee(): Guarantee {
  const previousLeak = lookBackLeak();
  const previous = { low: (FLAG * (1 - 2 * previousLeak)) ** 2, high: FLAG ** 2 };
  const grammar = grammarLength(scale(N0, { low: EMBEDDED + previous.low, high: EMBEDDED + previous.high + notes(3, 1) }));
  const written = { low: EMBEDDED + previous.low, high: EMBEDDED + previous.high };
  const norm1 = scale(N1, { low: written.low + grammar.low ** 2, high: written.high + grammar.high ** 2 + notes(3, 1) });
  const scores = inductionScores(norm1, previousLeak);
  const beaten = (score: number): number => Math.exp(score - scores.match.low);
  const inductionLeak = beaten(scores.rest.high) + (SIZES.context - 2) * beaten(scores.other.high);
  const restLeak = (SIZES.context - 1) * Math.exp(scores.other.high - scores.rest.low);
  const copied = copyOf(norm1, inductionLeak);
  const found = { low: norm1.low * (1 - inductionLeak), high: norm1.high };
  const matched = {
    low: written.low + (FLAG * copied.low) ** 2 + found.low ** 2,
    high: written.high + (FLAG * copied.high) ** 2 + found.high ** 2 + notes(6, norm1.high),
  };
  const norm2 = scale(N2, { low: matched.low + grammar.low ** 2, high: matched.high + grammar.high ** 2 });
  const grammarLeft = leftStanding(norm2, found) * grammar.high;
  const normFinal = scale(SQUARED_LENGTH.norm, { low: matched.low, high: matched.high + grammarLeft ** 2 });
  return {
    previousLeak,
    norm1,
    ...scores,
    inductionLeak,
    restLeak,
    grammarLeft,
    normFinal,
    ...logits(normFinal, norm1, inductionLeak, grammarLeft),
  };
}

/** What the last norm and the unembedding find where nothing is repeated: GRAMMAR's length, and the stream's squared. */
export interface Unrepeated {
  readonly grammar: number;
  readonly squaredLength: number;
}

/** The model as it is, or with head 1.2 off. */
export const ORDINARY: Unrepeated = { grammar: 1, squaredLength: N1 };

/** The model with head 0.1 off: MLP 0's norm divides by less, gate and `up` are larger, and so is what the MLP writes. */
export function withoutPrevious(): Unrepeated {
  const factor = scale(N0, { low: EMBEDDED, high: EMBEDDED }).low;
  const grammar = (silu(STRENGTH.gate * factor) * factor) / silu(STRENGTH.gate);
  return { grammar, squaredLength: EMBEDDED + grammar ** 2 };
}

/** Probability of each word after a class where nothing is repeated: exact up to the leaks above. */
export function prior(after: ClassName | "start", { grammar, squaredLength } = ORDINARY): ReadonlyMap<string, number> {
  const factor = grammar * scale(SQUARED_LENGTH.norm, { low: squaredLength, high: squaredLength }).low;
  const expected = expectedAfter(after);
  const raw = WORDS.map((_, index) => Math.exp(factor * grammarWeight(index) * expected[CLASS_NAMES.indexOf(classOf(index))]!));
  const total = raw.reduce((sum, value) => sum + value, 0);
  return new Map(WORDS.map((word, index) => [word, raw[index]! / total]));
}

/** The largest probability that a word can have where nothing is repeated. */
export function highestPrior(stream: Unrepeated = ORDINARY): number {
  return Math.max(...(["start", ...CLASS_NAMES] as const).flatMap((name) => [...prior(name, stream).values()]));
}

/** Probability of the word that followed if nothing leaked: the same for every word, since the codes are a linear code. */
export function ideal(): number {
  const product = (index: number): number => codeOf(0).reduce((sum, sign, i) => sum + sign * codeOf(index)[i]!, 0);
  return 1 / WORDS.reduce((sum, _, index) => sum + Math.exp(STRENGTH.answer * (product(index) - CODE_LENGTH)), 0);
}

/** Σ over all other distances of exp(score there - score at the right one). */
function lookBackLeak(): number {
  const offsets = [-1, ...Array.from({ length: SIZES.context - 2 }, (_, i) => i + 1)];
  const lost = (pair: number, offset: number): number => STRENGTH.distanceNats * (1 - Math.cos(turn(pair) * offset));
  const gaps = offsets.map((offset) => CHANNELS.DISTANCE.map((pair) => lost(pair, offset)).reduce((sum, value) => sum + value, 0));
  return gaps.reduce((sum, gap) => sum + Math.exp(-gap), 0);
}

/** What `heads` heads can add to the squared length by their notes, at most (triangle inequality; |noun sign| ≤ `largest`). */
function notes(heads: number, largest: number): number {
  return (heads * STRENGTH.note * largest) ** 2;
}

/** Length of the copied code in units of a code: (1 - leak) of one, and `leak` of others in whatever direction. */
function copyOf(norm: Range, leak: number): Range {
  return { low: (1 - leak) * norm.low - leak * norm.high, high: norm.high };
}

/** The factor of a norm that is the identity at `expected`, for squared lengths in a range. */
function scale(expected: number, squared: Range): Range {
  const at = (value: number): number => Math.sqrt((expected + normEps * dModel) / (value + normEps * dModel));
  return { low: at(squared.high), high: at(squared.low) };
}

/** Length of GRAMMAR after layer 0: one, but for the open neuron's factor and the eight closed neurons' remains. */
function grammarLength(norm: Range): Range {
  const open = { low: silu(STRENGTH.gate * norm.low) * norm.low, high: silu(STRENGTH.gate * norm.high) * norm.high };
  const closed = CLASS_NAMES.length * Math.abs(silu(-STRENGTH.gate * norm.low)) * norm.high;
  return { low: (open.low - closed) / silu(STRENGTH.gate), high: (open.high + closed) / silu(STRENGTH.gate) };
}

/** Scores of head 1.2. Both sides are scaled by the norm; a code turns by little; PREVIOUS is a code but for its leak. */
function inductionScores(norm: Range, leak: number): Pick<Guarantee, "match" | "other" | "rest"> {
  const furthest = SIZES.context - 1;
  const slow = CHANNELS.CONTENT.slice(0, CODE_LENGTH / 2);
  const turned = slow.reduce((sum, pair) => sum + 2 * turn(pair) * furthest, 0) / CODE_LENGTH;
  const [low, high] = [norm.low ** 2, norm.high ** 2];
  const share = OTHER_PRODUCT / CODE_LENGTH;
  const rest = STRENGTH.inductionRestNats;
  return {
    match: { low: STRENGTH.matchNats * low * (1 - leak - leak * share - turned), high: STRENGTH.matchNats * high },
    other: { low: -STRENGTH.matchNats * high, high: STRENGTH.matchNats * high * (share * (1 - leak) + leak + turned) },
    rest: { low: rest * low * Math.cos(turn(CHANNELS.REST[0]) * furthest), high: rest * high },
  };
}

/** |1 - factor| of the neurons that take GRAMMAR away, at most. */
function leftStanding(norm: Range, found: Range): number {
  const factor = (scaled: number, level: number): number => (silu(STRENGTH.gate * scaled * (2 * level - 1)) * scaled) / silu(STRENGTH.gate);
  return Math.max(Math.abs(1 - factor(norm.low, found.low)), Math.abs(1 - factor(norm.high, found.high)));
}

/** ANSWER is (1 - leak) of one code and `leak` of others; products are 16 with the winner, -4 to 4 with another word. */
function logits(last: Range, norm: Range, leak: number, grammarLeft: number): Pick<Guarantee, "answerLogit" | "margin" | "probability"> {
  const [won, lost] = [(1 - leak) * norm.low, leak * norm.high];
  const grammar = STRENGTH.grammar * grammarLeft;
  const lead = STRENGTH.answer * (CODE_LENGTH - OTHER_PRODUCT);
  const margin = last.low * (lead * (won - lost) - Math.SQRT2 * grammar);
  const low = STRENGTH.answer * (CODE_LENGTH * won - OTHER_PRODUCT * lost) - grammar;
  const answerLogit = { low: last.low * low, high: last.high * (STRENGTH.answer * CODE_LENGTH * norm.high + grammar) };
  return { answerLogit, margin, probability: 1 / (1 + WORDS.length * Math.exp(-margin)) };
}
