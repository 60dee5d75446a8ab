/** @file SmolLM 3: a Llama in which every fourth layer does not turn its heads (`no_rope_layers`: 1 turns, 0 does not). */
import type { Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes, type Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function smollm3(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 4 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const bias = c.flag("attention_bias", false);
  const rope = ropeOf(c, { D: sizes.D, theta: 2e6, maxPositions: 32768 });
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const placed = (heads: Floats): Floats => (turnsAt(c, layer) ? turn(heads, rope, lengths) : heads);
    const z = attend(block, { q: placed(q), k: placed(k), v }, { scale: sizes.D ** -0.5, window: windowOf(c, layer) });
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", bias)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    const mlp = gatedMlp(block, m, "mlp", { act: c.text("hidden_act", "silu"), bias: c.flag("mlp_bias", false) });
    x = join(block, "resid_post", mid, block.see("mlp_out", mlp));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: true });
}

function turnsAt(c: Config, layer: number): boolean {
  const given = c.list("no_rope_layers");
  return given ? Boolean(given[layer]) : (layer + 1) % c.number("no_rope_layer_interval", 4) !== 0;
}

/** By `layer_types`; without it a layer slides where `use_sliding_window` is set and nothing turns. */
function windowOf(c: Config, layer: number): number | undefined {
  const types = c.list("layer_types");
  const slides = types ? types[layer] === "sliding_attention" : c.flag("use_sliding_window", false) && !turnsAt(c, layer);
  return slides ? c.optional("sliding_window") : undefined;
}
