/** @file GPT-Neo: as GPT-2, but scores are not scaled and every other layer sees only a window of keys. */
import { add, type Floats } from "../arrays.js";
import { attend, attentionOutput, join, projectHeads } from "../attention.js";
import type { Config } from "../config.js";
import { embed, embedPositions, unembed } from "../ends.js";
import { plainMlp } from "../mlp.js";
import { layerNorm, seeNorm } from "../norms.js";
import type { Run } from "../run.js";

/** The logits `[T, V]`. */
export function gptNeo(run: Run): Floats {
  const { config: c } = run;
  const [C, H] = [c.number("hidden_size"), c.number(["num_heads", "num_attention_heads"])];
  const eps = c.number("layer_norm_epsilon", 1e-5);
  const act = c.text("activation_function", "gelu_new");
  const kinds = layerKinds(c);
  let x = add(embed(run, "transformer.wte.weight"), embedPositions(run, "transformer.wpe.weight"));
  for (let layer = 0; layer < c.number(["num_layers", "num_hidden_layers"]); layer++) {
    const block = run.block(layer, "transformer.h");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, layerNorm(block, "ln_1", eps));
    const heads = projectHeads(block, h, "attn.attention", { H, KV: H, D: C / H, bias: false });
    const window = kinds[layer] === "local" ? c.number("window_size", 256) : undefined;
    const z = attend(block, heads, { scale: 1, window });
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "attn.attention.out_proj", true)));
    const m = seeNorm(block, "ln2", mid, layerNorm(block, "ln_2", eps));
    const out = plainMlp(block, m, ["mlp.c_fc", "mlp.c_proj"], { act, bias: true });
    x = join(block, "resid_post", mid, block.see("mlp_out", out));
  }
  const last = seeNorm(run, "final", x, layerNorm(run, "transformer.ln_f", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "transformer.wte.weight", tied: true });
}

/** `attention_layers`, or `attention_types` written out: `[[["global", "local"], 2]]` → global, local, global, local. */
function layerKinds(c: Config): readonly unknown[] {
  const types = (c.list("attention_types") ?? [[["global", "local"], 12]]) as [string[], number][];
  return c.list("attention_layers") ?? types.flatMap(([kinds, times]) => Array.from({ length: times }, () => kinds).flat());
}
