/**
 * @file The names of other frameworks, one row a name: TransformerLens in both generations (the bridge of version 4 and
 * `HookedTransformer` of versions 2 and 3) and nnterp. `*` stands for a layer's number, `#` for an expert's. Measured, not
 * remembered: transformer-lens 4.3.0 and 3.9.0 and nnterp 1.3.0 were run on tiny models of every family and each tensor compared
 * with our points. The two generations share names only where they share the meaning.
 */
import {
  attentionBranch,
  bare,
  copyOf,
  mlpBranch,
  moduleOutput,
  postNorm,
  projected,
  RULES,
  type Rule,
  type Untranslated,
} from "./foreign-rules.js";
import type { PointName } from "./points.js";

/** Who has a name: the bridge, `HookedTransformer`, both, or nnterp. */
export type Framework = "bridge" | "hooked" | "both" | "nnterp";

/** What a name stands for: the same point everywhere, a question to the model's spec, or nothing. */
export interface ForeignRow {
  readonly of: Framework;
  readonly to: PointName | Rule | Untranslated;
  /** Where numbers agree but axes or side effects differ. */
  readonly note?: string;
}

const HEAD_COPIES: Untranslated = {
  why: "it is the stream in front of the norm, one copy a head, so an edit there reaches one head alone",
  instead: "resid_pre.*, for the same numbers",
};
const IDS: Untranslated = { why: "it holds ids, not activations", instead: "the tokens of the request" };
const ROTARY: Untranslated = {
  why: "it belongs to the rotary tables, which are no activations",
  instead: "rot_q and rot_k, where they have been applied",
};
const NEVER: Untranslated = { why: "TransformerLens lists it, but it never fires", instead: "q.*, k.* and v.*" };
const EXPERT: Untranslated = {
  why: "each token passes its own experts, and what happens inside them is no point",
  instead: "experts.*, expert_weights.* and mlp_out.*",
};
const ALL_EXPERTS: Untranslated = {
  why: "it has a column for every expert, and what it holds differs between the generations",
  instead: "expert_weights.*",
};
const Q_NORM: Untranslated = {
  why: "what stands inside or right behind the query norm is no point",
  instead: "q.* before it, rot_q.* after norm and rotary",
};
const K_NORM: Untranslated = {
  why: "what stands inside or right behind the key norm is no point",
  instead: "k.* before it, rot_k.* after norm and rotary",
};
const SOLU: Untranslated = { why: "SoLU with its inner norm is not computed here", instead: "mlp_pre.* and mlp_post.*" };
const EMBED_NORM: Untranslated = {
  why: "what stands inside the norm of the embedding is no point",
  instead: "embed before it, resid_pre.0 after it",
};
const ATTN_POST: Untranslated = {
  why: "what stands inside the norm that follows attention is no point",
  instead: "attn_out_raw.* before it, attn_out.* after it",
};
const MLP_POST: Untranslated = {
  why: "what stands inside the norm that follows the MLP is no point",
  instead: "mlp_out_raw.* before it, mlp_out.* after it",
};

