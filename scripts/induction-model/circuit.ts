/**
 * @file The model itself: embedding, eight heads, two MLPs, unembedding. Read from top to bottom this is the construction that
 * the model card proves: 0.1 writes each word's predecessor beside it, 1.2 looks for the place whose predecessor is the current
 * word and copies the word that stands there.
 */
import { FLAG, SIZES, SQUARED_LENGTH, STREAM, STRENGTH } from "./layout.js";
import { addNeuron, carry, headOf, lookBack, lookFor, put, restOnFirst, type Head, type Matrix, type Weights } from "./parts.js";
import { classOf, classSigns, CLASS_BITS, CLASS_NAMES, codeOf, UNKNOWN, WORDS, type ClassName } from "./words.js";

const { TOKEN, PREVIOUS, ANSWER, GRAMMAR, ONE, FIRST, SECOND, FOUND, NOTES } = STREAM;

/** A head: what it is called, what it does in words, and its weights. */
export interface HeadRow {
  readonly name: string;
  readonly matters: boolean;
  readonly looksAt: string;
  readonly moves: string;
  readonly build: (head: Head) => void;
}

/** Sign 0 of a code: whether the word is a noun or a name. */
const NOUN = TOKEN.slice(0, 1);

/** Every head by layer and number. */
export const HEADS: readonly (readonly HeadRow[])[] = [
  [
    {
      name: "rest",
      matters: false,
      looksAt: "`<bos>`, always",
      moves: "nothing: it would copy the noun sign into NOTES 0, and `<bos>` has none",
      build: (head) => (restOnFirst(head, STRENGTH.restNats), takeNote(head, 0)),
    },
    {
      name: "previous token",
      matters: true,
      looksAt: "the token before",
      moves: "TOKEN into PREVIOUS, FIRST into SECOND",
      build: (head) => {
        lookBack(head, 1);
        carry(head, [
          { from: TOKEN, to: PREVIOUS },
          { from: FIRST, to: SECOND },
        ]);
      },
    },
    {
      name: "same word",
      matters: false,
      looksAt: "all copies of the current word, itself included, in equal parts",
      moves: "their noun sign into NOTES 0",
      build: (head) => (lookFor(head, { query: TOKEN, key: TOKEN, nats: STRENGTH.matchNats }), takeNote(head, 0)),
    },
    {
      name: "average",
      matters: false,
      looksAt: "all tokens so far, in equal parts",
      moves: "the mean noun sign into NOTES 1",
      build: (head) => takeNote(head, 1),
    },
  ],
  [
    {
      name: "rest",
      matters: false,
      looksAt: "`<bos>`, always",
      moves: "nothing: it would copy the noun sign into NOTES 2, and `<bos>` has none",
      build: (head) => (restOnFirst(head, STRENGTH.restNats), takeNote(head, 2)),
    },
    {
      name: "previous token, too late",
      matters: false,
      looksAt: "the token before",
      moves: "its noun sign into NOTES 2; nothing after it could use more",
      build: (head) => (lookBack(head, 1), takeNote(head, 2)),
    },
    {
      name: "induction",
      matters: true,
      looksAt: "where PREVIOUS is the current word's code; `<bos>` when there is no such place",
      moves: "TOKEN into ANSWER, and 1 into FOUND (nothing from `<bos>`)",
      build: (head) => {
        lookFor(head, { query: TOKEN, key: PREVIOUS, nats: STRENGTH.matchNats });
        restOnFirst(head, STRENGTH.inductionRestNats);
        carry(head, [
          { from: TOKEN, to: ANSWER },
          { from: ONE, minus: FIRST, to: FOUND, scale: 1 / FLAG },
        ]);
      },
    },
    {
      name: "self",
      matters: false,
      looksAt: "the current token",
      moves: "its noun sign into NOTES 3",
      build: (head) => (lookBack(head, 0), takeNote(head, 3)),
    },
  ],
];

/** Which classes are expected after a class (or at the start), with weights; each row is scaled to length one. */
const EXPECTED = {
  start: { determiner: 1, "first name": 0.8 },
  determiner: { creature: 1, thing: 0.9 },
  verb: { determiner: 1, preposition: 0.7, "first name": 0.6 },
  preposition: { determiner: 1, "first name": 0.8 },
  connective: { determiner: 1, "first name": 0.8 },
  creature: { verb: 1, preposition: 0.6, connective: 0.5 },
  thing: { connective: 1, preposition: 0.7, verb: 0.6 },
  "first name": { surname: 1, verb: 0.8 },
  surname: { verb: 1, connective: 0.8 },
} as const satisfies Record<ClassName | "start", Partial<Record<ClassName, number>>>;

/** What GRAMMAR holds after a word of the class: one number a class, together of length one. */
export function expectedAfter(name: ClassName | "start"): readonly number[] {
  const row: Partial<Record<ClassName, number>> = EXPECTED[name];
  const raw = CLASS_NAMES.map((next) => row[next] ?? 0);
  const length = Math.hypot(...raw);
  return raw.map((value) => value / length);
}

