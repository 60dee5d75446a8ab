/** @file OLMo 2: nothing is normalised in front; the branches' outputs are, and q and k as whole projections. */
import { type Floats } from "../arrays.js";
import { attend, attentionOutput, dense, join, splitHeads } from "../attention.js";
import { headSizes, type HeadSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { normalize, rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn, type Rope } from "../rope.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function olmo2(run: Run): Floats {
  const { config: c } = run;
  const sizes = headSizes(c);
  const eps = c.number("rms_norm_eps", 1e-5);
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 2048 });
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const attn = block.see("attn_out_raw", attention(run, block, { x, sizes, rope, eps }));
    const attnOut = block.see("attn_out", normalize(attn, rmsNorm(block, "post_attention_layernorm", eps)));
    const mid = join(block, "resid_mid", x, attnOut);
    const mlp = block.see("mlp_out_raw", gatedMlp(block, mid, "mlp", { act: c.text("hidden_act", "silu") }));
    const mlpOut = block.see("mlp_out", normalize(mlp, rmsNorm(block, "post_feedforward_layernorm", eps)));
    x = join(block, "resid_post", mid, mlpOut);
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}

interface AttentionInput {
  readonly x: Floats;
  readonly sizes: HeadSizes;
  readonly rope: Rope;
  readonly eps: number;
}

/** The norms of q and k run over all heads together. */
function attention({ config: c, lengths }: Run, block: Scope, { x, sizes, rope, eps }: AttentionInput): Floats {
  const bias = c.flag("attention_bias", false);
  const { H, KV, D } = sizes;
  const project = (point: string, heads: number): Floats =>
    block.see(point, splitHeads(dense(block, x, `self_attn.${point}_proj`, bias), heads));
  const [q, k, v] = [project("q", H), project("k", KV), project("v", KV)];
  const turned = (heads: Floats, name: string): Floats => {
    const [T = 0, count = 0] = heads.shape;
    const flat = { shape: [T, count * D], data: heads.data };
    return turn(splitHeads(normalize(flat, rmsNorm(block, `self_attn.${name}`, eps)), count), rope, lengths);
  };
  const z = attend(block, { q: turned(q, "q_norm"), k: turned(k, "k_norm"), v }, { scale: D ** -0.5 });
  return attentionOutput(block, z, "self_attn.o_proj", bias);
}
