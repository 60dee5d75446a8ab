/**
 * @file What another framework's name stands for where that depends on the model: one rule a question, answered from a layer's
 * spec. An answer is one of our points, an address, or why there is none. Only the same numbers with the same consequence of an
 * edit count as the same: a copy that one branch reads is refused, with the point that holds its numbers.
 */
import type { Refusal } from "../base/errors.js";
import { absenceInLayer } from "./presence.js";
import type { LayerSpec, ModelSpec, NormSpec } from "./spec.js";

/** Why a name is nothing of ours. `*` in `instead` stands for the layer. */
export type Untranslated = Omit<Refusal, "what">;

/** A point's name (the layer is the foreign name's own), an address, or a refusal. */
export type Answer = string | Untranslated;

/** A rule: in words for the documentation, and as a function of the layer that the name names (for names outside the layers, the last). */
export interface Rule {
  readonly says: string;
  readonly answer: (layer: LayerSpec, spec: ModelSpec) => Answer;
}

function rule(says: string, answer: Rule["answer"]): Rule {
  return { says, answer };
}

/** A refusal of what only one reader gets of a point. */
export function copyOf(point: string, reader: string): Untranslated {
  return {
    why: `it is the copy of ${point} that only ${reader} reads, so an edit there means something else`,
    instead: `${point}, for the same numbers`,
  };
}

function hasNoWeights(norm: NormSpec): boolean {
  return !norm.weight && !norm.bias;
}

function raw(which: "attn" | "mlp", layer: LayerSpec): Answer {
  return absenceInLayer(layer, `${which}_out_raw`) ? `${which}_out` : `${which}_out_raw`;
}

/** Whether attention and MLP read the same norm's output. */
function sharesNorm(layer: LayerSpec): boolean {
  return layer.wiring === "parallel" && layer.mlp !== undefined && !layer.ln2;
}

function attentionInput(layer: LayerSpec): Answer {
  if (!layer.ln1) return copyOf("resid_pre.*", "attention");
  return sharesNorm(layer) || layer.residualFromNorm ? copyOf("ln1_normalized.*", "attention") : "ln1_normalized";
}

function mlpInput(layer: LayerSpec): Answer {
  const isCopy = layer.mlp && (!layer.ln2 || layer.residualFromNorm);
  return isCopy ? copyOf(mlpInputPoint(layer), "the MLP") : "ln2_normalized";
}

/** The point that holds the numbers of the MLP's input. */
function mlpInputPoint(layer: LayerSpec): string {
  if (layer.ln2) return "ln2_normalized.*";
  return layer.wiring === "parallel" ? "ln1_normalized.*" : "resid_mid.*";
}

function lastStream({ layers }: ModelSpec): string {
  return `resid_post.${layers.length - 1}`;
}

/** A projection's own output: before a norm or multiplier that follows it, as what is added where none does. */
export function projected(which: "attn" | "mlp"): Rule {
  return rule(`\`${which}_out_raw\`, or \`${which}_out\` where no norm or multiplier follows`, (layer) => raw(which, layer));
}

/** The output of the attention or MLP module. BLOOM, the one family with ALiBi, adds the stream inside these modules. */
export function moduleOutput(which: "attn" | "mlp"): Rule {
  const stream = which === "attn" ? "resid_mid.*" : "resid_post.*";
  return rule(`${projected(which).says}; refused on BLOOM, whose module adds the stream itself`, (layer) => {
    if (!layer.attention.alibi) return raw(which, layer);
    return {
      why: "in BLOOM this module adds the residual stream to its output",
      instead: `${stream} for that sum, ${which}_out.* for what is added`,
    };
  });
}

/** `x̂`, before weight and bias. */
export function bare(which: "ln1" | "ln2" | "final"): Rule {
  const point = `${which}_normalized`;
  const layered = which === "final" ? point : `${point}.*`;
  return rule(`\`${point}\` where the norm has neither weight nor bias; refused elsewhere`, (layer, spec) => {
    const norm = which === "final" ? spec.head.norm : layer[which];
    if (!norm || hasNoWeights(norm)) return point;
    return { why: "it is what stands before the norm's weight and bias", instead: `${layered}, which is after them` };
  });
}

/** A norm that follows a sublayer: what enters it or leaves it. */
export function postNorm(which: "attn" | "mlp", point: string): Rule {
  return rule(`\`${point}\` where a norm follows the sublayer; refused elsewhere`, (layer) => {
    if (which === "attn" ? layer.attnPostNorm : layer.mlpPostNorm) return point;
    return { why: "no norm follows this sublayer here", instead: `${which}_out.*` };
  });
}

/** What one of the query, key and value projections reads. */
export function attentionBranch(reader: string): Rule {
  return rule("refused: one projection's copy of the attention's input", (layer) =>
    copyOf(layer.ln1 ? "ln1_normalized.*" : "resid_pre.*", reader),
  );
}

/** What one part of the MLP reads. */
export function mlpBranch(reader: string): Rule {
  return rule("refused: one part's copy of the MLP's input", (layer) => copyOf(mlpInputPoint(layer), reader));
}

