/** @file Phi: attention and MLP read the same LayerNorm side by side; half of each head turns; biases everywhere. */
import { add, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { plainMlp } from "../mlp.js";
import { layerNorm, normalize, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function phi(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c);
  const eps = c.number("layer_norm_eps", 1e-5);
  const act = c.text("hidden_act", "gelu_new");
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 2048, partial: 0.5 });
  const perHead = (block: Scope, name: string, x: Floats): Floats =>
    c.flag("qk_layernorm", false) ? normalize(x, layerNorm(block, name, eps)) : x;
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, layerNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias: true });
    const turnedQ = turn(perHead(block, "self_attn.q_layernorm", q), rope, lengths);
    const turnedK = turn(perHead(block, "self_attn.k_layernorm", k), rope, lengths);
    const z = attend(block, { q: turnedQ, k: turnedK, v }, { scale: sizes.D ** -0.5 });
    const attn = block.see("attn_out", attentionOutput(block, z, "self_attn.dense", true));
    const mlp = block.see("mlp_out", plainMlp(block, h, ["mlp.fc1", "mlp.fc2"], { act, bias: true }));
    x = join(block, "resid_post", x, add(attn, mlp));
  }
  const last = seeNorm(run, "final", x, layerNorm(run, "model.final_layernorm", eps));
  const embedding = "model.embed_tokens.weight";
  return unembed(run, last, { head: ["lm_head.weight"], embedding, tied: false, bias: "lm_head.bias" });
}
