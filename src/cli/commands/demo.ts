/**
 * @file `sextant demo`: the tour. Reads a model's answer, looks where it comes from, switches heads off one at a time, and shows
 * what the most important one was doing. Every sentence is made from what was measured.
 */
import { basename, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ablateHeads, scoreHeads } from "../../analyses/heads.js";
import { logitLens } from "../../analyses/lens.js";
import { topTokens } from "../../analyses/probabilities.js";
import { must } from "../../base/errors.js";
import type { ModelSpec } from "../../models/spec.js";
import { defineCommand, type Call } from "../command.js";
import {
  ablationStep,
  answerStep,
  attentionStep,
  lensStep,
  mostImportant,
  nextStep,
  openingStep,
  switchStep,
  type Tour,
} from "../demo-steps.js";
import {
  givenRow,
  MODEL_ARGUMENT,
  PROMPT_OPTIONS,
  rowsOf,
  RUN_OPTIONS,
  tokenText,
  withModel,
  type Opened,
  type Prompt,
} from "../inputs.js";

const OWN_MODEL = fileURLToPath(new URL("../../../models/induction", import.meta.url));
const OWN_PROMPT = "the cat sat near Mira Hill while the dog saw Mira";
const PROMPT = "The cat sat on the mat. The cat sat on the";
const SHOWN = 5;
const LENS_POSITIONS = 4;

type DemoCall = Call<typeof PROMPT_OPTIONS & typeof RUN_OPTIONS>;

export const demoCommand = defineCommand({
  name: "demo",
  summary: "A tour: what a model answers, which heads are behind it, and what happens without them.",
  arguments: [{ ...MODEL_ARGUMENT, optional: true, meaning: "the model's folder; by default the small one that comes with Sextant" }],
  options: { ...PROMPT_OPTIONS, ...RUN_OPTIONS },
  atMostOneOf: [["text", "tokens"]],
  examples: ["demo", 'demo MODEL --text "When Mary and John went to the store, John gave a drink to"', "demo MODEL --tokens '[5,9,2,5,9]'"],
  async run(call) {
    const { text, tokens } = call.options;
    const given = text === undefined && tokens === undefined ? undefined : givenRow(call.options);
    return withModel(call, (opened) => tour(call, given, opened), call.arguments[0] ?? OWN_MODEL);
  },
});

async function tour(call: DemoCall, given: Prompt | undefined, opened: Opened): Promise<{ json: unknown }> {
  const { model } = opened;
  const { tokens, prompt } = await choosePrompt(call, given, opened);
  const tokenizer = await opened.tokenizer();
  const name = (id: number): string => tokenText(tokenizer, id);
  const shared = { tokens, beyondContext: call.options["beyond-context"] };
  const look: Tour = {
    program: programName(),
    tokens,
    prompt,
    name,
    model: shortPath(opened.folder),
    spec: model.spec,
    colour: call.colour,
    columns: call.columns,
  };
  const topOf = async (edits: NonNullable<Parameters<typeof model.forward>[0]["edits"]>): Promise<ReturnType<typeof topTokens>> => {
    const { logits } = await model.forward({ ...shared, tokens: [tokens], edits }, { signal: call.signal });
    return topTokens(must(logits, "logits").data, SHOWN);
  };
  call.say(openingStep(look));
  const before = await topOf([]);
  const target = before[0]!.token;
  call.say(answerStep(before, look));
  const [lens] = await logitLens(model, { ...shared, tokens: [tokens], target, positions: lastOf(tokens) }, { signal: call.signal });
  call.say(lensStep(must(lens, "row"), look));
  const heads = await scoreHeads(model, shared, { signal: call.signal });
  call.say(attentionStep(heads, look));
  const { effects } = await ablateHeads(model, { ...shared, target }, call);
  call.say(ablationStep(before[0]!, effects, look));
  const off = mostImportant(effects);
  const after = await topOf([{ at: `z.${off.layer}`, op: "set", value: 0, heads: [off.head] }]);
  call.say(switchStep({ before, after, off }, look));
  call.say(nextStep(off, look));
  const scores = heads.map(({ layer, head, scores: own }) => ({ layer, head, ...own }));
  return {
    json: {
      model: look.model,
      tokens,
      text: tokens.map(name),
      answer: before[0],
      before,
      lens: lens?.layers,
      heads: scores,
      effects,
      off,
      after,
    },
  };
}

/** The last few positions. */
function lastOf(tokens: readonly number[]): number[] {
  const count = Math.min(LENS_POSITIONS, tokens.length);
  return Array.from({ length: count }, (_, i) => i - count);
}

/** `sextant` where it is installed under that name, else the call of the file that runs. */
function programName(): string {
  const file = process.argv[1] ?? "sextant";
  return basename(file) === "sextant" ? "sextant" : `node ${shortPath(file)}`;
}

/** The path from the current folder, where that is shorter. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short && short.length < path.length ? short : path;
}

interface Start {
  readonly tokens: readonly number[];
  /** The option that gives the prompt, and its value. */
  readonly prompt: readonly [string, string];
}

/** The prompt given, or one that repeats itself: text where there is a tokenizer, else arbitrary ids. */
async function choosePrompt(call: DemoCall, given: Prompt | undefined, opened: Opened): Promise<Start> {
  const own = call.arguments[0] === undefined ? OWN_PROMPT : PROMPT;
  const prompt = given ?? ((await opened.tokenizer()) ? { text: own } : { rows: [repeatingIds(opened.model.spec)] });
  const [tokens = []] = await rowsOf(prompt, opened);
  return { tokens, prompt: "text" in prompt ? ["--text", prompt.text] : ["--tokens", JSON.stringify(tokens)] };
}

/** Some ids twice over, the last one missing, so that the model can say it. */
function repeatingIds({ vocab, context }: ModelSpec): number[] {
  const period = Math.max(2, Math.min(12, vocab, Math.floor((context?.length ?? Infinity) / 2)));
  const ids = Array.from({ length: period }, (_, i) => (7 + 31 * i) % vocab);
  return [...ids, ...ids.slice(0, period - 1)];
}
