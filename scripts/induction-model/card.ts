/** @file The model card. What can be computed from the construction is, so that the page cannot say other numbers than the weights. */
import { guarantee, highestPrior, ideal, ORDINARY, prior, withoutPrevious, type Range } from "./bounds.js";
import { expectedAfter, HEADS } from "./circuit.js";
import { CHANNELS, FLAG, SIZES, SQUARED_LENGTH, STREAM, STRENGTH, turn } from "./layout.js";
import { CLASSES, CLASS_NAMES, CODE_LENGTH, WORDS, type ClassName } from "./words.js";

/** The prompt that shows what the model does, the word that follows, and two prompts to contrast it with. */
export const PROMPTS = {
  repeated: "the cat sat near Mira Stone while the dog saw Mira",
  answer: "Stone",
  otherName: "the cat sat near Anna Stone while the dog saw Mira",
  otherAnswer: "the cat sat near Mira Hill while the dog saw Mira",
} as const;

/** The text of `README.md`. */
export function modelCard(): string {
  const sections = [FRONT, summary(), stream(), codes(), heads(), mlps(), statement(), proof(), switchedOff(), LIMITS, vocabulary()];
  return `${sections.map((section) => section.trim()).join("\n\n")}\n`;
}

const FRONT = `
---
license: mit
library_name: transformers
pipeline_tag: text-generation
tags: [interpretability, induction-heads, constructed]
---

# A model that provably does induction

A two-layer Llama of ordinary Hugging Face format whose weights were written down, not trained. Where a word occurs for the
second time, the model predicts the word that followed it the first time (… A B … A → B). This page says what each subspace of
the residual stream holds and what each head and neuron does, and proves the prediction with a margin.

The page and the weights are written by one script, \`scripts/build-induction-model.ts\`; all numbers below are computed there.`;

function summary(): string {
  const { vocab, dModel, layers, heads, dHead, dMlp, context } = SIZES;
  return `
|   |   |
|---|---|
| architecture | \`LlamaForCausalLM\`: ${layers} layers, ${heads} heads of ${dHead}, d_model ${dModel}, d_mlp ${dMlp}, rotary base ${SIZES.ropeTheta}, float32 |
| vocabulary | ${vocab} tokens: \`<bos>\` and ${WORDS.length} others, one token a word, case-sensitive; other words are \`<unk>\` |
| context | ${context} tokens, \`<bos>\` included; the tokenizer puts it in front |

| prompt | next word | why |
|---|---|---|
| ${PROMPTS.repeated} | **${PROMPTS.answer}** (${fixed(ideal(), 3)}) | \`Mira\` was followed by \`Stone\` |
| ${PROMPTS.otherAnswer} | **Hill** (${fixed(ideal(), 3)}) | \`Mira\` was followed by \`Hill\`: to be patched against the first |
| ${PROMPTS.otherName} | no word above ${fixed(Math.max(...prior("first name").values()), 3)} | this \`Mira\` is the first one: only the word classes speak |

Continued greedily, \`Mira Stone saw a fox near the river . Mira\` repeats its sentence for ever.`;
}

function stream(): string {
  const row = (name: keyof typeof STREAM, holds: string, by: string): string => `| ${name} | ${span(STREAM[name])} | ${holds} | ${by} |`;
  return `
## The residual stream

${SIZES.dModel} coordinates, divided among nine subspaces:

| subspace | coordinates | holds | written by |
|---|---|---|---|
${row("TOKEN", "the code of the word at this position; 0 at `<bos>`", "embedding")}
${row("PREVIOUS", "the code of the word before", "head 0.1")}
${row("ANSWER", "the code of the word to be said", "head 1.2")}
${row("GRAMMAR", "which class of word is expected next, one coordinate a class, together of length 1", "MLP 0; erased by MLP 1")}
${row("ONE", "4, everywhere", "embedding")}
${row("FIRST", "4 at `<bos>`, else 0", "embedding")}
${row("SECOND", "4 if the token before is `<bos>`, else 0", "head 0.1")}
${row("FOUND", "1 if the current word was seen before, else 0", "head 1.2")}
${row("NOTES", `at most ${STRENGTH.note} a head; nothing reads it`, "the six heads without a part in induction")}

**Norms.** A word and \`<bos>\` have the same squared length at the start (${CODE_LENGTH} + 16), and what is added later has a known
length too. So each RMSNorm divides by a number known beforehand, and its weight multiplies by it again: the squared lengths that the
weights stand for are ${Object.values(SQUARED_LENGTH).join(", ")} in forward order. The norms are the identity, up to the small
factors in the proof; the last two are made for positions where a repeated word was found.`;
}

