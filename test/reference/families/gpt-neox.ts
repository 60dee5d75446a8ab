/** @file GPT-NeoX (Pythia): q, k, v woven together head by head, a part of each head turned, and two norms side by side or in turn. */
import { add, type Floats } from "../arrays.js";
import { attend, attentionOutput, dense, join, unweaveHeads } from "../attention.js";
import type { Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { plainMlp } from "../mlp.js";
import { layerNorm, seeNorm } from "../norms.js";
import { ropeOf, turn, type Rope } from "../rope.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function gptNeox(run: Run): Floats {
  const { config: c, lengths } = run;
  const [C, H] = [c.number("hidden_size"), c.number("num_attention_heads")];
  const eps = c.number("layer_norm_eps", 1e-5);
  const bias = c.flag("attention_bias", true);
  const rope = neoxRope(c, C / H);
  let x = embed(run, "gpt_neox.embed_in.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "gpt_neox.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, layerNorm(block, "input_layernorm", eps));
    const { q, k, v } = unweaveHeads(block, dense(block, h, "attention.query_key_value", bias), H);
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, { scale: (C / H) ** -0.5 });
    const attn = block.see("attn_out", attentionOutput(block, z, "attention.dense", bias));
    x = c.flag("use_parallel_residual", true)
      ? join(block, "resid_post", x, add(attn, mlp(block, x, c)))
      : thenMlp(block, join(block, "resid_mid", x, attn), c);
  }
  const last = seeNorm(run, "final", x, layerNorm(run, "gpt_neox.final_layer_norm", eps));
  const head = ["lm_head.weight", "embed_out.weight"];
  return unembed(run, last, { head, embedding: "gpt_neox.embed_in.weight", tied: false });
}

function thenMlp(block: Scope, mid: Floats, c: Config): Floats {
  return join(block, "resid_post", mid, mlp(block, mid, c));
}

function mlp(block: Scope, x: Floats, c: Config): Floats {
  const m = seeNorm(block, "ln2", x, layerNorm(block, "post_attention_layernorm", c.number("layer_norm_eps", 1e-5)));
  const names = ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"] as const;
  return block.see("mlp_out", plainMlp(block, m, names, { act: c.text("hidden_act", "gelu"), bias: true }));
}

/** θ and the turning share have names of their own here, which the rotary dictionary overrules. */
function neoxRope(c: Config, D: number): Rope {
  const own = { rope_theta: c.number("rotary_emb_base", 10000), partial_rotary_factor: c.number("rotary_pct", 0.25) };
  const dict = { ...own, ...(c.object("rope_scaling") ?? c.object("rope_parameters")) };
  return ropeOf(c, { D, maxPositions: 2048, partial: 0.25, dict });
}
