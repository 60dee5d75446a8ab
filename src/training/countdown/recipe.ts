/** @file How the CountDown model is trained: everything that the result depends on, as plain data. */
import { CONTEXT, VOCABULARY, TOKENS, tokenizerFiles } from "../../tasks/countdown/vocabulary.js";
import type { TraceOptions } from "../../tasks/countdown/trace.js";
import type { JsonObject } from "../../formats/json.js";
import type { ModelFiles } from "../checkpoint.js";

export interface CountdownRecipe {
  readonly seed: number;
  /** The tasks and their searches. */
  readonly task: TraceOptions;
  readonly model: { readonly layers: number; readonly dModel: number; readonly heads: number; readonly dMlp: number };
  /** First part: searches are imitated. */
  readonly imitation: {
    readonly steps: number;
    readonly rows: number;
    /** Share of the rows that are practice in calculating and judging instead of a search. */
    readonly drills: number;
    /** Share of the others that have a worked example of another task in front. */
    readonly examples: number;
    readonly peak: number;
    readonly warmUp: number;
  };
  /** Second part: own searches are rewarded. */
  readonly reward: {
    readonly steps: number;
    readonly prompts: number;
    readonly group: number;
    readonly rate: number;
    readonly clip: number;
    readonly kl: number;
  };
  /** Held-out tasks that evaluations are made on, and steps between those. */
  readonly evaluation: { readonly tasks: number; readonly every: number };
}

/** The recipe of the model that comes with Sextant. */
export const COUNTDOWN: CountdownRecipe = {
  seed: 7,
  task: {
    counts: [3, 3, 3, 4],
    operators: ["+", "-", "*", "/"],
    largestNumber: 12,
    largestTarget: 99,
    sums: 3,
    mostWrong: 12,
    hit: 0.2,
    orderly: 0.6,
    givesUp: true,
  },
  model: { layers: 4, dModel: 160, heads: 5, dMlp: 432 },
  imitation: { steps: 5000, rows: 32, drills: 0.35, examples: 0.15, peak: 2e-3, warmUp: 100 },
  reward: { steps: 30, prompts: 12, group: 8, rate: 1e-5, clip: 0.2, kl: 0.02 },
  evaluation: { tasks: 128, every: 1000 },
};

/** The most tokens that a search may take. */
export const MOST_NEW = 280;

/** The configuration: Llama's blocks with tied embeddings. */
export function configOf({ model: { layers, dModel, heads, dMlp } }: CountdownRecipe): JsonObject {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: VOCABULARY.length,
    hidden_size: dModel,
    intermediate_size: dMlp,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    max_position_embeddings: CONTEXT,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    bos_token_id: TOKENS.bos,
    eos_token_id: TOKENS.eos,
    pad_token_id: TOKENS.pad,
    torch_dtype: "float32",
  };
}

/** What the model's folder has besides its weights. */
export function filesOf(recipe: CountdownRecipe): ModelFiles {
  const files = Object.entries(tokenizerFiles()).map(([name, content]) => [name, `${JSON.stringify(content, null, 1)}\n`] as const);
  return { config: configOf(recipe), files: Object.fromEntries(files) };
}