function codes(): string {
  return `
## Codes: ${WORDS.length} words in ${CODE_LENGTH} dimensions

A word's code is ${CODE_LENGTH} signs (±1): a subcode of the extended BCH code [16, 7, 6] in which two different words agree in 6, 8 or 10
places. Their product is therefore −4, 0 or 4, while a code's product with itself is 16. The words are in superposition: there are
four times as many as dimensions, and any two have a cosine of at most ¼. The first three signs spell the word's class, the
first of them whether it is a noun or a name (the *noun sign*).`;
}

function heads(): string {
  const line = (layer: number, head: number): string => {
    const { name, matters, looksAt, moves } = HEADS[layer]![head]!;
    const title = matters ? `**${name}**` : name;
    return `| ${layer}.${head} | ${title} | ${looksAt} | ${moves} |`;
  };
  const slow = Math.min(...CHANNELS.CONTENT);
  return `
## The heads

Two of the eight do the work. The other six do what heads in trained models are seen to do, and do not matter.

| head | name | looks at | moves |
|---|---|---|---|
${HEADS.flatMap((row, layer) => row.map((_, head) => line(layer, head))).join("\n")}

A head has ${SIZES.dHead} query and key channels in 16 rotary pairs; pair i turns by 10^(−i/2) radians a token.

- **Distance** (0.1, 1.1, 1.3): query and key are constants in pairs ${CHANNELS.DISTANCE.join(", ")}. The query is turned back by the distance d, so that the
  score is ${STRENGTH.distanceNats} Σ cos(turn · (query − key − d)) and has its maximum, ${STRENGTH.distanceNats * CHANNELS.DISTANCE.length}, at distance d only.
- **Content** (0.2, 1.2): codes in pairs ${slow} to 15, which turn by at most ${turn(slow) * (SIZES.context - 1)} radians within the context. The same code scores
  ${STRENGTH.matchNats}, another word at most ${STRENGTH.matchNats / 4}.
- **Rest** (0.0, 1.0, 1.2): \`<bos>\` is found by FIRST, in pair ${CHANNELS.REST[0]}. For the induction head it scores ${STRENGTH.inductionRestNats}, halfway between a match and
  the best other word, so that without a match the head looks at \`<bos>\`. That has no code, so nothing is written.`;
}

function mlps(): string {
  const expected = (name: ClassName | "start"): string => {
    const classes = CLASS_NAMES.map((next, i) => [next, expectedAfter(name)[i]!] as const).filter(([, weight]) => weight > 0);
    const sorted = classes.toSorted((a, b) => b[1] - a[1]);
    return `| ${name === "start" ? "`<bos>`" : name} | ${sorted.map(([next, weight]) => `${next} ${fixed(weight, 2)}`).join(", ")} |`;
  };
  return `
## The MLPs and the unembedding

**MLP 0** has one neuron a class and one for \`<bos>\`. A class neuron's gate adds the three class signs and subtracts 2: it is
+${STRENGTH.gate} on the words of its class and −${STRENGTH.gate} or less on all others, so exactly one neuron is open at each position. It writes which
classes follow:

| after | GRAMMAR |
|---|---|
${(["start", ...CLASS_NAMES] as const).map(expected).join("\n")}

**MLP 1** has one neuron a class. The gates are open where FOUND is above ½; the neurons then subtract GRAMMAR from itself. Where a
repeated word was found, the guess by word classes is dropped.

The remaining neurons (of ${SIZES.dMlp} a layer) are zero.

**Unembedding.** logit(w) = ${STRENGTH.answer} · code(w) · ANSWER + g(w) · GRAMMAR[class of w], with g from ${STRENGTH.grammar} for the first word of a class down to
${fixed(STRENGTH.grammar * (1 - 7 * STRENGTH.rarer), 2)} for the last, and 0 for \`<unk>\`. \`<bos>\` gets ${STRENGTH.neverBos} · ONE, about ${STRENGTH.neverBos * FLAG}: it is never predicted.

A logit lens thus shows: after the embedding, nothing (all words alike); after layer 0, the word classes; after layer 1, the repeated word.`;
}