// oxfmt-ignore
export const FOREIGN: Readonly<Record<string, ForeignRow>> = {
  "hook_tokens":                  { of: "hooked", to: IDS },
  "embed.hook_in":                { of: "bridge", to: IDS },
  "embed.hook_out":               { of: "bridge", to: RULES.embedding },
  "hook_embed":                   { of: "both",   to: RULES.embedded, note: "after the multiplier of Gemma and Granite; `HookedTransformer` has Gemma's in `W_E`" },
  "embed_ln.hook_in":             { of: "bridge", to: RULES.embeddingNormInput },
  "embed_ln.hook_scale":          { of: "bridge", to: EMBED_NORM },
  "embed_ln.hook_normalized":     { of: "bridge", to: EMBED_NORM },
  "embed_ln.hook_out":            { of: "bridge", to: RULES.embeddingNormOutput },
  "embed.ln.hook_scale":          { of: "hooked", to: EMBED_NORM },
  "embed.ln.hook_normalized":     { of: "hooked", to: EMBED_NORM },
  "project_in.hook_out":          { of: "bridge", to: RULES.embeddingProjection },
  "pos_embed.hook_in":            { of: "bridge", to: IDS },
  "pos_embed.hook_out":           { of: "bridge", to: "pos_embed" },
  "hook_pos_embed":               { of: "both",   to: "pos_embed", note: "never fires in the bridge on rotary models" },
  "rotary_emb.hook_in":           { of: "bridge", to: { why: "the rotary tables are made without a look at its numbers, so an edit there has no effect", instead: "embed, for the same numbers" } },
  "rotary_emb.hook_out":          { of: "bridge", to: ROTARY },
  "rotary_emb.hook_cos":          { of: "bridge", to: ROTARY },
  "rotary_emb.hook_sin":          { of: "bridge", to: ROTARY },

  "blocks.*.hook_in":             { of: "bridge", to: "resid_pre" },
  "blocks.*.hook_resid_pre":      { of: "both",   to: "resid_pre" },
  "blocks.*.hook_attn_in":        { of: "both",   to: HEAD_COPIES },
  "blocks.*.hook_q_input":        { of: "both",   to: HEAD_COPIES },
  "blocks.*.hook_k_input":        { of: "both",   to: HEAD_COPIES },
  "blocks.*.hook_v_input":        { of: "both",   to: HEAD_COPIES },
  "blocks.*.attn.hook_attn_in":   { of: "bridge", to: HEAD_COPIES },
  "blocks.*.attn.hook_q_input":   { of: "bridge", to: HEAD_COPIES },
  "blocks.*.attn.hook_k_input":   { of: "bridge", to: HEAD_COPIES },
  "blocks.*.attn.hook_v_input":   { of: "bridge", to: HEAD_COPIES },
  "blocks.*.attn.hook_attn_input": { of: "hooked", to: { why: "positions that are added to queries and keys alone (shortformer) are not computed here" } },
  "blocks.*.ln1.hook_in":         { of: "bridge", to: copyOf("resid_pre.*", "the norm in front of attention") },
  "blocks.*.ln1.hook_scale":      { of: "both",   to: "ln1_scale", note: "`HookedTransformer` with `use_split_qkv_input` or `use_attn_in` repeats it for each head" },
  "blocks.*.ln1.hook_normalized": { of: "both",   to: bare("ln1") },
  "blocks.*.ln1.hook_out":        { of: "bridge", to: "ln1_normalized" },
  "blocks.*.attn.hook_in":        { of: "bridge", to: RULES.attentionInput },
  "blocks.*.attn.qkv.hook_in":    { of: "bridge", to: NEVER },
  "blocks.*.attn.qkv.hook_out":   { of: "bridge", to: NEVER },
  "blocks.*.attn.q.hook_in":      { of: "bridge", to: attentionBranch("the query projection") },
  "blocks.*.attn.k.hook_in":      { of: "bridge", to: attentionBranch("the key projection") },
  "blocks.*.attn.v.hook_in":      { of: "bridge", to: attentionBranch("the value projection") },
  "blocks.*.attn.q.hook_out":     { of: "bridge", to: "q" },
  "blocks.*.attn.k.hook_out":     { of: "bridge", to: "k" },
  "blocks.*.attn.v.hook_out":     { of: "bridge", to: "v" },
  "blocks.*.attn.hook_q":         { of: "both",   to: "q", note: "before q/k norms and rotary" },
  "blocks.*.attn.hook_k":         { of: "both",   to: "k", note: "`HookedTransformer` with `ungroup_grouped_query_attention` repeats each key head" },
  "blocks.*.attn.hook_v":         { of: "both",   to: "v", note: "as `hook_k`" },
  "blocks.*.attn.q_norm.hook_in": { of: "bridge", to: "q", note: "heads before positions (Qwen 3, Gemma 3) or flat (OLMo 2)" },
  "blocks.*.attn.k_norm.hook_in": { of: "bridge", to: "k", note: "as `q_norm.hook_in`" },
  "blocks.*.attn.q_norm.hook_scale":      { of: "both",   to: Q_NORM },
  "blocks.*.attn.k_norm.hook_scale":      { of: "both",   to: K_NORM },
  "blocks.*.attn.q_norm.hook_normalized": { of: "both",   to: Q_NORM },
  "blocks.*.attn.k_norm.hook_normalized": { of: "both",   to: K_NORM },
  "blocks.*.attn.q_norm.hook_out":        { of: "bridge", to: Q_NORM },
  "blocks.*.attn.k_norm.hook_out":        { of: "bridge", to: K_NORM },
  "blocks.*.attn.hook_q_normed":          { of: "bridge", to: Q_NORM },
  "blocks.*.attn.hook_k_normed":          { of: "bridge", to: K_NORM },
  "blocks.*.attn.hook_cos":       { of: "bridge", to: ROTARY },
  "blocks.*.attn.hook_sin":       { of: "bridge", to: ROTARY },
  "blocks.*.attn.hook_rot_q":     { of: "both",   to: "rot_q", note: "never fires in the bridge on GPT-NeoX, GPT-J and Phi-3" },
  "blocks.*.attn.hook_rot_k":     { of: "both",   to: "rot_k", note: "as `hook_rot_q`" },
  "blocks.*.attn.hook_attn_scores": { of: "both", to: "attn_scores", note: "where masked, the bridge has −3.4e38 and we −∞; the bridge shows the pattern instead on GPT-Neo, GPT-J and OPT" },
  "blocks.*.attn.hook_pattern":   { of: "both",   to: "pattern", note: "without the sink's column in gpt-oss" },
  "blocks.*.attn.o.hook_in":      { of: "bridge", to: "z" },
  "blocks.*.attn.hook_z":         { of: "both",   to: "z" },
  "blocks.*.attn.hook_result":    { of: "both",   to: RULES.headResult, note: "there only behind `use_attn_result`, here always" },
  "blocks.*.attn.o.hook_out":     { of: "bridge", to: projected("attn") },
  "blocks.*.attn.hook_hidden_states": { of: "bridge", to: moduleOutput("attn"), note: "fires only where q, k and v are one matrix" },
  "blocks.*.attn.hook_out":       { of: "bridge", to: moduleOutput("attn") },
  "blocks.*.ln1_post.hook_in":    { of: "bridge", to: postNorm("attn", "attn_out_raw") },
  "blocks.*.ln1_post.hook_scale": { of: "both",   to: ATTN_POST },
  "blocks.*.ln1_post.hook_normalized": { of: "both", to: ATTN_POST },
  "blocks.*.ln1_post.hook_out":   { of: "bridge", to: postNorm("attn", "attn_out") },
  "blocks.*.hook_attn_out":       { of: "both",   to: "attn_out" },
  "blocks.*.hook_resid_mid":      { of: "both",   to: "resid_mid", note: "an edit in the bridge reaches the MLP alone, here and in `HookedTransformer` the stream" },

  "blocks.*.hook_mlp_in":         { of: "both",   to: RULES.mlpStream },
  "blocks.*.ln2.hook_in":         { of: "bridge", to: RULES.mlpStream },
  "blocks.*.ln2.hook_scale":      { of: "both",   to: "ln2_scale", note: "as rows of batch · pos on OPT in the bridge" },
  "blocks.*.ln2.hook_normalized": { of: "both",   to: bare("ln2") },
  "blocks.*.ln2.hook_out":        { of: "bridge", to: "ln2_normalized" },
  "blocks.*.mlp.hook_in":         { of: "bridge", to: RULES.mlpInput },
  "blocks.*.mlp.in.hook_in":      { of: "bridge", to: RULES.mlpFirst },
  "blocks.*.mlp.in.hook_out":     { of: "bridge", to: RULES.mlpIn },
  "blocks.*.mlp.gate.hook_in":    { of: "bridge", to: mlpBranch("the gate or router") },
  "blocks.*.mlp.gate.hook_out":   { of: "bridge", to: RULES.mlpGate, note: "router logits as rows of batch · pos; an edit of them has no effect in the bridge" },
  "blocks.*.mlp.hook_pre":        { of: "both",   to: RULES.mlpPre },
  "blocks.*.mlp.hook_pre_linear": { of: "both",   to: "mlp_up" },
  "blocks.*.mlp.hook_mid":        { of: "hooked", to: SOLU },
  "blocks.*.mlp.ln.hook_scale":   { of: "hooked", to: SOLU },
  "blocks.*.mlp.ln.hook_normalized": { of: "hooked", to: SOLU },
  "blocks.*.mlp.router.hook_in":  { of: "bridge", to: mlpBranch("the router") },
  "blocks.*.mlp.router.hook_out": { of: "bridge", to: "router_logits", note: "as rows of batch · pos" },
  "blocks.*.mlp.hook_router_scores": { of: "bridge", to: RULES.routerScores, note: "as rows of batch · pos" },
  "blocks.*.mlp.hook_expert_indices": { of: "both", to: "experts", note: "as rows of batch · pos" },
  "blocks.*.mlp.gate.hook_expert_indices": { of: "bridge", to: "experts", note: "as rows of batch · pos" },
  "blocks.*.mlp.router.hook_expert_indices": { of: "bridge", to: "experts", note: "as rows of batch · pos" },
  "blocks.*.mlp.hook_expert_weights": { of: "both", to: ALL_EXPERTS },
  "blocks.*.mlp.gate.hook_expert_weights": { of: "bridge", to: ALL_EXPERTS },
  "blocks.*.mlp.router.hook_expert_weights": { of: "bridge", to: ALL_EXPERTS },
  "blocks.*.mlp.experts.#.hook_gate": { of: "hooked", to: EXPERT },
  "blocks.*.mlp.experts.#.hook_pre": { of: "hooked", to: EXPERT },
  "blocks.*.mlp.experts.#.hook_post": { of: "hooked", to: EXPERT },
  "blocks.*.mlp.hook_post":       { of: "both",   to: RULES.mlpPost },
  "blocks.*.mlp.out.hook_in":     { of: "bridge", to: "mlp_post" },
  "blocks.*.mlp.out.hook_out":    { of: "bridge", to: projected("mlp") },
  "blocks.*.mlp.hook_out":        { of: "bridge", to: moduleOutput("mlp") },
  "blocks.*.ln2_post.hook_in":    { of: "bridge", to: postNorm("mlp", "mlp_out_raw") },
  "blocks.*.ln2_post.hook_scale": { of: "both",   to: MLP_POST },
  "blocks.*.ln2_post.hook_normalized": { of: "both", to: MLP_POST },
  "blocks.*.ln2_post.hook_out":   { of: "bridge", to: postNorm("mlp", "mlp_out") },
  "blocks.*.hook_mlp_out":        { of: "both",   to: "mlp_out" },
  "blocks.*.hook_out":            { of: "bridge", to: "resid_post" },
  "blocks.*.hook_resid_post":     { of: "both",   to: "resid_post" },

  "ln_final.hook_in":             { of: "bridge", to: RULES.lastStream },
  "ln_final.hook_scale":          { of: "both",   to: "final_scale" },
  "ln_final.hook_normalized":     { of: "both",   to: bare("final") },
  "ln_final.hook_out":            { of: "bridge", to: "final_normalized" },
  "unembed.hook_in":              { of: "both",   to: RULES.unembedInput, note: "`HookedTransformer` 3 only, not 2" },
  "unembed.hook_out":             { of: "both",   to: RULES.unembedOutput, note: "`HookedTransformer` 3 only, not 2" },
  "hook_unembed":                 { of: "bridge", to: RULES.unembedOutput },

  "input_ids":                    { of: "nnterp", to: IDS },
  "attention_mask":               { of: "nnterp", to: IDS },
  "token_embeddings":             { of: "nnterp", to: RULES.embeddingModule },
  "embed_tokens.output":          { of: "nnterp", to: RULES.embeddingModule },
  "layers_input.*":               { of: "nnterp", to: "resid_pre" },
  "attentions_input.*":           { of: "nnterp", to: RULES.attentionInput },
  "attention_probabilities.*":    { of: "nnterp", to: "pattern", note: "there only behind `enable_attention_probs`, here always" },
  "attentions_output.*":          { of: "nnterp", to: moduleOutput("attn") },
  "mlps_input.*":                 { of: "nnterp", to: RULES.mlpInput },
  "mlps_output.*":                { of: "nnterp", to: moduleOutput("mlp") },
  "layers_output.*":              { of: "nnterp", to: "resid_post" },
  "ln_final.input":               { of: "nnterp", to: RULES.lastStream },
  "ln_final.output":              { of: "nnterp", to: "final_normalized" },
  "lm_head.input":                { of: "nnterp", to: RULES.unembedInput },
  "lm_head.output":               { of: "nnterp", to: RULES.unembedOutput },
  "logits":                       { of: "nnterp", to: "logits" },
  "next_token_probs":             { of: "nnterp", to: { why: "it is a probability, computed from the last position's logits", instead: "logits" } },
};
