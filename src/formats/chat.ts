/**
 * @file Chat templates: the Jinja program of a model folder that turns messages into the text the model was trained on. The
 * template writes the beginning-of-text token itself, so its text is encoded without adding special tokens.
 */
import { Template } from "@huggingface/jinja";
import { refuse, SextantError } from "../base/errors.js";
import type { Encoding, Tokenizer } from "./make-tokenizer.js";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** How a conversation is written. */
export interface ChatOptions {
  /** Ends with the words that open the assistant's turn; on by default. */
  readonly addGenerationPrompt?: boolean;
  /** Tool descriptions, as the template expects them. */
  readonly tools?: readonly unknown[];
  /** The template's name, where the folder has several. */
  readonly template?: string;
  /** Further variables of the template: `enable_thinking`, `date_string`, … */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The messages as the text that the model expects. */
export function renderChat(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: ChatOptions = {}): string {
  const { addGenerationPrompt = true, tools, template, variables = {} } = options;
  const source = chooseTemplate(tokenizer, template, tools);
  const given = { messages, add_generation_prompt: addGenerationPrompt, tools: tools ?? null };
  try {
    return new Template(source).render({ ...tokenizer.specialTokens, ...given, ...variables });
  } catch (error) {
    const message = `the chat template of ${tokenizer.folder} does not take these messages: ${(error as Error).message}`;
    throw new SextantError("request", message, { cause: error });
  }
}

/** The messages as ids. */
export function encodeChat(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: ChatOptions = {}): Encoding & { text: string } {
  const text = renderChat(tokenizer, messages, options);
  return { text, ...tokenizer.encode(text, { addSpecialTokens: false }) };
}

function chooseTemplate({ chatTemplates, folder }: Tokenizer, wanted: string | undefined, tools: unknown): string {
  const name = wanted ?? (tools && chatTemplates.has("tool_use") ? "tool_use" : "default");
  const source = chatTemplates.get(name);
  if (source !== undefined) return source;
  const what = `cannot write a chat for ${folder}`;
  if (chatTemplates.size > 0) {
    throw refuse({ what, why: `it has no chat template "${name}"`, instead: `one of ${[...chatTemplates.keys()].join(", ")}` }, "request");
  }
  throw refuse(
    { what, why: "its tokenizer has no chat template, so it is not a chat model", instead: "give the prompt as plain text" },
    "request",
  );
}