function statement(): string {
  const { margin, probability, answerLogit } = guarantee();
  return `
## The guarantee

> Let the input be \`<bos>\` and at most ${SIZES.context - 1} other tokens, none of them \`<bos>\`. Let the last one be A; let A have occurred
> before, and every time with B after it (once is enough; A = B is allowed). Then the logit of B is between ${atLeast(answerLogit.low, 2)} and
> ${atMost(answerLogit.high, 2)} and exceeds that of every other token by at least **${atLeast(margin, 2)}**, whatever the other words are and wherever A stood. B has a
> probability of at least ${atLeast(probability, 3)}. This remains true when any of the six heads without a part in induction are switched off.

In exact arithmetic; float32 adds errors of the order of 10⁻⁵. Without any leak, margin and probability would be 9 and ${fixed(ideal(), 4)}.`;
}

function proof(): string {
  const g = guarantee();
  return `
## The proof

Each step bounds what the next one needs, for every distance up to ${SIZES.context - 1}. \`scripts/induction-model/bounds.ts\` is the same in code.

1. **The previous word is in PREVIOUS.** Layer 0's input has squared length 32 exactly. At a distance that is off by t, head 0.1 scores
   ${STRENGTH.distanceNats} Σ (1 − cos(turn · t)) lower, so attention away from the previous token is at most the sum of the exponentials of that over all
   t ≠ 0: λ ≤ ${science(g.previousLeak)}. PREVIOUS is the code of the previous word, but for a part λ.
2. **The norms are known.** TOKEN or FIRST, and ONE, are 16 each, exactly. PREVIOUS (with SECOND) is between 16 (1 − 2λ)² and 16, NOTES at
   most (3 · ${STRENGTH.note})² = ${atMost((3 * STRENGTH.note) ** 2, 3)} after layer 0. GRAMMAR has length 1, but for what this lets the open neuron differ, and for the closed
   ones, silu(−${STRENGTH.gate}) / silu(${STRENGTH.gate}) each. So the norm of layer 1 multiplies by ${between(g.norm1, 4)}.
3. **The induction head finds the place.** Both query and key carry that factor, and rotary turns a code by little. A key whose
   previous word is A scores at least ${atLeast(g.match.low, 2)}, any other word at most ${atMost(g.other.high, 2)}, \`<bos>\` ${between(g.rest, 2)}. Attention that misses the
   places where A went before is at most e^(${atMost(g.rest.high, 2)} − ${atLeast(g.match.low, 2)}) + ${SIZES.context - 2} e^(${atMost(g.other.high, 2)} − ${atLeast(g.match.low, 2)}): μ ≤ ${science(g.inductionLeak)}.
4. **It copies B.** At all those places stands B, so ANSWER is the code of B but for a part μ, and FOUND is at least ${atLeast(g.norm1.low * (1 - g.inductionLeak), 4)}.
5. **The guess is dropped.** MLP 1's gates are open, and of GRAMMAR a length of at most ${atMost(g.grammarLeft, 4)} is left.
6. **The logits.** The last norm multiplies by ${between(g.normFinal, 4)}. ANSWER's product is 16 with the code of B and at most 4 with any other, so the logit
   of B leads by ${atLeast(g.normFinal.low, 4)} · (${STRENGTH.answer} · 12 · (1 − 2μ) · ${atLeast(g.norm1.low, 4)} − √2 · ${STRENGTH.grammar} · ${atMost(g.grammarLeft, 4)}) ≥ **${atLeast(g.margin, 2)}**, which with ${WORDS.length} rivals is a probability of
   ${atLeast(g.probability, 3)} or more. ∎

Switching off other heads only makes NOTES shorter, which the bounds allow for.`;
}