const BEFORE_PROJECTION: Untranslated = { why: "it is the embedding before this model's projection", instead: "embed, which is after it" };
const BEFORE_MULTIPLIER: Untranslated = {
  why: "whether it is the embedding before or after this model's multiplier depends on the family and on the version of transformers",
  instead: "embed, which is after it",
};
const SHARED = "refused where something else reads the same tensor: a shared norm, the residual branch, or the stream where no norm stands";

/** Rules of single names. */
export const RULES = {
  attentionInput: rule(`\`ln1_normalized\`; ${SHARED}`, attentionInput),
  mlpInput: rule(`\`ln2_normalized\`; ${SHARED}`, mlpInput),
  mlpFirst: rule("plain MLP: as `mlp.hook_in`; gated: refused, the up branch's copy", (layer) =>
    layer.mlp?.kind === "plain" ? mlpInput(layer) : copyOf(mlpInputPoint(layer), "the up branch"),
  ),
  mlpStream: rule("refused: the MLP branch's copy of the stream", ({ wiring }) =>
    copyOf(wiring === "parallel" ? "resid_pre.*" : "resid_mid.*", "the MLP branch"),
  ),
  mlpPre: rule("plain: `mlp_pre`; gated: `mlp_gate`; mixture of experts: as `mlp.hook_in`", (layer) => {
    if (layer.mlp?.kind === "experts") return mlpInput(layer);
    return layer.mlp?.kind === "gated" ? "mlp_gate" : "mlp_pre";
  }),
  mlpIn: rule("plain: `mlp_pre`; gated: `mlp_up`", ({ mlp }) => (mlp?.kind === "plain" ? "mlp_pre" : "mlp_up")),
  mlpGate: rule("gated: `mlp_gate`; mixture of experts: `router_logits`", ({ mlp }) =>
    mlp?.kind === "experts" ? "router_logits" : "mlp_gate",
  ),
  mlpPost: rule("`mlp_post`; mixture of experts: as `mlp.hook_out`", (layer) =>
    layer.mlp?.kind === "experts" ? raw("mlp", layer) : "mlp_post",
  ),
  routerScores: rule("gpt-oss: `expert_weights`; refused elsewhere", ({ mlp }) => {
    if (mlp?.kind !== "experts" || mlp.experts[0]?.kind === "clamped") return "expert_weights";
    return { why: "TransformerLens lists it, but it never fires", instead: "expert_weights.*" };
  }),
  headResult: rule("`head_out`; refused where a multiplier follows attention", ({ residualMultiplier }) => {
    if ((residualMultiplier ?? 1) === 1) return "head_out";
    return {
      why: "TransformerLens multiplies each head's term by this model's residual multiplier",
      instead: "head_out.*, which is before it",
    };
  }),
  lastStream: rule("`resid_post` of the last layer", (_, spec) => (spec.head.norm ? lastStream(spec) : "final_normalized")),
  unembedInput: rule(
    "`final_normalized`, or `resid_post` of the last layer where no norm follows; refused behind a projection",
    (_, spec) => {
      const last = spec.head.norm ? "final_normalized" : lastStream(spec);
      return spec.head.project
        ? { why: "this model narrows the stream in front of the unembedding, and what comes out is no point", instead: last }
        : last;
    },
  ),
  unembedOutput: rule("`logits`; refused where a multiplier or soft cap follows the unembedding", (_, { head }) => {
    if ((head.multiplier ?? 1) === 1 && head.softcap === undefined) return "logits";
    return { why: "it is what stands before this model's logit multiplier or soft cap", instead: "logits, which are after it" };
  }),
  embedded: rule(
    "`embed`; where a norm follows the embedding (BLOOM), `resid_pre.0`; refused in front of a projection",
    (_, { embedding }) => {
      if (embedding.project) return BEFORE_PROJECTION;
      return embedding.norm ? "resid_pre.0" : "embed";
    },
  ),
  embedding: rule("`embed`; refused in front of a projection", (_, { embedding }) => (embedding.project ? BEFORE_PROJECTION : "embed")),
  embeddingModule: rule("`embed`; refused where a projection or multiplier follows", (_, { embedding }) => {
    if (embedding.project) return BEFORE_PROJECTION;
    return (embedding.multiplier ?? 1) === 1 ? "embed" : BEFORE_MULTIPLIER;
  }),
  embeddingProjection: rule("`embed`; only where the embedding is projected", (_, { embedding }) =>
    embedding.project ? "embed" : { why: "this model does not project its embedding", instead: "embed" },
  ),
  embeddingNormInput: rule("`embed`; only where a norm follows the embedding (BLOOM)", (_, { embedding }) =>
    embedding.norm ? "embed" : { why: "no norm follows this model's embedding", instead: "embed" },
  ),
  embeddingNormOutput: rule("`resid_pre.0`; only where a norm follows the embedding (BLOOM)", (_, { embedding }) =>
    embedding.norm ? "resid_pre.0" : { why: "no norm follows this model's embedding", instead: "resid_pre.0" },
  ),
} as const satisfies Record<string, Rule>;