/** All weights of the model, by their Hugging Face names. */
export function buildWeights(): Weights {
  const weights = emptyWeights();
  embed(weights.get("model.embed_tokens.weight")!);
  undoNorms(weights);
  HEADS.forEach((row, layer) => row.forEach(({ build }, head) => build(headOf(weights, layer, head))));
  expectClasses(weights);
  forgetGrammarWhereFound(weights);
  unembed(weights.get("lm_head.weight")!);
  return weights;
}

/** A word is its code and ONE; `<bos>` is FIRST and ONE. Both have the same length. */
function embed(matrix: Matrix): void {
  WORDS.forEach((_, index) => codeOf(index).forEach((sign, i) => put(matrix, index + 1, TOKEN[i]!, sign)));
  for (let id = 0; id < SIZES.vocab; id++) put(matrix, id, ONE[0]!, FLAG);
  put(matrix, 0, FIRST[0]!, FLAG);
}

/** Makes each norm the identity on streams of the length that is expected there. */
function undoNorms(weights: Weights): void {
  for (const [name, squared] of Object.entries(SQUARED_LENGTH)) {
    weights.get(`model.${name}.weight`)!.data.fill(Math.sqrt(squared / SIZES.dModel + SIZES.normEps));
  }
}

/** Layer 0's MLP: one neuron a class, open on the words of that class, and one open on `<bos>`; each writes what it expects. */
function expectClasses(weights: Weights): void {
  const always = [ONE[0]!, 1 / FLAG] as const;
  CLASS_NAMES.forEach((name, index) => {
    const signs = classSigns(name).map((sign, i) => [TOKEN[i]!, sign] as const);
    const gate = [...signs, [ONE[0]!, (1 - CLASS_BITS) / FLAG] as const];
    addNeuron(weights, 0, index, { gate, up: always, down: classWeights(name) });
  });
  const gate = [[FIRST[0]!, 2 / FLAG] as const, [ONE[0]!, -1 / FLAG] as const];
  addNeuron(weights, 0, CLASS_NAMES.length, { gate, up: always, down: classWeights("start") });
}

/** Layer 1's MLP: one neuron a class, open where FOUND is above one half, takes away what GRAMMAR holds for the class. */
function forgetGrammarWhereFound(weights: Weights): void {
  const gate = [[FOUND[0]!, 2] as const, [ONE[0]!, -1 / FLAG] as const];
  GRAMMAR.forEach((coordinate, index) => addNeuron(weights, 1, index, { gate, up: [coordinate, 1], down: [[coordinate, -1]] }));
}

/** A word's logit is its code times ANSWER, plus its share of GRAMMAR's number for its class. `<bos>` is ruled out. */
function unembed(matrix: Matrix): void {
  WORDS.forEach((_, index) => {
    codeOf(index).forEach((sign, i) => put(matrix, index + 1, ANSWER[i]!, sign * STRENGTH.answer));
    put(matrix, index + 1, GRAMMAR[CLASS_NAMES.indexOf(classOf(index))]!, grammarWeight(index));
  });
  put(matrix, 0, ONE[0]!, STRENGTH.neverBos);
}

/** How much the word at `index` follows GRAMMAR: the commoner the more; `<unk>` not at all. */
export function grammarWeight(index: number): number {
  return WORDS[index] === UNKNOWN ? 0 : STRENGTH.grammar * (1 - STRENGTH.rarer * (index % 8));
}

function takeNote(head: Head, note: number): void {
  carry(head, [{ from: NOUN, to: NOTES.slice(note, note + 1), scale: STRENGTH.note }]);
}

function classWeights(name: ClassName | "start"): readonly (readonly [number, number])[] {
  return expectedAfter(name).map((value, i) => [GRAMMAR[i]!, value]);
}

function emptyWeights(): Weights {
  const { vocab, dModel, heads, dHead, dMlp } = SIZES;
  const shapes: Record<string, readonly [number, number]> = { "model.embed_tokens": [vocab, dModel], lm_head: [vocab, dModel] };
  for (const name of Object.keys(SQUARED_LENGTH)) shapes[`model.${name}`] = [dModel, 1];
  for (let layer = 0; layer < SIZES.layers; layer++) {
    for (const name of ["q", "k", "v"]) shapes[`model.layers.${layer}.self_attn.${name}_proj`] = [heads * dHead, dModel];
    shapes[`model.layers.${layer}.self_attn.o_proj`] = [dModel, heads * dHead];
    for (const name of ["gate", "up"]) shapes[`model.layers.${layer}.mlp.${name}_proj`] = [dMlp, dModel];
    shapes[`model.layers.${layer}.mlp.down_proj`] = [dModel, dMlp];
  }
  const entries = Object.entries(shapes).map(([name, [rows, columns]]) => [`${name}.weight`, zeros(rows, columns)] as const);
  return new Map(entries);
}

function zeros(rows: number, columns: number): Matrix {
  return { rows, columns, data: new Float64Array(rows * columns) };
}