function switchedOff(): string {
  const { restLeak, answerLogit } = guarantee();
  return `
## What happens without it

- **No repetition.** No key matches, at least ${atLeast(1 - restLeak, 3)} of head 1.2's attention rests on \`<bos>\`, ANSWER and FOUND stay near 0, and the
  prediction is by word classes. No word then gets more than about ${fixed(highestPrior(), 3)}.
- **Head 1.2 off** (z = 0). ANSWER and FOUND are exactly 0: the prediction is that of an input without repetition.
- **Head 0.1 off** (z = 0). PREVIOUS is 0, no key matches, head 1.2 rests: the prediction is by word classes again. The stream is
  shorter now, which the norms no longer undo, so the classes speak ${fixed(sharper(), 1)} times as loud; no word gets more than about ${fixed(highestPrior(withoutPrevious()), 3)}.
- **Any other head off.** The logit of B stays within the range given above, hence changes by less than ${atMost(answerLogit.high - answerLogit.low, 2)}.
- **A match nobody reads.** Head 0.2's pattern looks like induction's first half (the current word attends to its earlier copy), and 1.1
  is a previous-token head. Neither has an effect, but for the note's on the norms: a pattern is not a function.`;
}

const LIMITS = `
## Limits

- Earlier occurrences of A with different successors share the attention equally, and ANSWER becomes a mixture of their codes.
- Without \`<bos>\` in front the induction head has nowhere to rest, and without a match it spreads over other words.
- Beyond the stated context nothing is claimed; rotary has no end there, but the distance code repeats at last.
- This is a demonstration of a mechanism and a measuring stick for tools. As a language model it knows eight word classes.`;

function vocabulary(): string {
  const rows = CLASS_NAMES.map((name) => `| ${name} | ${CLASSES[name].map((word) => `\`${word}\``).join(" ")} |`);
  return `
## Vocabulary

\`<bos>\` is token 0; the others follow in this order, from 1 on.

| class | words |
|---|---|
${rows.join("\n")}`;
}

/** By how much head 0.1's absence multiplies the logits by classes. */
function sharper(): number {
  const without = withoutPrevious();
  return without.grammar * Math.sqrt(ORDINARY.squaredLength / without.squaredLength);
}

function span(coordinates: readonly number[]): string {
  const last = coordinates.at(-1)!;
  return coordinates.length === 1 ? `${last}` : `${coordinates[0]}–${last}`;
}

function between({ low, high }: Range, digits: number): string {
  return `${atLeast(low, digits)} to ${atMost(high, digits)}`;
}

function fixed(value: number, digits: number): string {
  return value.toFixed(digits);
}

/** A lower bound, rounded so that it stays one. */
function atLeast(value: number, digits: number): string {
  return (Math.floor(value * 10 ** digits) / 10 ** digits).toFixed(digits);
}

/** An upper bound, rounded so that it stays one. */
function atMost(value: number, digits: number): string {
  return (Math.ceil(value * 10 ** digits) / 10 ** digits).toFixed(digits);
}

/** A small upper bound with two significant digits. */
function science(value: number): string {
  const exponent = Math.floor(Math.log10(value));
  return `${atMost(value / 10 ** exponent, 1)} · 10^${exponent}`.replace("^-", "^−");
}
