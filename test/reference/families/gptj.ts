/** @file GPT-J: attention and MLP read the same norm side by side; rotary turns neighbouring coordinates; the head has a bias. */
import { add, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { embed, unembed } from "../ends.js";
import { plainMlp } from "../mlp.js";
import { layerNorm, seeNorm } from "../norms.js";
import { neighbourRope, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function gptj(run: Run): Floats {
  const { config: c, lengths } = run;
  const [C, H] = [c.number(["n_embd", "hidden_size"]), c.number(["n_head", "num_attention_heads"])];
  const eps = c.number("layer_norm_epsilon", 1e-5);
  const act = c.text("activation_function", "gelu_new");
  const rope = neighbourRope(c.number("rotary_dim", 64));
  let x = embed(run, "transformer.wte.weight");
  for (let layer = 0; layer < c.number(["n_layer", "num_hidden_layers"]); layer++) {
    const block = run.block(layer, "transformer.h");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, layerNorm(block, "ln_1", eps));
    const { q, k, v } = projectHeads(block, h, "attn", { H, KV: H, D: C / H, bias: false });
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, { scale: (C / H) ** -0.5 });
    const attn = block.see("attn_out", attentionOutput(block, z, "attn.out_proj", false));
    const mlp = block.see("mlp_out", plainMlp(block, h, ["mlp.fc_in", "mlp.fc_out"], { act, bias: true }));
    x = join(block, "resid_post", x, add(attn, mlp));
  }
  const last = seeNorm(run, "final", x, layerNorm(run, "transformer.ln_f", eps));
  const embedding = "transformer.wte.weight";
  return unembed(run, last, { head: ["lm_head.weight"], embedding, tied: false, bias: "lm_head.bias" });
}
