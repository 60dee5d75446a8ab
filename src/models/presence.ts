/**
 * @file Which points a layer or model has, and for those it lacks, why and what to look at instead. Read from the spec alone;
 * a test holds it against the graphs.
 */
import type { Refusal } from "../base/errors.js";
import type { PointName } from "./points.js";
import type { LayerSpec, ModelSpec } from "./spec.js";

type Absence = Omit<Refusal, "what">;

/** Why a layer has no such point; undefined where it has it. */
export function absenceInLayer(layer: LayerSpec, point: PointName): Absence | undefined {
  return LAYER_RULES[point]?.(layer);
}

/** Why a model has no such point outside its layers; undefined where it has it. */
export function absenceInModel(spec: ModelSpec, point: PointName): Absence | undefined {
  if (point === "pos_embed" && !spec.embedding.positions) {
    return { why: "this model has no learned position embedding", instead: "rot_q and rot_k show where positions enter, if they do" };
  }
  if ((point === "final_scale" || point === "final_normalized") && !spec.head.norm) {
    return { why: "this model has no norm after its last block", instead: `resid_post.${spec.layers.length - 1}` };
  }
  return undefined;
}

const noMlp: Absence = { why: "this layer has attention only", instead: "attn_out" };
const noNorm1: Absence = { why: "no norm stands in front of this layer's attention", instead: "resid_pre" };

function ln1({ ln1: norm }: LayerSpec): Absence | undefined {
  return norm ? undefined : noNorm1;
}

function ln2(layer: LayerSpec): Absence | undefined {
  if (!layer.mlp) return noMlp;
  if (layer.ln2) return undefined;
  if (layer.wiring === "parallel") return { why: "attention and MLP of this layer share one norm", instead: "ln1_normalized" };
  return { why: "no norm stands in front of this layer's MLP", instead: "resid_mid" };
}

function plainOnly({ mlp }: LayerSpec): Absence | undefined {
  if (!mlp) return noMlp;
  if (mlp.kind === "gated") return { why: "this layer's MLP is gated", instead: "mlp_gate and mlp_up" };
  return mlp.kind === "experts" ? manyExperts : undefined;
}

function gatedOnly({ mlp }: LayerSpec): Absence | undefined {
  if (!mlp) return noMlp;
  if (mlp.kind === "plain") return { why: "this layer's MLP has no gate", instead: "mlp_pre" };
  return mlp.kind === "experts" ? manyExperts : undefined;
}

const manyExperts: Absence = {
  why: "each token passes its own experts, so the layer has no one hidden layer",
  instead: "experts, expert_weights and mlp_out",
};

function expertsOnly({ mlp }: LayerSpec): Absence | undefined {
  if (!mlp) return noMlp;
  return mlp.kind === "experts" ? undefined : { why: "this layer has one MLP and no router", instead: "mlp_post" };
}

function rawOnly(which: "attn" | "mlp"): (layer: LayerSpec) => Absence | undefined {
  return (layer) => {
    if (which === "mlp" && !layer.mlp) return noMlp;
    const follows = (which === "attn" ? layer.attnPostNorm : layer.mlpPostNorm) !== undefined || layer.residualMultiplier !== undefined;
    return follows ? undefined : { why: "nothing stands between the projection and the residual stream", instead: `${which}_out` };
  };
}

const LAYER_RULES: Partial<Record<PointName, (layer: LayerSpec) => Absence | undefined>> = {
  ln1_scale: ln1,
  ln1_normalized: ln1,
  attn_out_raw: rawOnly("attn"),
  resid_mid(layer) {
    if (!layer.mlp) return { why: "this layer has attention only", instead: "resid_post" };
    if (layer.wiring === "sequential") return undefined;
    return { why: "attention and MLP of this layer run in parallel, so the stream has no middle", instead: "attn_out and mlp_out" };
  },
  ln2_scale: ln2,
  ln2_normalized: ln2,
  mlp_pre: plainOnly,
  mlp_gate: gatedOnly,
  mlp_up: gatedOnly,
  router_logits: expertsOnly,
  experts: expertsOnly,
  expert_weights: expertsOnly,
  mlp_post: ({ mlp }) => (!mlp ? noMlp : mlp.kind === "experts" ? manyExperts : undefined),
  mlp_out_raw: rawOnly("mlp"),
  mlp_out: ({ mlp }) => (mlp ? undefined : noMlp),
};
