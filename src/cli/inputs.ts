/** @file What most commands take: a model, a prompt, edits. The parts that are slow to import are imported when a command runs. */
import { isSextantError, SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { readJson } from "../formats/json-file.js";
import type { Tokenizer } from "../formats/tokenizer.js";
import { checkDevice, DEVICES } from "../runtime/device.js";
import type { ScheduledEdit } from "../runtime/edit.js";
import type { Model } from "../runtime/model.js";
import { checkWeightForm, WEIGHT_FORMS, type WeightForm } from "../runtime/weight-forms.js";
import type { Call, OptionTable, OptionValues } from "./command.js";
import { CONTROL_OPTIONS, controlEdits } from "./control.js";
import { parseTokens } from "./lists.js";
import { modelFolder } from "./model-folder.js";
import { usage } from "./parse.js";
import { parseSize } from "./size.js";

/** The positional argument of the commands that run a model. */
export const MODEL_ARGUMENT = {
  name: "MODEL",
  meaning: "the model's folder, a GGUF file, or ORG/NAME[@REVISION] on the Hugging Face hub",
} as const;

/** The prompt, as text or as token ids. */
export const PROMPT_OPTIONS = {
  text: { type: "text", placeholder: "STRING", meaning: "the prompt, encoded by the model's tokenizer as it encodes any text" },
  tokens: { type: "text", placeholder: "JSON", meaning: "the prompt as token ids: a row [1,2,3], rows [[1,2],[3]], or @FILE with either" },
} as const satisfies OptionTable;

/** How the model is run. */
export const RUN_OPTIONS = {
  device: {
    type: "text",
    placeholder: "DEVICE",
    choices: DEVICES,
    default: "cpu",
    meaning: "where it computes; `sextant devices` says what there is",
  },
  threads: { type: "integer", placeholder: "N", meaning: "threads of the matrix products; by default all cores" },
  memory: {
    type: "text",
    placeholder: "SIZE",
    meaning: "take no more memory than that, such as 2GiB; a model that needs more is read anew in each pass, but for the blocks that fit",
  },
  weights: {
    type: "text",
    placeholder: "FORM",
    choices: WEIGHT_FORMS,
    default: "float32",
    meaning: "how linear maps are stored and multiplied: float32, or as whole numbers of int8 or int4, made once in the cache folder",
  },
  "beyond-context": { type: "flag", meaning: "allow more positions than the model was made for" },
} as const satisfies OptionTable;

/** Edits of the run. */
export const EDIT_OPTIONS = {
  edits: { type: "text", placeholder: "FILE", meaning: "JSON array of edits to make while the model runs" },
  vectors: {
    type: "text",
    placeholder: "FILE",
    meaning: "file with the tensors that the edits name: safetensors, .npz, .npy, .pt or a control vector in GGUF",
  },
  ...CONTROL_OPTIONS,
} as const satisfies OptionTable;

type RunCall = Call<Pick<typeof RUN_OPTIONS, "device" | "threads" | "memory" | "weights">>;

/** A model ready to run. */
export interface Opened {
  readonly model: Model;
  readonly folder: string;
  readonly weights: WeightForm;
  /** The same model with float32 weights, loaded in the same way; who asks for it closes it. */
  readonly inFloats: () => Promise<Model>;
  /** The tokenizer, read when first asked for; undefined where there is none that can be used, which matters only to text. */
  readonly tokenizer: () => Promise<Tokenizer | undefined>;
}

/** Loads the model of the command's first argument, hands it to `use`, and closes it whatever happens. */
export async function withModel<T>(call: RunCall, use: (opened: Opened) => Promise<T>, named = call.arguments[0]!): Promise<T> {
  const [{ loadModel }, folder] = await Promise.all([import("../runtime/load.js"), modelFolder(call, named)]);
  const { threads, device, memory } = call.options;
  const weights = checkWeightForm(call.options.weights);
  const limit = memory === undefined ? {} : { memoryLimit: parseSize("memory", memory) };
  const hearing = { onProgress: call.onProgress, signal: call.signal };
  const opening = { ...(threads && { threads }), ...limit, device: checkDevice(device), ...hearing };
  const inFloats = (): Promise<Model> => loadModel(folder, opening);
  const model = await loadModel(folder, { ...opening, weights });
  let found: Promise<Tokenizer | undefined> | undefined;
  try {
    return await use({ model, folder, weights, inFloats, tokenizer: () => (found ??= tryTokenizer(folder)) });
  } finally {
    await model.close();
  }
}

async function tryTokenizer(folder: string): Promise<Tokenizer | undefined> {
  const { loadTokenizer } = await import("../formats/tokenizer.js");
  try {
    return loadTokenizer(folder);
  } catch (error) {
    if (isSextantError(error)) return undefined;
    throw error;
  }
}

/** The tokenizer, or the error that says why there is none; refused too where it has ids that the model lacks. */
export async function needTokenizer({ tokenizer, folder, model }: Opened): Promise<Tokenizer> {
  const { loadTokenizer, checkVocabulary } = await import("../formats/tokenizer.js");
  const found = (await tokenizer()) ?? loadTokenizer(folder);
  checkVocabulary(found, model.spec.vocab);
  return found;
}

/** A prompt as the command line gives it. */
export type Prompt = { readonly text: string } | { readonly rows: readonly (readonly number[])[] };

/** What `--text` or `--tokens` says, before any model is there. */
export function givenPrompt({ text, tokens }: OptionValues<typeof PROMPT_OPTIONS>): Prompt {
  return tokens === undefined ? { text: text! } : { rows: parseTokens(tokens) };
}

/** As `givenPrompt`, for commands that look at one row. */
export function givenRow(options: OptionValues<typeof PROMPT_OPTIONS>): Prompt {
  const prompt = givenPrompt(options);
  if ("rows" in prompt && prompt.rows.length !== 1) throw usage(`--tokens must be one row, got ${prompt.rows.length}`);
  return prompt;
}

/** The rows of a prompt, each of at least one token. */
export async function rowsOf(prompt: Prompt, opened: Opened): Promise<readonly (readonly number[])[]> {
  if ("rows" in prompt) return prompt.rows;
  const { ids } = (await needTokenizer(opened)).encode(prompt.text);
  if (ids.length === 0) throw usage("--text has no tokens");
  return [ids];
}

/** The edits of `--edits`, their names looked up in `--vectors`, and those of `--control`. */
export async function readEdits(call: Call<typeof EDIT_OPTIONS>): Promise<ScheduledEdit[]> {
  return [...(await editsOfFile(call)), ...(await controlEdits(call.options))];
}

async function editsOfFile({ options }: Call<typeof EDIT_OPTIONS>): Promise<ScheduledEdit[]> {
  if (options.edits === undefined) {
    if (options.vectors !== undefined) throw usage("--vectors without --edits");
    return [];
  }
  const { parseEdits } = await import("../runtime/parse-edits.js");
  return parseEdits(readJson(options.edits), await readVectors(options.vectors));
}

/** The tensors of a file of vectors, whichever format it is in; none without a file. */
export async function readVectors(path: string | undefined): Promise<ReadonlyMap<string, Tensor>> {
  if (path === undefined) return new Map();
  const { readTensorFile } = await import("../formats/tensor-file.js");
  return readTensorFile(path).tensors;
}

/** Text of one token for people: the tokenizer's, or the id. */
export function tokenText(tokenizer: Tokenizer | undefined, id: number): string {
  return tokenizer ? tokenizer.token(id) : String(id);
}

/** The id of a token given as its text, or as `#ID`. */
export async function readToken(text: string, opened: Opened): Promise<number> {
  const id = /^#(\d+)$/.exec(text)?.[1];
  if (id !== undefined) return Number(id);
  return (await needTokenizer(opened)).singleToken(text);
}

/** Edits without the fields that only generation knows; one that has them is refused. */
export function unscheduled(edits: readonly ScheduledEdit[]): readonly ScheduledEdit[] {
  const at = edits.findIndex(({ on, steps }) => steps !== undefined || (on !== undefined && on !== "both"));
  if (at < 0) return edits;
  throw new SextantError("request", `edits[${at}]: \`on\` and \`steps\` are for generate, this command runs the prompt once`);
}
