/**
 * @file What a family file reads from: the configuration, and which tensors the checkpoint has. Makes the references to weights
 * that a spec is built of, and checks each against the checkpoint, so that a spec never grows beyond what the files hold.
 */
import { checkWeight } from "./check-weights.js";
import type { Config } from "./config.js";
import { ACTIVATION_NAMES, isActivation } from "./parts/activations.js";
import type { EmbeddingSpec, HeadSpec, LayerSpec, LinearSpec, ModelSpec, NormSpec, RotarySpec, WeightRef } from "./spec.js";

/** How a linear map is stored, and whether it has a bias. */
export interface LinearOptions {
  readonly bias?: boolean;
  readonly layout?: LinearSpec["layout"];
}

export class Source {
  readonly config: Config;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  constructor(config: Config, shapes: ReadonlyMap<string, readonly number[]>) {
    this.config = config;
    this.#shapes = shapes;
  }

  has(name: string): boolean {
    return this.#shapes.has(name);
  }

  /** The first of the names that the checkpoint has, else the first of all. */
  either(...names: readonly [string, ...string[]]): string {
    return names.find((name) => this.has(name)) ?? names[0];
  }

  /** The prefix under which the checkpoint has the first block's tensors, named `block.0.…`; else the first. */
  prefix(block: string, ...prefixes: readonly [string, ...string[]]): string {
    const names = [...this.#shapes.keys()];
    return prefixes.find((prefix) => names.some((name) => name.startsWith(`${prefix}${block}.0.`))) ?? prefixes[0];
  }

  /** A whole tensor. */
  weight(name: string, ...shape: readonly number[]): WeightRef {
    return this.part({ name, shape });
  }

  /** A tensor, or part of one; throws unless the checkpoint has it with that shape. */
  part(ref: WeightRef): WeightRef {
    checkWeight(ref, this.#shapes, this.config.where);
    return ref;
  }

  /** `name.weight`, `name.bias`: a linear map. */
  linear(name: string, input: number, out: number, options: LinearOptions = {}): LinearSpec {
    const { bias = false, layout = "out_in" } = options;
    const weight = this.weight(`${name}.weight`, ...(layout === "in_out" ? [input, out] : [out, input]));
    return { weight, layout, in: input, out, ...(bias && { bias: this.weight(`${name}.bias`, out) }) };
  }

  /** Rows `start … start+out` of a linear map whose output holds several. */
  linearRows(name: string, input: number, rows: { start: number; out: number; of: number }): LinearSpec {
    const { start, out, of } = rows;
    const weight = this.part({ name: `${name}.weight`, shape: [out, input], stored: [of, input], offset: start * input });
    return { weight, layout: "out_in", in: input, out };
  }

  /** `name.weight`, `name.bias`: LayerNorm. */
  layerNorm(name: string, size: number, eps: number, options: { affine?: boolean } = {}): NormSpec {
    if (options.affine === false) return { kind: "layer", eps };
    return { kind: "layer", eps, weight: this.weight(`${name}.weight`, size), bias: this.weight(`${name}.bias`, size) };
  }

  /** `name.weight`: RMSNorm. */
  rmsNorm(name: string, size: number, eps: number, options: { plusOne?: boolean } = {}): NormSpec {
    return { kind: "rms", eps, weight: this.weight(`${name}.weight`, size), ...(options.plusOne && { plusOne: true }) };
  }

  /** The unembedding: its own matrix where the checkpoint has one, else the embedding's where the configuration ties them. */
  unembed(names: readonly [string, ...string[]], embedding: WeightRef, options: { tied: boolean; bias?: boolean }): LinearSpec {
    const [vocab = 0, width = 0] = embedding.shape;
    const found = names.find((name) => this.has(`${name}.weight`));
    const tied = this.config.flag("tie_word_embeddings", options.tied);
    const weight = found === undefined && tied ? embedding : this.weight(`${found ?? names[0]}.weight`, vocab, width);
    const bias = options.bias ? { bias: this.weight(`${names[0]}.bias`, vocab) } : {};
    return { weight, layout: "out_in", in: width, out: vocab, ...bias };
  }

  /** The token embedding: its own matrix, or the unembedding's where only that is stored and the two are tied. */
  embedding(name: string, size: { vocab: number; width: number }, tied: { head: string; default: boolean }): WeightRef {
    const isTied = this.config.flag("tie_word_embeddings", tied.default);
    const stored = !this.has(name) && isTied && this.has(tied.head) ? tied.head : name;
    return this.weight(stored, size.vocab, size.width);
  }

  /** The activation that the configuration names. */
  activation(key: string, fallback: string): string {
    const name = this.config.text(key, fallback);
    if (!isActivation(name)) throw this.config.refused(key, name, `known are ${ACTIVATION_NAMES.join(", ")}`);
    return name;
  }

  /** Heads that share the model's width evenly and have a key and value each. */
  evenHeads(dModel: number, keys: readonly [string, ...string[]], fallback: number): { heads: number; dHead: number } {
    const heads = this.config.count(keys, fallback);
    if (dModel % heads !== 0) throw this.config.wrong(keys.find((key) => this.config.has(key)) ?? keys[0], `a divisor of ${dModel}`, heads);
    return { heads, dHead: dModel / heads };
  }

  /** Query heads and the key/value heads they share; null stands for as many. */
  heads(fallback: { heads: number; kvHeads?: number | undefined }): { heads: number; kvHeads: number } {
    const { config } = this;
    const heads = config.count("num_attention_heads", fallback.heads);
    const unstated = config.states("num_key_value_heads") ? heads : (fallback.kvHeads ?? heads);
    const kvHeads = config.optionalCount("num_key_value_heads") ?? unstated;
    const stated = config.states("num_key_value_heads") ? kvHeads : undefined;
    if (heads % kvHeads !== 0) throw config.wrong("num_key_value_heads", `a divisor of ${heads} query heads`, stated);
    return { heads, kvHeads };
  }

  /** The size of a head: stated, or the model's width shared evenly. */
  headSize(dModel: number, heads: number, fallback?: number): number {
    const size = this.config.optionalCount("head_dim") ?? (this.config.states("head_dim") ? undefined : fallback) ?? dModel / heads;
    if (!Number.isInteger(size)) throw this.config.wrong("num_attention_heads", `a divisor of ${dModel}`, heads);
    return size;
  }

  /** Which layers see only a window, from `layer_types` or the family's rule. */
  layerKinds(layers: number, rule: (layer: number) => boolean): readonly ("full" | "sliding")[] {
    const stated = this.config.list("layer_types");
    if (!stated) return Array.from({ length: layers }, (_, layer) => (rule(layer) ? "sliding" : "full"));
    if (stated.length !== layers) throw this.config.wrong("layer_types", `a list of ${layers}`, stated);
    return stated.map((kind) => {
      if (kind === "full_attention" || kind === "attention") return "full";
      if (kind === "sliding_attention") return "sliding";
      throw this.config.refused("layer_types", kind, "only full and sliding attention are known");
    });
  }

  /** How many keys the sliding layers see, if there are any. */
  window(kinds: readonly ("full" | "sliding")[], fallback?: number): number | undefined {
    this.config.ignore("sliding_window");
    return kinds.includes("sliding") ? this.config.count("sliding_window", fallback) : undefined;
  }

  /** The spec of a model from its parts, with the ids and context that every configuration states alike. */
  assemble(parts: {
    family: string;
    dModel: number;
    context?: ModelSpec["context"];
    embedding: EmbeddingSpec;
    rotaries?: readonly RotarySpec[];
    layers: readonly LayerSpec[];
    head: HeadSpec;
  }): ModelSpec {
    const { embedding, head } = parts;
    return {
      family: parts.family,
      dModel: parts.dModel,
      vocab: embedding.tokens.shape[0] ?? 0,
      vocabOut: head.unembed.out,
      context: parts.context,
      embedding,
      rotaries: parts.rotaries ?? [],
      layers: parts.layers,
      head,
      special: specialTokens(this.config),
      notUnderstood: [],
    };
  }
}

function specialTokens(config: Config): ModelSpec["special"] {
  const id = (key: string): number | undefined => {
    const value = config.optionalNumber(key);
    return value !== undefined && Number.isInteger(value) && value >= 0 ? value : undefined;
  };
  const bos = id("bos_token_id");
  const pad = id("pad_token_id");
  return { ...(bos !== undefined && { bos }), ...(pad !== undefined && { pad }), eos: endTokens(config) };
}

function endTokens(config: Config): number[] {
  if (!config.has("eos_token_id")) return [];
  try {
    return [...(config.numbers("eos_token_id") ?? [])];
  } catch {
    const single = config.number("eos_token_id");
    return single >= 0 ? [single] : [];
  }
}
