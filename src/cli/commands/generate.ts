/** @file `sextant generate`: continues a prompt, with edits and steering if asked; text appears as it is made. */
import type { Tokenizer } from "../../formats/tokenizer.js";
import type { ScheduledEdit } from "../../runtime/edit.js";
import type { GenerateRequest, Sampling } from "../../runtime/model.js";
import { defineCommand, type OptionValues } from "../command.js";
import {
  EDIT_OPTIONS,
  givenPrompt,
  MODEL_ARGUMENT,
  needTokenizer,
  PROMPT_OPTIONS,
  readEdits,
  rowsOf,
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
      "add a vector to the residual stream after a layer; FILE as for --vectors (FILE#NAME where it has several tensors); x and * do for ×",
  },
  ...EDIT_OPTIONS,
  recompute: { type: "flag", meaning: "run everything again at each step instead of using the key/value cache" },
  ...RUN_OPTIONS,
} as const;

export const generateCommand = defineCommand({
  name: "generate",
  summary: "Continues a prompt.",
  arguments: [MODEL_ARGUMENT],
  options: OPTIONS,
  oneOf: [["text", "tokens", "chat"], ["max-new"]],
  examples: [
    'generate models/induction --text "Mira Stone saw a fox near the river . Mira" --max-new 12',
    'generate MODEL --chat "Who are you?" --max-new 60 --temperature 0.7 --steer joy.safetensors@4×2',
  ],
  async run(call) {
    if (call.options.stop.includes("")) throw usage("--stop must not be empty");
    const prompt = call.options.chat === undefined ? givenPrompt(call.options) : { chat: call.options.chat };
    const edits = [...(await readEdits(call)), ...(await Promise.all(call.options.steer.map(steeringEdit)))];
    return withModel(call, async (opened) => {
      const tokens = "chat" in prompt ? [await chatRow(prompt.chat, opened)] : await rowsOf(prompt, opened);
      const request = requestOf(call.options, tokens, edits);
      const tokenizer = request.stopStrings ? await needTokenizer(opened) : await opened.tokenizer();
      const continuations = tokens.map((row) => continuationOf(row, tokenizer, { skipSpecialTokens: !call.options["ignore-eos"] }));
      const streams = tokens.length === 1;
      const result = await opened.model.generate(request, {
        signal: call.signal,
        ...(tokenizer && { decode: (ids) => tokenizer.decode(ids) }),
        ...(streams ? { onToken: ({ token }) => call.say(continuations[0]!.push(token)) } : { onProgress: call.onProgress }),
      });
      if (streams) call.say(`${continuations[0]!.end()}\n`);
      const texts = continuations.map((one, row) => (streams ? one.text() : one.whole(result.tokens[row]!)));
      const { tokens: made, finish, cost } = result;
      const json = { tokens: made, ...(tokenizer && { text: texts }), finish, prompt: tokens, ms: cost.ms };
      return { json, text: streams ? "" : texts.map((text, row) => `row ${row}: ${text}`).join("\n") };
    });
  },
});

async function chatRow(message: string, opened: Opened): Promise<readonly number[]> {
  const { encodeChat } = await import("../../formats/chat.js");
  return encodeChat(await needTokenizer(opened), [{ role: "user", content: message }]).ids;
}

type Options = OptionValues<typeof OPTIONS>;

function requestOf(options: Options, tokens: readonly (readonly number[])[], edits: readonly ScheduledEdit[]): GenerateRequest {
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
function samplingOf(options: Options): Sampling {
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

/** The text that follows a prompt, as its tokens become known: what each adds, what was held back, and all of it. */
interface Continuation {
  push(token: number): string;
  end(): string;
  text(): string;
  whole(tokens: readonly number[]): string;
}

/** Text that can be put behind the prompt's; ids with spaces between where there is no tokenizer. */
function continuationOf(
  prompt: readonly number[],
  tokenizer: Tokenizer | undefined,
  options: { skipSpecialTokens: boolean },
): Continuation {
  const stream = tokenizer?.streamDecoder({ ...options, after: prompt });
  let text = "";
  const add = (piece: string): string => {
    text += piece;
    return piece;
  };
  const one: Continuation = {
    push: (token) => add(stream ? stream.push(token) : `${text ? " " : ""}${token}`),
    end: () => add(stream?.end() ?? ""),
    text: () => text,
    whole(tokens) {
      for (const token of tokens) one.push(token);
      one.end();
      return text;
    },
  };
  return one;
}
