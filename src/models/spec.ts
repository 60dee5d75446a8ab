/**
 * @file A model in one normal form: what a `config.json` of any family says, as properties that the shared parts read. Family
 * files make it; nothing after them asks for the family's name. Plain data throughout.
 */

/** A stored tensor, or the run of its elements from `offset` on, seen with `shape`. */
export interface WeightRef {
  readonly name: string;
  readonly shape: readonly number[];
  /** The whole tensor's shape in the checkpoint, where it is not `shape`. */
  readonly stored?: readonly number[];
  /** In elements; default 0. */
  readonly offset?: number;
  /** Bytes that a graph decodes itself, or multiplies as they are; default floats. */
  readonly holds?: "floats" | "bytes" | "packed";
}

/**
 * Four-bit floats (OCP MXFP4): two values a byte, and one power of two for each 32 along the input axis. `blocks`
 * `[out, in/32, 16]`, `scales` `[out, in/32]`.
 */
export interface Mxfp4Ref {
  readonly blocks: WeightRef;
  readonly scales: WeightRef;
}

/**
 * A low-rank term beside a linear map (LoRA, Hu et al. 2021): `scale · (x Aᵀ) Bᵀ`, A `[rank, in]`, B `[out, rank]`, however W is stored.
 */
export interface AdapterRef {
  readonly a: WeightRef;
  readonly b: WeightRef;
  readonly scale: number;
}

/**
 * A matrix once more, in whole numbers of 4 or 8 bits: `w = scale · (q − 2^(bits−1))`, one scale for each `block` of them along the input axis. `packed`
 * `[out, blocks, bytes]`, at 4 bits the earlier number in the lower half of a byte; `scales` `[out, blocks]`.
 */
export interface QuantisedRef {
  readonly bits: 4 | 8;
  readonly block: 16 | 32;
  readonly packed: WeightRef;
  readonly scales: WeightRef;
}

/**
 * `y = x W (+ b) (+ adapter)`. `layout` says how W is stored: `out_in` (torch Linear), `in_out` (GPT-2's Conv1D), or `heads_in_out`
 * (`[head, in, d_head]`, TransformerLens).
 */
export interface LinearSpec {
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
  readonly layout: "out_in" | "in_out" | "heads_in_out";
  readonly in: number;
  readonly out: number;
  readonly adapter?: AdapterRef;
  /** What is multiplied in place of `weight`. */
  readonly quantised?: QuantisedRef;
}

/** `y = x Wᵀ (+ b)` with W `[out, in]` in four-bit floats. */
export interface PackedLinearSpec {
  readonly layout: "mxfp4";
  readonly weight: Mxfp4Ref;
  readonly bias?: WeightRef;
  readonly in: number;
  readonly out: number;
}

/** LayerNorm or RMSNorm over the last axis; `plusOne` for Gemma's `1 + weight`. */
export interface NormSpec {
  readonly kind: "layer" | "rms";
  readonly eps: number;
  readonly weight?: WeightRef;
  readonly bias?: WeightRef;
  readonly plusOne?: boolean;
}

/** How a rotary table is made; formulas and sources in `rotary.ts`. */
export type RopeSpec = { readonly theta: number } & (
  | { readonly type: "default" }
  | { readonly type: "linear"; readonly factor: number }
  | { readonly type: "proportional"; readonly factor: number; readonly turned: number }
  | { readonly type: "dynamic"; readonly factor: number; readonly original: number }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly original: number;
    }
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly attentionFactor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
    }
  | {
      readonly type: "longrope";
      readonly original: number;
      readonly attentionFactor: number;
      readonly shortFactor: readonly number[];
      readonly longFactor: readonly number[];
    }
);

/** Rotary position embedding of the first `dims` coordinates of a head; `pairs` says which coordinates turn together. */
export interface RotarySpec {
  readonly rope: RopeSpec;
  readonly dims: number;
  /** The n of `θ^(2j/n)`: `dims`, or one less where a family's partial size is odd. */
  readonly period: number;
  readonly pairs: "halves" | "neighbours";
}

/** The query, key and value projections: three matrices, or one whose output holds all three. */
export type QkvSpec =
  | { readonly kind: "separate"; readonly q: LinearSpec; readonly k: LinearSpec; readonly v: LinearSpec }
  | {
      readonly kind: "packed";
      readonly linear: LinearSpec;
      /** `blocks`: all of q, then k, then v. `per_head`: each head's q, k, v together. */
      readonly order: "blocks" | "per_head";
    };

