/** @file Llama: RMSNorm in front, rotary, grouped key/value heads, a gated MLP. */
import type { Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function llama(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c);
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 2048 });
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, { scale: sizes.D ** -0.5 });
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", bias)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    const mlp = gatedMlp(block, m, "mlp", { act: c.text("hidden_act", "silu"), bias: c.flag("mlp_bias", false) });
    x = join(block, "resid_post", mid, block.see("mlp_out", mlp));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}
