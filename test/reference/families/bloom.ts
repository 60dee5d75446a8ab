/** @file BLOOM: no positions but ALiBi (a slope a head times the key's position), a norm on the embedding, its own gelu. */
import { type Floats } from "../arrays.js";
import { attend, attentionOutput, dense, join, unweaveHeads } from "../attention.js";
import { embed, unembed } from "../ends.js";
import { plainMlp } from "../mlp.js";
import { layerNorm, normalize, seeNorm } from "../norms.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function bloom(run: Run): Floats {
  const { config: c } = run;
  const [C, H] = [c.number(["n_embed", "hidden_size"]), c.number(["n_head", "num_attention_heads"])];
  const eps = c.number("layer_norm_epsilon", 1e-5);
  const fromNorm = c.flag("apply_residual_connection_post_layernorm", false);
  const rule = { scale: (C / H) ** -0.5, slopes: alibiSlopes(H) };
  const words = embed(run, "transformer.word_embeddings.weight");
  let x = normalize(words, layerNorm(run, "transformer.word_embeddings_layernorm", eps));
  for (let layer = 0; layer < c.number(["n_layer", "num_hidden_layers"]); layer++) {
    const block = run.block(layer, "transformer.h");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, layerNorm(block, "input_layernorm", eps));
    const z = attend(block, unweaveHeads(block, dense(block, h, "self_attention.query_key_value", true), H), rule);
    const attn = block.see("attn_out", attentionOutput(block, z, "self_attention.dense", true));
    const mid = join(block, "resid_mid", fromNorm ? h : x, attn);
    const m = seeNorm(block, "ln2", mid, layerNorm(block, "post_attention_layernorm", eps));
    const out = plainMlp(block, m, ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"], { act: "bloom_gelu", bias: true });
    x = join(block, "resid_post", fromNorm ? m : mid, block.see("mlp_out", out));
  }
  const last = seeNorm(run, "final", x, layerNorm(run, "transformer.ln_f", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "transformer.word_embeddings.weight", tied: true });
}

/**
 * For P heads, P a power of two, 2^(−8/P), 2^(−16/P), … 2^(−8). For other numbers P is the power below, and the missing heads
 * take every second slope of 2 · P heads (arXiv:2108.12409).
 */
function alibiSlopes(H: number): number[] {
  const P = 2 ** Math.floor(Math.log2(H));
  const whole = Array.from({ length: P }, (_, i) => 2 ** ((-8 * (i + 1)) / P));
  const between = Array.from({ length: H - P }, (_, i) => 2 ** ((-8 * (2 * i + 1)) / (2 * P)));
  return [...whole, ...between];
}