export interface AttentionSpec {
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly qkv: QkvSpec;
  readonly out: LinearSpec;
  /** Multiplies q · k. */
  readonly scale: number;
  /** Multiplies the query itself, before it enters the scores (OPT). */
  readonly queryMultiplier?: number;
  /** `cap · tanh(score / cap)`. */
  readonly softcap?: number;
  /** Keys further back than this are masked: `query - key < window`. */
  readonly window?: number;
  /** Index into `ModelSpec.rotaries`; absent where the layer has no rotary. */
  readonly rotary?: number;
  /** Norms of q and k; `over` says whether of each head or of the whole projection. */
  readonly qkNorm?: { readonly over: "head" | "projection"; readonly q: NormSpec; readonly k: NormSpec };
  /** One slope a head; the score gains `slope · key position`. */
  readonly alibi?: readonly number[];
  /** One learned logit a head that takes part in the softmax and is dropped afterwards. */
  readonly sinks?: WeightRef;
}

/** An activation by its name in `transformers` (`ACT2FN`). */
export type ActivationName = string;

export interface PlainMlpSpec {
  readonly kind: "plain";
  readonly in: LinearSpec;
  readonly out: LinearSpec;
  readonly activation: ActivationName;
  readonly dMlp: number;
}

export interface GatedMlpSpec {
  readonly kind: "gated";
  readonly gate: LinearSpec;
  readonly up: LinearSpec;
  readonly down: LinearSpec;
  readonly activation: ActivationName;
  readonly dMlp: number;
}

/** One expert: a gated MLP, or gpt-oss's clamped one whose gate and up columns alternate in a single matrix. */
export type ExpertSpec =
  | GatedMlpSpec
  | {
      readonly kind: "clamped";
      readonly gateUp: LinearSpec | PackedLinearSpec;
      readonly down: LinearSpec | PackedLinearSpec;
      readonly alpha: number;
      readonly limit: number;
      readonly dMlp: number;
    };

export interface ExpertsSpec {
  readonly kind: "experts";
  readonly router: LinearSpec;
  readonly topK: number;
  /** `all`: softmax over all experts, then choose. `chosen`: choose, then softmax over the chosen. */
  readonly softmax: "all" | "chosen";
  /** Whether the chosen weights are divided by their sum. */
  readonly normalise: boolean;
  readonly experts: readonly ExpertSpec[];
}

export type MlpSpec = PlainMlpSpec | GatedMlpSpec | ExpertsSpec;

export interface LayerSpec {
  /**
   * `sequential`: the MLP reads the stream after attention was added. `parallel`: both read the stream before the block; the
   * MLP through `ln2` if there is one, else through `ln1`.
   */
  readonly wiring: "sequential" | "parallel";
  readonly attention: AttentionSpec;
  /** Absent in attention-only models. */
  readonly mlp?: MlpSpec;
  readonly ln1?: NormSpec;
  readonly ln2?: NormSpec;
  /** Norms of a sublayer's output before it is added (sandwich and post norms). */
  readonly attnPostNorm?: NormSpec;
  readonly mlpPostNorm?: NormSpec;
  /** Norms of the stream after a sublayer was added (OPT with `do_layer_norm_before: false`). */
  readonly streamNorms?: { readonly afterAttention: NormSpec; readonly afterMlp: NormSpec };
  /** Multiplies each sublayer's output before it is added (Granite). */
  readonly residualMultiplier?: number;
  /** The residual branch starts from the norm's output instead of its input (BLOOM's `apply_residual_connection_post_layernorm`). */
  readonly residualFromNorm?: boolean;
}

export interface EmbeddingSpec {
  readonly tokens: WeightRef;
  readonly project?: LinearSpec;
  readonly multiplier?: number;
  readonly positions?: { readonly weight: WeightRef; readonly offset: number };
  readonly norm?: NormSpec;
}

export interface HeadSpec {
  readonly norm?: NormSpec;
  readonly project?: LinearSpec;
  readonly unembed: LinearSpec;
  /** Multiplies the logits. */
  readonly multiplier?: number;
  /** `cap · tanh(logit / cap)`. */
  readonly softcap?: number;
}

/** A whole model, ready to be built. Sizes in elements. */
export interface ModelSpec {
  readonly family: string;
  readonly dModel: number;
  readonly vocab: number;
  readonly vocabOut: number;
  /** Positions the model was made for, and whether more are impossible (learned positions) or merely untrained. */
  readonly context: { readonly length: number; readonly hard: boolean } | undefined;
  readonly embedding: EmbeddingSpec;
  readonly rotaries: readonly RotarySpec[];
  readonly layers: readonly LayerSpec[];
  readonly head: HeadSpec;
  /** Token ids from `config.json`, where it has them. */
  readonly special: { readonly bos?: number; readonly eos: readonly number[]; readonly pad?: number };
  /** A length at which cached keys are dropped and computed anew, since their rotary factors change there (Phi 3's LongRoPE). */
  readonly recomputeAt?: number;
  /** Keys of `config.json` that no setting of the family is known by; they had no part in this spec. */
  readonly notUnderstood: readonly string[];
}
