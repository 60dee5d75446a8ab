/** @file Granite: a Llama with multipliers on the embedding, the scores and the branches, and a divisor of the logits. */
import { scale, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function granite(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c);
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const byBranch = c.number("residual_multiplier", 1);
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 2048 });
  let x = embed(run, "model.embed_tokens.weight", c.number("embedding_multiplier", 1));
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const turned = { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v };
    const z = attend(block, turned, { scale: c.number("attention_multiplier", 1) });
    const attn = block.see("attn_out_raw", attentionOutput(block, z, "self_attn.o_proj", bias));
    const mid = join(block, "resid_mid", x, block.see("attn_out", scale(attn, byBranch)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    const rule = { act: c.text("hidden_act", "silu"), bias: c.flag("mlp_bias", false) };
    const mlp = block.see("mlp_out_raw", gatedMlp(block, m, "mlp", rule));
    x = join(block, "resid_post", mid, block.see("mlp_out", scale(mlp, byBranch)));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  const logits = unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
  return scale(logits, 1 / c.number("logits_scaling", 1));
}
