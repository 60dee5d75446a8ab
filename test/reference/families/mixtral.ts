/** @file Mixtral: a Mistral whose MLP is a mixture: softmax over all experts, the best K, their weights divided by the sum. */
import { linear, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes } from "../config.js";
import { embed, unembed } from "../ends.js";
import { fusedExpert, gatedExpert, mixExperts, routeAfterSoftmax } from "../experts.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function mixtral(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 8 });
  const eps = c.number("rms_norm_eps", 1e-5);
  const rope = ropeOf(c, { D: sizes.D, theta: 1e6, maxPositions: 131072 });
  const rule = { scale: sizes.D ** -0.5, window: c.optional("sliding_window") };
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias: false });
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, rule);
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", false)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    x = join(block, "resid_post", mid, block.see("mlp_out", mixture(run, block, { layer, x: m })));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}

/** Hub files hold an expert's w1 (gate), w3 (up) and w2 (down); the newest library may save all experts in two tensors. */
function mixture({ config: c, has }: Run, block: Scope, { layer, x }: { layer: number; x: Floats }): Floats {
  const fused = has(`model.layers.${layer}.mlp.experts.gate_up_proj`);
  const router = block.weight(fused ? "mlp.gate.weight" : "block_sparse_moe.gate.weight");
  const route = routeAfterSoftmax(block, linear(x, router), { K: c.number("num_experts_per_tok", 2), normalise: true });
  const weight = (e: number, name: string): Floats => block.weight(`block_sparse_moe.experts.${e}.${name}.weight`);
  return mixExperts(x, route, (e) => {
    const own = fused ? fusedExpert(block, "mlp.experts", e) : { gate: weight(e, "w1"), up: weight(e, "w3"), down: weight(e, "w2") };
    return gatedExpert(own, c.text("hidden_act", "silu"));
  });
}
