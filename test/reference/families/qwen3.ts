/** @file Qwen 3: q and k pass an RMSNorm of each head before they turn; heads are as wide as `head_dim` says (128). */
import type { Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { normalize, rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";
import { qwenWindow } from "./qwen2.js";

/** The logits `[T, V]`. */
export function qwen3(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 32, width: 128 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 32768 });
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const turnedQ = turn(normalize(q, rmsNorm(block, "self_attn.q_norm", eps)), rope, lengths);
    const turnedK = turn(normalize(k, rmsNorm(block, "self_attn.k_norm", eps)), rope, lengths);
    const z = attend(block, { q: turnedQ, k: turnedK, v }, { scale: sizes.D ** -0.5, window: qwenWindow(c, layer) });
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", bias)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    x = join(block, "resid_post", mid, block.see("mlp_out", gatedMlp(block, m, "mlp", { act: c.text("hidden_act", "silu") })));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}
