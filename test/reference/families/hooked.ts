/** @file TransformerLens' own checkpoints (`hooked_transformer`): heads have their own matrices, nothing is normalised. */
import { add, linear, map, reshape, transpose, floats, type Floats } from "../arrays.js";
import { activation } from "../activations.js";
import { attend, join, outputOfHeads, splitHeads } from "../attention.js";
import { embed, embedPositions } from "../ends.js";
import type { Run, Scope } from "../run.js";

/** The logits `[T, V]`. */
export function hooked(run: Run): Floats {
  const { config: c } = run;
  if (c.values["normalization_type"]) throw new Error("hooked_transformer with a norm is not covered");
  let x = add(embed(run, "embed.W_E"), embedPositions(run, "pos_embed.W_pos"));
  for (let layer = 0; layer < c.number("n_layers"); layer++) {
    const block = run.block(layer, "blocks");
    x = block.see("resid_pre", x);
    const attn = block.see("attn_out", attention(block, x, c.number("n_heads")));
    if (c.flag("attn_only", false)) x = join(block, "resid_post", x, attn);
    else {
      const mid = join(block, "resid_mid", x, attn);
      x = join(block, "resid_post", mid, block.see("mlp_out", mlp(block, mid, c.text("act_fn", "relu"))));
    }
  }
  return linear(x, transpose(run.weight("unembed.W_U")), run.weight("unembed.b_U"));
}

function attention(block: Scope, x: Floats, H: number): Floats {
  const project = (point: string): Floats => {
    const [w, b] = [block.weight(`attn.W_${point.toUpperCase()}`), block.weight(`attn.b_${point.toUpperCase()}`)];
    return block.see(point, splitHeads(linear(x, headsToRows(w), b), H));
  };
  const [q, k, v] = [project("q"), project("k"), project("v")];
  const z = attend(block, { q, k, v }, { scale: q.shape[2]! ** -0.5 });
  const out = block.weight("attn.W_O");
  const [heads = 0, D = 0, C = 0] = out.shape;
  return outputOfHeads(block, z, transpose(reshape(out, [heads * D, C])), block.weight("attn.b_O"));
}

/** `[H, C, D]` → `[H · D, C]`. */
function headsToRows(w: Floats): Floats {
  const [H = 0, C = 0, D = 0] = w.shape;
  const turned = Array.from({ length: H }, (_, h) => transpose(floats([C, D], w.data.subarray(h * C * D, (h + 1) * C * D))));
  return floats([H * D, C], Float64Array.from(turned.flatMap(({ data }) => [...data])));
}

function mlp(block: Scope, x: Floats, act: string): Floats {
  const pre = block.see("mlp_pre", linear(x, transpose(block.weight("mlp.W_in")), block.weight("mlp.b_in")));
  const post = block.see("mlp_post", map(pre, activation(act)));
  return linear(post, transpose(block.weight("mlp.W_out")), block.weight("mlp.b_out"));
}
