/** @file `sextant generate`: continues a prompt, with edits and steering if asked; text appears as it is made. */
import type { Tokenizer } from "../../formats/tokenizer.js";
import type { ScheduledEdit } from "../../runtime/edit.js";
import type { GeneratedToken, GenerateRequest, GenerateResult, Sampling } from "../../runtime/model.js";
import { defineCommand, type Call } from "../command.js";
import {
  EDIT_OPTIONS,
  MODEL_ARGUMENT,
  needTokenizer,
  PROMPT_OPTIONS,
  readEdits,
  readPrompt,
  RUN_OPTIONS,
  withModel,
  type Opened,
} from "../inputs.js";
import { usage } from "../parse.js";
import { steeringEdit } from "../steer.js";

const OPTIONS = {
  ...PROMPT_OPTIONS,
  chat: { type: "text", placeholder: "STRING", meaning: "a user's message, put into the model's chat template" },
  "max-new": { type: "integer", placeholder: "N", meaning: "how many tokens to make at most" },
  "ignore-eos": { type: "flag", meaning: "go on after the model's end tokens" },
  stop: { type: "text", placeholder: "STRING", repeats: true, meaning: "text that ends the continuation" },
  temperature: {
    type: "number",
    placeholder: "T",
    meaning: "sample at this temperature; without this, --top-k, --top-p or --min-p the best token is taken",
  },
  "top-k": { type: "integer", placeholder: "K", meaning: "sample among the K best tokens" },
  "top-p": { type: "number", placeholder: "P", meaning: "sample among the best tokens that together have probability P" },
  "min-p": { type: "number", placeholder: "P", meaning: "sample among tokens at least P times as probable as the best" },
  "repetition-penalty": { type: "number", placeholder: "R", meaning: "make tokens that have occurred less probable" },
  seed: { type: "integer", placeholder: "N", meaning: "seed of the sampling; 0 when it is not given" },
  steer: {
    type: "text",
    placeholder: "FILE@LAYER×STRENGTH",
    repeats: true,
    meaning:
      "add a vector to the residual stream after a layer; FILE is .npy, or .safetensors (FILE#NAME where it has several tensors); x and * do for ×",
  },
  ...EDIT_OPTIONS,
  recompute: { type: "flag", meaning: "run everything again at each step instead of using the key/value cache" },
  ...RUN_OPTIONS,
} as const;

type GenerateCall = Call<typeof OPTIONS>;

export const generate = defineCommand({
  name: "generate",
  summary: "Continues a prompt.",
  arguments: [MODEL_ARGUMENT],
  options: OPTIONS,
  oneOf: [["text", "tokens", "chat"], ["max-new"]],
  examples: [
    'generate models/induction --text "Mira Stone saw a fox near the river . Mira" --max-new 12',
    'generate MODEL --chat "Who are you?" --max-new 60 --temperature 0.7 --steer joy.safetensors@4×2',
  ],
  run: (call) =>
    withModel(call, async (opened) => {
      const tokens = await promptOf(call, opened);
      const tokenizer = await opened.tokenizer();
      const edits = [...(await readEdits(call)), ...(await Promise.all(call.options.steer.map(steeringEdit)))];
      const request = requestOf(call, tokens, edits);
      if (request.stopStrings && !tokenizer) await needTokenizer(opened);
      const printer = tokens.length === 1 ? streamPrinter(tokens[0]!, tokenizer, call.say) : undefined;
      const decode = tokenizer && ((ids: readonly number[]): string => tokenizer.decode(ids));
      const progress = printer ? {} : { onProgress: call.onProgress };
      const options = { signal: call.signal, ...progress, ...(decode && { decode }), ...(printer && { onToken: printer.push }) };
      const result = await opened.model.generate(request, options);
      printer?.end();
      return { json: jsonOf(result, tokens, tokenizer), text: printer ? "" : rowsText(result, tokens, tokenizer) };
    }),
});

async function promptOf(call: GenerateCall, opened: Opened): Promise<readonly (readonly number[])[]> {
  if (call.options.chat === undefined) return readPrompt(call, opened);
  const { encodeChat } = await import("../../formats/chat.js");
  return [encodeChat(await needTokenizer(opened), [{ role: "user", content: call.options.chat }]).ids];
}

function requestOf({ options }: GenerateCall, tokens: readonly (readonly number[])[], edits: readonly ScheduledEdit[]): GenerateRequest {
  if (options.stop.includes("")) throw usage("--stop must not be empty");
  return {
    tokens,
    edits,
    maxNew: options["max-new"]!,
    sampling: samplingOf(options),
    ...(options["ignore-eos"] && { stopTokens: [] }),
    ...(options.stop.length > 0 && { stopStrings: options.stop }),
    recompute: options.recompute,
    beyondContext: options["beyond-context"],
  };
}

/** Greedy unless temperature or a cut of the distribution was given; a seed or penalty alone does not make it sample. */
function samplingOf(options: GenerateCall["options"]): Sampling {
  const fields = {
    temperature: options.temperature,
    topK: options["top-k"],
    topP: options["top-p"],
    minP: options["min-p"],
    repetitionPenalty: options["repetition-penalty"],
    seed: options.seed,
  };
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Sampling;
  const samples = [fields.temperature, fields.topK, fields.topP, fields.minP].some((value) => value !== undefined);
  return samples ? given : { ...given, temperature: 0 };
}

/** Prints the continuation of one row as it is made: text where there is a tokenizer, else ids. */
function streamPrinter(
  prompt: readonly number[],
  tokenizer: Tokenizer | undefined,
  say: (text: string) => void,
): { push: (made: GeneratedToken) => void; end: () => void } {
  const stream = tokenizer?.streamDecoder({ skipSpecialTokens: true, after: prompt });
  return {
    push: ({ token, step }) => say(stream ? stream.push(token) : `${step > 0 ? " " : ""}${token}`),
    end: () => say(`${stream?.end() ?? ""}\n`),
  };
}

/** The new tokens of one row as text that can be put behind the prompt's. */
function textOf(ids: readonly number[], prompt: readonly number[], tokenizer: Tokenizer): string {
  const stream = tokenizer.streamDecoder({ skipSpecialTokens: true, after: prompt });
  return ids.map((id) => stream.push(id)).join("") + stream.end();
}

function jsonOf(
  { tokens, finish, cost }: GenerateResult,
  prompts: readonly (readonly number[])[],
  tokenizer: Tokenizer | undefined,
): object {
  const text = tokenizer && { text: tokens.map((ids, row) => textOf(ids, prompts[row]!, tokenizer)) };
  return { tokens, ...text, finish, prompt: prompts, ms: cost.ms };
}

function rowsText({ tokens }: GenerateResult, prompts: readonly (readonly number[])[], tokenizer: Tokenizer | undefined): string {
  return tokens.map((ids, row) => `row ${row}: ${tokenizer ? textOf(ids, prompts[row]!, tokenizer) : ids.join(" ")}`).join("\n");
}
