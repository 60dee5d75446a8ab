/** @file Gemma 3: Gemma 2 with q/k norms instead of capped scores; sliding layers have a rotary table of their own. */
import type { Floats } from "../arrays.js";
import { isJsonObject, type JsonObject } from "../../../src/formats/json.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { Config, headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { normalize, rmsNormPlusOne, seeNorm } from "../norms.js";
import { ropeOf, turn, type Rope } from "../rope.js";
import type { Run } from "../run.js";
import { capLogits } from "./gemma2.js";

/** The logits `[T, V]`. */
export function gemma3(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 4, width: 256 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const act = c.text("hidden_activation", "gelu_pytorch_tanh");
  const scale = c.number("query_pre_attn_scalar", 256) ** -0.5;
  let x = embed(run, "model.embed_tokens.weight", Math.sqrt(c.number("hidden_size")));
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    const slides = slidesAt(c, layer);
    const rope = ropeFor(c, slides, sizes.D);
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNormPlusOne(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const turnedQ = turn(normalize(q, rmsNormPlusOne(block, "self_attn.q_norm", eps)), rope, lengths);
    const turnedK = turn(normalize(k, rmsNormPlusOne(block, "self_attn.k_norm", eps)), rope, lengths);
    const window = slides ? c.number("sliding_window", 4096) : undefined;
    const z = attend(block, { q: turnedQ, k: turnedK, v }, { scale, window });
    const attn = block.see("attn_out_raw", attentionOutput(block, z, "self_attn.o_proj", bias));
    const attnOut = block.see("attn_out", normalize(attn, rmsNormPlusOne(block, "post_attention_layernorm", eps)));
    const mid = join(block, "resid_mid", x, attnOut);
    const m = seeNorm(block, "ln2", mid, rmsNormPlusOne(block, "pre_feedforward_layernorm", eps));
    const mlp = block.see("mlp_out_raw", gatedMlp(block, m, "mlp", { act }));
    const mlpOut = block.see("mlp_out", normalize(mlp, rmsNormPlusOne(block, "post_feedforward_layernorm", eps)));
    x = join(block, "resid_post", mid, mlpOut);
  }
  const last = seeNorm(run, "final", x, rmsNormPlusOne(run, "model.norm", eps));
  const logits = unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: true });
  return capLogits(logits, c.optional("final_logit_softcapping"));
}

/**
 * The language model inside a model of images and text, on text alone. Its section of the file leaves out what is as in the first
 * model of its kind, and the head of the whole does not cap its logits.
 */
export function gemma3Wrapped(run: Run): Floats {
  const usual = { hidden_size: 2304, num_hidden_layers: 26, num_attention_heads: 8 };
  const tied = run.config.flag("tie_word_embeddings", true);
  const text = { ...usual, ...run.config.object("text_config"), tie_word_embeddings: tied, final_logit_softcapping: null };
  return gemma3({ ...run, config: new Config(text) });
}

/** By `layer_types`; without it all but every sixth (`sliding_window_pattern`) layer slides. */
function slidesAt(c: Config, layer: number): boolean {
  const types = c.list("layer_types");
  return types ? types[layer] === "sliding_attention" : (layer + 1) % c.number("sliding_window_pattern", 6) !== 0;
}

/** Newer files have a dictionary for each kind of layer. In older ones `rope_scaling` is for the full layers only. */
function ropeFor(c: Config, slides: boolean, D: number): Rope {
  const own = slides
    ? { rope_theta: c.number("rope_local_base_freq", 1e4) }
    : { rope_theta: c.number("rope_theta", 1e6), ...c.object("rope_scaling") };
  const stored = c.object("rope_parameters")?.[slides ? "sliding_attention" : "full_attention"];
  const dict: JsonObject = isJsonObject(stored) ? { ...own, ...stored, ...(slides ? {} : c.object("rope_scaling")) } : own;
  const maxPositions = c.number("max_position_embeddings", 131072);
  return ropeOf(new Config({ max_position_embeddings: maxPositions }), { D, maxPositions, dict });
}
