/** @file GPT-2: learned positions, LayerNorm in front, one packed projection, weights stored input first (`Conv1D`). */
import { add, linear, map, transpose, type Floats } from "../arrays.js";
import { activation } from "../activations.js";
import { attend, cutHeads, join, outputOfHeads } from "../attention.js";
import { embed, embedPositions, unembed } from "../ends.js";
import { layerNorm, seeNorm } from "../norms.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function gpt2(run: Run): Floats {
  const { config: c } = run;
  const [C, H] = [c.number(["n_embd", "hidden_size"]), c.number(["n_head", "num_attention_heads"])];
  const eps = c.number("layer_norm_epsilon", 1e-5);
  const act = c.text("activation_function", "gelu_new");
  let x = add(embed(run, "transformer.wte.weight"), embedPositions(run, "transformer.wpe.weight"));
  for (let layer = 0; layer < c.number(["n_layer", "num_hidden_layers"]); layer++) {
    const block = run.block(layer, "transformer.h");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, layerNorm(block, "ln_1", eps));
    const qkv = run.has(`transformer.h.${layer}.attn.c_attn.bias`) ? conv(block, h, "attn.c_attn") : unbiased(block, h, "attn.c_attn");
    const heads = cutHeads(block, qkv, { H, KV: H, D: C / H });
    const byWidth = c.flag("scale_attn_weights", true) ? (C / H) ** -0.5 : 1;
    const byLayer = c.flag("scale_attn_by_inverse_layer_idx", false) ? 1 / (layer + 1) : 1;
    const z = attend(block, heads, { scale: byWidth * byLayer });
    const wo = transpose(block.weight("attn.c_proj.weight"));
    const mid = join(block, "resid_mid", x, block.see("attn_out", outputOfHeads(block, z, wo, block.weight("attn.c_proj.bias"))));
    const m = seeNorm(block, "ln2", mid, layerNorm(block, "ln_2", eps));
    const pre = block.see("mlp_pre", conv(block, m, "mlp.c_fc"));
    const post = block.see("mlp_post", map(pre, activation(act)));
    x = join(block, "resid_post", mid, block.see("mlp_out", conv(block, post, "mlp.c_proj")));
  }
  const last = seeNorm(run, "final", x, layerNorm(run, "transformer.ln_f", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "transformer.wte.weight", tied: true });
}

/** x W: a bias that the file lacks is zero in `transformers`. */
function unbiased(block: Scope, x: Floats, name: string): Floats {
  return linear(x, transpose(block.weight(`${name}.weight`)));
}

/** x W + b, with `W [I, O]`. */
function conv(block: Scope, x: Floats, name: string): Floats {
  return linear(x, transpose(block.weight(`${name}.weight`)), block.weight(`${name}.bias`));
}
