/** @file Gemma: the embedding times √C, norms with 1 + weight, a gated MLP with the tanh gelu even where the file says "gelu". */
import type { Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { rmsNormPlusOne, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function gemma(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 16, width: 256 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const stated = c.text("hidden_act", "gelu_pytorch_tanh");
  const act = stated === "gelu" ? "gelu_pytorch_tanh" : stated;
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 8192 });
  let x = embed(run, "model.embed_tokens.weight", Math.sqrt(c.number("hidden_size")));
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNormPlusOne(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, { scale: sizes.D ** -0.5 });
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", bias)));
    const m = seeNorm(block, "ln2", mid, rmsNormPlusOne(block, "post_attention_layernorm", eps));
    x = join(block, "resid_post", mid, block.see("mlp_out", gatedMlp(block, m, "mlp", { act })));
  }
  const last = seeNorm(run, "final", x, rmsNormPlusOne(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: true });
}
