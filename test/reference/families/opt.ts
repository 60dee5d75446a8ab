/** @file OPT: learned positions from row 2 on, queries scaled before the scores, norms in front of the branches or after the sums. */
import { add, linear, scale, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import { embedPositions, tokenRows, unembed } from "../ends.js";
import { plainMlp } from "../mlp.js";
import { layerNorm, normalize, seeNorm, type Norm } from "../norms.js";
import type { Run, Scope } from "../run.js";

const EPS = 1e-5;

/** The logits `[T, V]`. */
export function opt(run: Run): Floats {
  const { config: c } = run;
  const before = c.flag("do_layer_norm_before", true);
  let x = start(run);
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.decoder.layers");
    x = block.see("resid_pre", x);
    const [ln1, ln2] = [norm(run, block, "self_attn_layer_norm"), norm(run, block, "final_layer_norm")];
    const attn = attention(run, block, before ? seeNorm(block, "ln1", x, ln1) : x);
    const sum = add(x, block.see("attn_out", attn));
    const mid = block.see("resid_mid", before ? sum : normalize(sum, ln1));
    const rule = { act: c.text("activation_function", "relu"), bias: c.flag("enable_bias", true) };
    const out = plainMlp(block, before ? seeNorm(block, "ln2", mid, ln2) : mid, ["fc1", "fc2"], rule);
    const mlp = block.see("mlp_out", out);
    x = before ? join(block, "resid_post", mid, mlp) : block.see("resid_post", normalize(add(mid, mlp), ln2));
  }
  return finish(run, x);
}

/** project_in(token row) + position row; the projection only where token rows have another width than the stream. */
function start(run: Run): Floats {
  const words = tokenRows(run, "model.decoder.embed_tokens.weight");
  const narrow = words.shape[1] !== run.config.number("hidden_size");
  const x = run.see("embed", narrow ? linear(words, run.weight("model.decoder.project_in.weight")) : words);
  return add(x, embedPositions(run, "model.decoder.embed_positions.weight", 2));
}

function attention({ config: c }: Run, block: Scope, x: Floats): Floats {
  const [C, H] = [c.number("hidden_size"), c.number("num_attention_heads")];
  const bias = c.flag("enable_bias", true);
  const { q, k, v } = projectHeads(block, x, "self_attn", { H, KV: H, D: C / H, bias });
  const z = attend(block, { q: scale(q, (C / H) ** -0.5), k, v }, { scale: 1 });
  return attentionOutput(block, z, "self_attn.out_proj", bias);
}

/** Final norm (where there is one), then project_out, then the head. */
function finish(run: Run, x: Floats): Floats {
  const { config: c } = run;
  const normed = c.flag("do_layer_norm_before", true) && !c.flag("_remove_final_layer_norm", false);
  const last = normed ? seeNorm(run, "final", x, norm(run, run, "model.decoder.final_layer_norm")) : x;
  const embedding = "model.decoder.embed_tokens.weight";
  const narrow = run.weight(embedding).shape[1] !== c.number("hidden_size");
  const out = narrow ? linear(last, run.weight("model.decoder.project_out.weight")) : last;
  return unembed(run, out, { head: ["lm_head.weight"], embedding, tied: true });
}

function norm(run: Run, scope: Scope, name: string): Norm {
  return run.config.flag("layer_norm_elementwise_affine", true) ? layerNorm(scope, name, EPS) : { centre: true, eps: EPS };
}
