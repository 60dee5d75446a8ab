/** @file The two dense MLPs: one with a single branch, one whose branch is gated by another. */
import { map, multiply, type Floats } from "./arrays.js";
import { activation } from "./activations.js";
import { dense } from "./attention.js";
import type { Scope } from "./run.js";

/** W_out act(W_in x + b) + b, with the tensors of `first` and `second`. */
export function plainMlp(
  block: Scope,
  x: Floats,
  [first, second]: readonly [string, string],
  rule: { act: string; bias: boolean },
): Floats {
  const pre = block.see("mlp_pre", dense(block, x, first, rule.bias));
  const post = block.see("mlp_post", map(pre, activation(rule.act)));
  return dense(block, post, second, rule.bias);
}

/** W_down (act(W_gate x) · W_up x), with the tensors `name.{gate,up,down}_proj`. */
export function gatedMlp(block: Scope, x: Floats, name: string, { act, bias = false }: { act: string; bias?: boolean }): Floats {
  const gate = block.see("mlp_gate", dense(block, x, `${name}.gate_proj`, bias));
  const up = block.see("mlp_up", dense(block, x, `${name}.up_proj`, bias));
  const post = block.see("mlp_post", multiply(map(gate, activation(act)), up));
  return dense(block, post, `${name}.down_proj`, bias);
}
