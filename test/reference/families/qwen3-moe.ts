/** @file Qwen 3 with experts: Qwen 3 attention; a layer's MLP is a mixture unless the file says otherwise. */
import { linear, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes, type Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { fusedExpert, gatedExpert, mixExperts, routeAfterSoftmax } from "../experts.js";
import { gatedMlp } from "../mlp.js";
import { normalize, rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function qwen3Moe(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 4 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const act = c.text("hidden_act", "silu");
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 32768 });
  const window = c.flag("use_sliding_window", false) ? c.optional("sliding_window", 4096) : undefined;
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const turnedQ = turn(normalize(q, rmsNorm(block, "self_attn.q_norm", eps)), rope, lengths);
    const turnedK = turn(normalize(k, rmsNorm(block, "self_attn.k_norm", eps)), rope, lengths);
    const z = attend(block, { q: turnedQ, k: turnedK, v }, { scale: sizes.D ** -0.5, window });
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", bias)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    const out = mixesAt(c, layer) ? mixture(run, block, { layer, x: m }) : gatedMlp(block, m, "mlp", { act });
    x = join(block, "resid_post", mid, block.see("mlp_out", out));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}

/** Every `decoder_sparse_step`-th layer that is not listed in `mlp_only_layers`. */
function mixesAt(c: Config, layer: number): boolean {
  const dense = c.list("mlp_only_layers")?.includes(layer) ?? false;
  const experts = c.number(["num_experts", "num_local_experts"], 128);
  return !dense && experts > 0 && (layer + 1) % c.number("decoder_sparse_step", 1) === 0;
}

function mixture({ config: c, has }: Run, block: Scope, { layer, x }: { layer: number; x: Floats }): Floats {
  const rule = { K: c.number("num_experts_per_tok", 8), normalise: c.flag("norm_topk_prob", false) };
  const route = routeAfterSoftmax(block, linear(x, block.weight("mlp.gate.weight")), rule);
  const fused = has(`model.layers.${layer}.mlp.experts.gate_up_proj`);
  const weight = (e: number, name: string): Floats => block.weight(`mlp.experts.${e}.${name}_proj.weight`);
  return mixExperts(x, route, (e) => {
    const own = fused ? fusedExpert(block, "mlp.experts", e) : { gate: weight(e, "gate"), up: weight(e, "up"), down: weight(e, "down") };
    return gatedExpert(own, c.text("hidden_act", "silu"));
  });
}
