/**
 * @file Phi 3: a Llama with q, k, v in one matrix and gate, up in another; its long-context files use `longrope`. Where a text being
 * decoded outgrows the short factors, `transformers` computes all of it anew, so every position has the table of the whole length.
 */
import { columns, map, multiply, type Floats } from "../arrays.js";
import { activation } from "../activations.js";
import { attend, attentionOutput, cutHeads, dense, join } from "../attention.js";
import { headSizes, type Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn, type Rope } from "../rope.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function phi3(run: Run): Floats {
  const { config: c } = run;
  const lengths = run.tokens.map(() => run.tokens.length);
  const sizes = headSizes(c);
  const eps = c.number("rms_norm_eps", 1e-5);
  const rope = phi3Rope(c, sizes.D);
  const rule = { scale: sizes.D ** -0.5, window: c.optional("sliding_window") };
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = cutHeads(block, dense(block, h, "self_attn.qkv_proj", false), sizes);
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, rule);
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", false)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    x = join(block, "resid_post", mid, block.see("mlp_out", packedMlp(block, m, c.text("hidden_act", "silu"))));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}

/** The first half of `gate_up_proj` is the gate. */
function packedMlp(block: Scope, x: Floats, act: string): Floats {
  const both = dense(block, x, "mlp.gate_up_proj", false);
  const I = both.shape[1]! / 2;
  const gate = block.see("mlp_gate", columns(both, 0, I));
  const up = block.see("mlp_up", columns(both, I, I));
  const post = block.see("mlp_post", multiply(map(gate, activation(act)), up));
  return dense(block, post, "mlp.down_proj", false);
}

/** `su` and `yarn` are old names of `longrope` here. */
function phi3Rope(c: Config, D: number): Rope {
  const stored = c.object("rope_scaling") ?? c.object("rope_parameters") ?? {};
  const type = stored["rope_type"] ?? stored["type"] ?? "default";
  const dict = { ...stored, rope_type: type === "su" || type === "yarn" ? "longrope" : type };
  return ropeOf(c, { D, maxPositions: 4096, original: 4096, partial: 1, dict });
}
