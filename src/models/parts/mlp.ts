/** @file The MLP sublayer: plain, gated, or a mixture of experts that computes each token's chosen experts only. */
import type { GraphBuilder } from "../../graph/builder.js";
import type { Axes, Value } from "../../graph/graph.js";
import * as op from "../../graph/ops.js";
import type { ExpertSpec, ExpertsSpec, GatedMlpSpec, MlpSpec, PlainMlpSpec } from "../spec.js";
import { activate } from "./activations.js";
import { linear, type Stream } from "./weights.js";

/** The MLP of a stream, before any norm or multiplier that follows, named on the way. */
export function mlp(g: GraphBuilder, x: Stream, spec: MlpSpec): Stream {
  if (spec.kind === "plain") return plainMlp(g, x, spec);
  if (spec.kind === "gated") return gatedMlp(g, x, spec, (name, value) => g.name(name, value));
  return expertsMlp(g, x, spec);
}

function plainMlp(g: GraphBuilder, x: Stream, spec: PlainMlpSpec): Stream {
  const pre = g.name("mlp_pre", linear(g, x, spec.in, "d_mlp"));
  const post = g.name("mlp_post", activate(g, spec.activation, pre));
  return linear(g, post, spec.out, "d_model");
}

type Naming = <A extends Axes>(name: string, value: Value<A>) => Value<A>;

function gatedMlp(g: GraphBuilder, x: Stream, spec: GatedMlpSpec, name: Naming): Stream {
  const gate = name("mlp_gate", linear(g, x, spec.gate, "d_mlp"));
  const up = name("mlp_up", linear(g, x, spec.up, "d_mlp"));
  const post = name("mlp_post", op.multiply(g, activate(g, spec.activation, gate), up));
  return linear(g, post, spec.down, "d_model");
}

function expertsMlp(g: GraphBuilder, x: Stream, spec: ExpertsSpec): Stream {
  const logits = g.name("router_logits", linear(g, x, spec.router, "expert"));
  const { chosen, weights } = route(g, logits, spec);
  const parts = spec.experts.map((expert, index) => expertPart(g, x, { expert, index, chosen, weights }));
  const tokens = op.concat(
    g,
    parts.map((part) => part.tokens),
    0,
    ["found", "one"],
  );
  const terms = op.concat(
    g,
    parts.map((part) => part.terms),
    0,
    ["found", "d_model"],
  );
  const zeros = op.multiply(g, x, g.constant([0], []));
  return op.scatterAdd(g, zeros, tokens, terms);
}

/** Which experts each token goes to, best first, and with what weight: token, chosen. Weights follow the choice, also an edited one. */
function route(g: GraphBuilder, logits: Value, spec: ExpertsSpec): { chosen: Value; weights: Value } {
  const scores = spec.softmax === "all" ? op.softmax(g, logits) : logits;
  const best = op.largest(g, scores, spec.topK, "chosen");
  const chosen = g.name("experts", op.cast(g, best, "int32"));
  const picked = op.gatherElements(g, scores, chosen);
  const weights = spec.softmax === "chosen" ? op.softmax(g, picked) : picked;
  if (!spec.normalise) return { chosen, weights: g.name("expert_weights", weights) };
  const total = op.reshape(g, op.sum(g, weights, 1, ["token"]), [-1, 1], ["token", "one"]);
  return { chosen, weights: g.name("expert_weights", op.divide(g, weights, total)) };
}

/** One expert's weighted output for the tokens that chose it, and which tokens these are. */
function expertPart(
  g: GraphBuilder,
  x: Stream,
  { expert, index, chosen, weights }: { expert: ExpertSpec; index: number; chosen: Value; weights: Value },
): { tokens: Value; terms: Value } {
  const hits = op.equal(g, chosen, g.constant([index], [], { dtype: "int32" }));
  const places = op.transpose(g, op.nonZero(g, hits), [1, 0], ["found", "coordinate"]);
  const tokens = op.slice(g, places, { axis: 1, start: 0, end: 1 });
  const rows = op.gatherNd(g, x, tokens, ["token", "d_model"] as const);
  const out = expert.kind === "gated" ? gatedMlp(g, rows, expert, (_, value) => value) : clampedMlp(g, rows, expert);
  const weight = op.reshape(g, op.gatherNd(g, weights, places, ["found"]), [-1, 1], ["found", "one"]);
  return { tokens, terms: op.multiply(g, out, weight) };
}

/** gpt-oss: `(up + 1) · gate · σ(α gate)` with the gate capped above and the other branch on both sides. */
function clampedMlp(g: GraphBuilder, x: Stream, spec: Extract<ExpertSpec, { kind: "clamped" }>): Stream {
  const both = op.reshape(g, linear(g, x, spec.gateUp, "d_mlp·2"), [-1, spec.dMlp, 2], ["token", "d_mlp", "part"]);
  const halves = op.split(g, both, [1, 1], { axis: 2, axes: [0, 1].map(() => ["token", "d_mlp", "one"]) });
  const [gateBranch, upBranch] = halves.map((half) => op.reshape(g, half, [-1, spec.dMlp], ["token", "d_mlp"] as const));
  const gate = op.clip(g, gateBranch!, undefined, spec.limit);
  const up = op.clip(g, upBranch!, -spec.limit, spec.limit);
  const glu = op.unary(g, "QuickGelu", gate, { alpha: { float: spec.alpha } });
  return linear(g, op.multiply(g, op.add(g, up, g.constant([1], [])), glu), spec.down, "d_model");
}
