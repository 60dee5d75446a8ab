/** @file Gemma 2: Gemma with norms before and after each branch, capped scores and logits, and a window in every other layer. */
import { map, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes, type Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { normalize, rmsNormPlusOne, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function gemma2(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 4, width: 256 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const act = c.text("hidden_activation", "gelu_pytorch_tanh");
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 8192 });
  const softcap = c.optional("attn_logit_softcapping", 50);
  let x = embed(run, "model.embed_tokens.weight", Math.sqrt(c.number("hidden_size")));
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNormPlusOne(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const rule = { scale: c.number("query_pre_attn_scalar", 256) ** -0.5, softcap, window: windowOf(c, layer) };
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, rule);
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
  return capLogits(logits, c.optional("final_logit_softcapping", 30));
}

/** cap · tanh(logit / cap), where there is a cap. */
export function capLogits(logits: Floats, cap: number | undefined): Floats {
  return cap === undefined ? logits : map(logits, (value) => cap * Math.tanh(value / cap));
}

/** By `layer_types`; without it the even layers slide. */
function windowOf(c: Config, layer: number): number | undefined {
  const types = c.list("layer_types");
  const slides = types ? types[layer] === "sliding_attention" : layer % 2 === 0;
  return slides ? c.number("sliding_window", 4096) : undefined;
}
