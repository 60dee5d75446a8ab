/** @file gpt-oss: a sink a head in the softmax, a window in every other layer, yarn rotary, experts with a clamped gate. */
import { add, floats, linear, slab, transpose, type Floats } from "../arrays.js";
import { clip, sigmoid } from "../activations.js";
import { attend, attentionOutput, dense, join, projectHeads } from "../attention.js";
import { headSizes, type Config } from "../config.js";
import { embed, unembed } from "../ends.js";
import { mixExperts, routeBeforeSoftmax, type Expert } from "../experts.js";
import { rmsNorm, seeNorm } from "../norms.js";
import { ropeOf, turn } from "../rope.js";
import type { Run, Scope } from "../run.js";

const YARN = { rope_type: "yarn", factor: 32, beta_fast: 32, beta_slow: 1, truncate: false, original_max_position_embeddings: 4096 };

/** The logits `[T, V]`. */
export function gptOss(run: Run): Floats {
  const { config: c, lengths } = run;
  const sizes = headSizes(c, { kv: 8, width: 64 });
  const eps = c.number("rms_norm_eps", 1e-5);
  const bias = c.flag("attention_bias", true);
  const dict = c.object("rope_scaling") ?? c.object("rope_parameters") ?? YARN;
  const rope = ropeOf(c, { D: sizes.D, theta: 150000, maxPositions: 131072, dict });
  let x = embed(run, "model.embed_tokens.weight");
  for (let layer = 0; layer < c.number("num_hidden_layers"); layer++) {
    const block = run.block(layer, "model.layers");
    x = block.see("resid_pre", x);
    const h = seeNorm(block, "ln1", x, rmsNorm(block, "input_layernorm", eps));
    const { q, k, v } = projectHeads(block, h, "self_attn", { ...sizes, bias });
    const rule = { scale: sizes.D ** -0.5, window: windowOf(c, layer), sinks: block.weight("self_attn.sinks") };
    const z = attend(block, { q: turn(q, rope, lengths), k: turn(k, rope, lengths), v }, rule);
    const mid = join(block, "resid_mid", x, block.see("attn_out", attentionOutput(block, z, "self_attn.o_proj", bias)));
    const m = seeNorm(block, "ln2", mid, rmsNorm(block, "post_attention_layernorm", eps));
    const route = routeBeforeSoftmax(block, dense(block, m, "mlp.router", true), c.number("num_experts_per_tok", 4));
    const packed = run.has(`model.layers.${layer}.mlp.experts.gate_up_proj_blocks`);
    const out = mixExperts(m, route, (e) => clampedExpert(c, block, { e, packed }));
    x = join(block, "resid_post", mid, block.see("mlp_out", out));
  }
  const last = seeNorm(run, "final", x, rmsNorm(run, "model.norm", eps));
  return unembed(run, last, { head: ["lm_head.weight"], embedding: "model.embed_tokens.weight", tied: false });
}

/** Even columns of the first matrix are the gate, odd ones up: (up + 1) · gate · σ(α gate), both clamped. */
function clampedExpert(c: Config, block: Scope, { e, packed }: { e: number; packed: boolean }): Expert {
  const [alpha, limit] = [c.number("swiglu_alpha", 1.702), c.number("swiglu_limit", 7)];
  const part = (name: string): Floats => slab(block.weight(`mlp.experts.${name}`), e);
  const matrix = (name: string): Floats => (packed ? unpackMxfp4(part(`${name}_blocks`), part(`${name}_scales`)) : transpose(part(name)));
  return (x) => {
    const both = linear(x, matrix("gate_up_proj"), part("gate_up_proj_bias")).data;
    const post = Float64Array.from({ length: both.length / 2 }, (_, i) => {
      const [gate, up] = [Math.min(both[2 * i]!, limit), clip(both[2 * i + 1]!, -limit, limit)];
      return (up + 1) * gate * sigmoid(alpha * gate);
    });
    return add(linear(floats([1, post.length], post), matrix("down_proj")), part("down_proj_bias"));
  };
}

/** The sixteen values of a half byte. */
const FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** `[out, in]` from bytes `[out, in / 32, 16]`, two values a byte and the low half first, times 2^(scale − 127) a block of 32. */
function unpackMxfp4(blocks: Floats, scales: Floats): Floats {
  const [O = 0, groups = 0] = blocks.shape;
  const out = floats([O, groups * 32]);
  blocks.data.forEach((byte, i) => {
    const by = 2 ** (scales.data[Math.floor(i / 16)]! - 127);
    out.data[2 * i] = FP4[byte % 16]! * by;
    out.data[2 * i + 1] = FP4[Math.floor(byte / 16)]! * by;
  });
  return out;
}

/** By `layer_types`; without it the even layers slide. */
function windowOf(c: Config, layer: number): number | undefined {
  const types = c.list("layer_types");
  const slides = types ? types[layer] === "sliding_attention" : layer % 2 === 0;
  return slides ? c.optional("sliding_window", 128) : undefined;
}
