/** @file Qwen 2: a Llama with biases on q, k and v only; the layers from `max_window_layers` on may see only a window. */
import type { Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { headSizes, type Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { gatedMlp } from "../mlp.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function qwen2(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 32 });
  const eps = c.number("rms_norm_eps", 1e-6);
  const rope = ropeOf(c, { D: sizes.D, maxPositions: 32768 });
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias: true });
    const rule = { scale: sizes.D ** -0.5, window: qwenWindow(c, layer) };
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, rule);
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", false)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    x = join(block, "resid_post", mid, block.see("mlp_out", gatedMlp(block, m, "mlp", { act: c.text("hidden_act", "silu") })));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}

/** The layer's window, if `use_sliding_window` allows any: by `layer_types`, or from layer `max_window_layers` on. */
export function qwenWindow(c: Config, layer: number): number | undefined {
  if (!c.flag("use_sliding_window", false)) return undefined;
  const types = c.list("layer_types");
  const slides = types ? types[layer] === "sliding_attention" : layer >= c.number("max_window_layers", 28);
  return slides ? c.optional("sliding_window", 4096) : undefined;
}
