/**
 * @file Names of other frameworks. Every row of the tables is walked over specs of every shape, and what it gives is held against
 * what the tensors were measured to be when the frameworks themselves ran the golden models.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { foreignNamesTable, NAMES_PAGE } from "../../scripts/docs-names.js";
import { isSextantError, SextantError } from "../../src/base/errors.js";
import { readJsonObject } from "../../src/formats/json-file.js";
import { openCheckpoint } from "../../src/formats/safetensors.js";
import { allPlaces, parseAddress } from "../../src/models/address.js";
import { expandForeignName, translateForeignName } from "../../src/models/foreign-names.js";
import { FOREIGN } from "../../src/models/foreign-tables.js";
import { readModelSpec } from "../../src/models/read-spec.js";
import type { ExpertSpec, LayerSpec, LinearSpec, MlpSpec, ModelSpec, NormSpec, WeightRef } from "../../src/models/spec.js";
import { hasShared, sharedPath } from "../shared.js";

const weight: WeightRef = { name: "w", shape: [4, 4] };
const linear: LinearSpec = { weight, layout: "out_in", in: 4, out: 4 };
const norm: NormSpec = { kind: "layer", eps: 1e-5, weight: { name: "n", shape: [4] } };
const bareNorm: NormSpec = { kind: "layer", eps: 1e-5 };
const plain: MlpSpec = { kind: "plain", in: linear, out: linear, activation: "gelu", dMlp: 4 };
const gated: MlpSpec & ExpertSpec = { kind: "gated", gate: linear, up: linear, down: linear, activation: "silu", dMlp: 4 };
const clamped: ExpertSpec = { kind: "clamped", gateUp: linear, down: linear, alpha: 1.7, limit: 7, dMlp: 4 };
const attention = {
  heads: 2,
  kvHeads: 2,
  dHead: 2,
  qkv: { kind: "separate", q: linear, k: linear, v: linear },
  out: linear,
  scale: 1,
} as const;
const only: LayerSpec = { wiring: "sequential", attention };

function experts(expert: ExpertSpec): MlpSpec {
  return { kind: "experts", router: linear, topK: 1, softmax: "all", normalise: true, experts: [expert, expert] };
}

function model(layers: readonly LayerSpec[], ends: Partial<Pick<ModelSpec, "embedding" | "head">> = {}): ModelSpec {
  const sizes = { family: "made by hand", dModel: 4, vocab: 4, vocabOut: 4, context: undefined };
  return {
    ...sizes,
    embedding: { tokens: weight },
    rotaries: [],
    layers,
    head: { norm, unembed: linear },
    special: { eos: [] },
    notUnderstood: [],
    ...ends,
  };
}

/** Three layers of the same shape. */
function uniform(layer: LayerSpec, ends: Parameters<typeof model>[1] = {}): ModelSpec {
  return model([layer, layer, layer], ends);
}

const SPECS = {
  plain: uniform({ ...only, ln1: norm, ln2: norm, mlp: plain }, { embedding: { tokens: weight, positions: { weight, offset: 0 } } }),
  gated: uniform({ ...only, ln1: norm, ln2: norm, mlp: gated }),
  "parallel, one norm": uniform({ ...only, wiring: "parallel", ln1: norm, mlp: plain }),
  "parallel, two norms": uniform({ ...only, wiring: "parallel", ln1: norm, ln2: norm, mlp: plain }),
  "norms after": uniform({ ...only, attnPostNorm: norm, mlpPostNorm: norm, mlp: gated }),
  sandwich: uniform(
    { ...only, ln1: norm, ln2: norm, attnPostNorm: norm, mlpPostNorm: norm, mlp: gated },
    { embedding: { tokens: weight, multiplier: 2 }, head: { norm, unembed: linear, softcap: 30 } },
  ),
  multipliers: uniform(
    { ...only, ln1: norm, ln2: norm, mlp: gated, residualMultiplier: 0.5 },
    { head: { norm, unembed: linear, multiplier: 0.25 } },
  ),
  experts: uniform({ ...only, ln1: norm, ln2: norm, mlp: experts(gated) }),
  "clamped experts": uniform({ ...only, ln1: norm, ln2: norm, mlp: experts(clamped) }),
  alibi: uniform(
    { ...only, attention: { ...attention, alibi: [1, 0.5] }, ln1: norm, ln2: norm, mlp: plain },
    { embedding: { tokens: weight, norm } },
  ),
  "residual from the norm": uniform({ ...only, ln1: norm, ln2: norm, mlp: plain, residualFromNorm: true }),
  "attention only, weightless norms": uniform({ ...only, ln1: bareNorm }, { head: { norm: bareNorm, unembed: linear } }),
  "weightless norms": uniform({ ...only, ln1: bareNorm, ln2: bareNorm, mlp: plain }),
  "projections, no last norm": uniform(
    { ...only, mlp: plain },
    { embedding: { tokens: weight, project: linear }, head: { unembed: linear, project: linear } },
  ),
  mixed: model([
    { ...only, ln1: norm, ln2: norm, mlp: gated },
    { ...only, ln1: norm, ln2: norm, mlp: experts(gated) },
    { ...only, ln1: norm },
  ]),
} satisfies Record<string, ModelSpec>;

/** A row's name for one layer. */
function named(key: string, layer: string | number): string {
  return key.replace("*", String(layer)).replace("#", "1");
}

/** What a call throws, which must be an error of ours. */
function thrown(call: () => unknown): SextantError | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (isSextantError(error)) return error;
    throw error;
  }
}

test.each(Object.entries(SPECS))("every row is a point of the model, or refused with what and why: %s", (_, spec) => {
  for (const key of Object.keys(FOREIGN)) {
    for (const layer of key.includes("*") ? [0, 1, 2] : [0]) {
      const error = thrown(() => parseAddress(spec, named(key, layer)));
      if (!error) continue;
      expect(error.refusal?.what, error.message).toBeTruthy();
      expect(error.refusal?.why, error.message).toBeTruthy();
      expect(error.message).not.toMatch(/\*|undefined/);
    }
  }
});

test.each(Object.entries(FOREIGN))("%s is a point of some model, unless it is refused in all", (key, { to }) => {
  const found = Object.values(SPECS).some((spec) => [0, 1, 2].some((layer) => !thrown(() => parseAddress(spec, named(key, layer)))));
  const isRefused = typeof to !== "string" && ("why" in to || to.says.startsWith("refused"));
  expect(found).toBe(!isRefused);
});

describe("a name that depends on the model", () => {
  test.each<[spec: keyof typeof SPECS, name: string, address: string]>([
    ["plain", "blocks.2.mlp.hook_pre", "mlp_pre.2"],
    ["gated", "blocks.2.mlp.hook_pre", "mlp_gate.2"],
    ["experts", "blocks.2.mlp.hook_pre", "ln2_normalized.2"],
    ["experts", "blocks.2.mlp.gate.hook_out", "router_logits.2"],
    ["gated", "blocks.2.mlp.gate.hook_out", "mlp_gate.2"],
    ["experts", "blocks.2.mlp.hook_post", "mlp_out.2"],
    ["clamped experts", "blocks.0.mlp.hook_router_scores", "expert_weights.0"],
    ["plain", "blocks.1.attn.hook_out", "attn_out.1"],
    ["sandwich", "blocks.1.attn.hook_out", "attn_out_raw.1"],
    ["sandwich", "blocks.1.hook_attn_out", "attn_out.1"],
    ["sandwich", "mlps_output[1]", "mlp_out_raw.1"],
    ["multipliers", "attentions_output[1]", "attn_out_raw.1"],
    ["parallel, two norms", "blocks.1.mlp.hook_in", "ln2_normalized.1"],
    ["attention only, weightless norms", "blocks.1.ln1.hook_normalized", "ln1_normalized.1"],
    ["attention only, weightless norms", "ln_final.hook_normalized", "final_normalized"],
    ["alibi", "hook_embed", "resid_pre.0"],
    ["alibi", "embed.hook_out", "embed"],
    ["plain", "ln_final.hook_in", "resid_post.2"],
    ["plain", "unembed.hook_out", "logits"],
    ["projections, no last norm", "project_in.hook_out", "embed"],
  ])("%s: %s is %s", (spec, name, address) => {
    expect(parseAddress(SPECS[spec], name).address).toBe(address);
  });

  test.each<[spec: keyof typeof SPECS, name: string, message: string]>([
    [
      "plain",
      "blocks.1.ln1.hook_normalized",
      "blocks.1.ln1.hook_normalized is none of our points: it is what stands before the norm's weight and bias. Instead: ln1_normalized.1, which is after them",
    ],
    [
      "plain",
      "blocks.1.ln1.hook_in",
      "blocks.1.ln1.hook_in is none of our points: it is the copy of resid_pre.1 that only the norm in front of attention reads, so an edit there means something else. Instead: resid_pre.1, for the same numbers",
    ],
    [
      "parallel, one norm",
      "mlps_input[0]",
      "mlps_input[0] is none of our points: it is the copy of ln1_normalized.0 that only the MLP reads, so an edit there means something else. Instead: ln1_normalized.0, for the same numbers",
    ],
    [
      "sandwich",
      "unembed.hook_out",
      "unembed.hook_out is none of our points: it is what stands before this model's logit multiplier or soft cap. Instead: logits, which are after it",
    ],
    [
      "alibi",
      "blocks.1.attn.hook_out",
      "blocks.1.attn.hook_out is none of our points: in BLOOM this module adds the residual stream to its output. Instead: resid_mid.1 for that sum, attn_out.1 for what is added",
    ],
    ["plain", "hook_tokens", "hook_tokens is none of our points: it holds ids, not activations. Instead: the tokens of the request"],
    [
      "parallel, one norm",
      "blocks.1.hook_resid_mid",
      "there is no resid_mid.1: attention and MLP of this layer run in parallel, so the stream has no middle. Instead: attn_out and mlp_out",
    ],
  ])("%s: %s is refused", (spec, name, message) => {
    expect(thrown(() => parseAddress(SPECS[spec], name))?.message).toBe(message);
  });
});

describe("a layer's number", () => {
  it("is written with a dot or in brackets, and may count from the end", () => {
    expect(translateForeignName("layers_output.2", SPECS.plain)).toBe("resid_post.2");
    expect(translateForeignName("layers_output[2]", SPECS.plain)).toBe("resid_post.2");
    expect(parseAddress(SPECS.plain, "layers_output[-1]").address).toBe("resid_post.2");
    expect(parseAddress(SPECS.mixed, "blocks.-2.mlp.hook_pre").address).toBe("ln2_normalized.1");
  });

  it("must be one that the model has", () => {
    expect(thrown(() => parseAddress(SPECS.plain, "blocks.3.mlp.hook_pre"))?.message).toBe(
      "blocks.3.mlp.hook_pre: the model has layers 0 to 2",
    );
    expect(thrown(() => parseAddress(SPECS.plain, "blocks.-4.hook_resid_pre"))?.kind).toBe("request");
  });

  it("may be * in a list, which skips the layers that lack the point", () => {
    expect(expandForeignName("blocks.*.hook_resid_post", SPECS.plain)).toEqual(["resid_post.0", "resid_post.1", "resid_post.2"]);
    expect(expandForeignName("layers_output[*]", SPECS.plain)).toEqual(expandForeignName("layers_output.*", SPECS.plain));
    expect(expandForeignName("blocks.*.mlp.hook_pre", SPECS.mixed)).toEqual(["mlp_gate.0", "ln2_normalized.1"]);
    expect(expandForeignName("blocks.*.mlp.hook_expert_indices", SPECS.mixed)).toEqual(["experts.1"]);
  });

  it("may not be * where no layer has the point", () => {
    expect(thrown(() => expandForeignName("blocks.*.hook_q_input", SPECS.plain))?.refusal?.instead).toBe(
      "resid_pre.0, for the same numbers",
    );
    expect(expandForeignName("blocks.*.mlp.hook_pre_linear", SPECS.plain)).toEqual(["mlp_up.0"]);
  });

  it("may not be * where one address is asked for", () => {
    expect(translateForeignName("blocks.*.hook_resid_post", SPECS.plain)).toBe("blocks.*.hook_resid_post");
  });
});

describe("a name that no framework has", () => {
  // oxfmt-ignore
  test.each([
    "", ".", "*", "all", "resid_post.*", "resid_post.-1", "blocks", "blocks.1", "blocks.1.hook_zz", "blocks.hook_z", "blocks.1.2.attn.hook_z", "blocks.x.hook_resid_pre",
    "hook_embed.0", "layers_output", "layers_output[1", "layers_output[1][2]", "constructor", "__proto__", "toString", "blocks.#.mlp.hook_pre",
  ])("%j comes back as it was", (name) => {
    expect(translateForeignName(name, SPECS.plain)).toBe(name);
    expect(expandForeignName(name, SPECS.plain)).toEqual([name]);
  });

  it("is among them every address of ours", () => {
    for (const spec of Object.values(SPECS))
      for (const { address } of allPlaces(spec)) expect(translateForeignName(address, spec)).toBe(address);
  });
});

it("finds docs/names.md as the tables say", () => {
  expect(readFileSync(NAMES_PAGE, "utf8"), "run npx tsx scripts/docs-names.ts").toBe(foreignNamesTable());
});

// --- Held against the frameworks themselves: transformer-lens 4.3.0 and nnterp 1.3.0 (nnsight 0.6.3) on transformers 5.23.0 ran the
// golden models, and each tensor was compared (3e-5) with the golden's points. OPT with norms after the sublayers runs in neither.

const PLAIN = ["bloom-alibi", "gpt-neo-local", "gpt-neox-parallel", "gpt-neox-sequential", "gpt2", "gptj", "opt-pre", "phi"];
const RAW = ["gemma2", "gemma3", "granite", "olmo2"];
const MOE = ["gpt-oss", "mixtral", "qwen3-moe"];
const GEMMA = ["gemma", "gemma2", "gemma3"];
// oxfmt-ignore
const REST = [
  "llama-gqa", "llama-mha-tied", "llama-rope-dynamic", "llama-rope-linear", "llama-rope-yarn", "llama-v5-config-bf16-sharded", "llama3-rope", "mistral-sliding", "phi3",
  "phi3-longrope", "qwen2", "qwen3", "smollm3-nope",
];
const MODELS = [...new Set([...PLAIN, ...RAW, ...MOE, ...GEMMA, ...REST])];

/** Which point a tensor is in most models (`none`: no point), the names that have it, and in which models it is another (`?`: it did not fire). */
// oxfmt-ignore
const MEASURED: readonly [point: string, names: string, others?: Readonly<Record<string, readonly string[]>>][] = [
  ["embed", "embed.hook_out embed_ln.hook_in rotary_emb.hook_in"],
  ["embed", "hook_embed", { "resid_pre.0": ["bloom-alibi"] }],
  ["embed", "token_embeddings embed_tokens.output", { none: ["granite"] }],
  ["pos_embed", "hook_pos_embed pos_embed.hook_out"],
  ["resid_pre.0", "embed_ln.hook_out"],
  ["resid_pre", "blocks.*.hook_in blocks.*.hook_resid_pre blocks.*.ln1.hook_in layers_input.*"],
  ["resid_pre", "blocks.*.hook_attn_in blocks.*.hook_q_input blocks.*.hook_k_input blocks.*.hook_v_input", { ln1_normalized: ["bloom-alibi"] }],
  ["ln1_scale", "blocks.*.ln1.hook_scale"],
  ["ln1_normalized", "blocks.*.ln1.hook_out"],
  ["ln1_normalized", "blocks.*.attn.hook_in blocks.*.attn.q.hook_in blocks.*.attn.k.hook_in blocks.*.attn.v.hook_in attentions_input.*", { resid_pre: ["olmo2"] }],
  ["q", "blocks.*.attn.hook_q blocks.*.attn.q.hook_out blocks.*.attn.q_norm.hook_in"],
  ["k", "blocks.*.attn.hook_k blocks.*.attn.k.hook_out blocks.*.attn.k_norm.hook_in"],
  ["v", "blocks.*.attn.hook_v blocks.*.attn.v.hook_out"],
  ["rot_q", "blocks.*.attn.hook_rot_q"],
  ["rot_k", "blocks.*.attn.hook_rot_k"],
  ["attn_scores", "blocks.*.attn.hook_attn_scores", { "pattern, a defect": ["gpt-neo-local", "gptj", "opt-pre"] }],
  ["pattern", "blocks.*.attn.hook_pattern attention_probabilities.*"],
  ["z", "blocks.*.attn.hook_z blocks.*.attn.o.hook_in"],
  ["head_out", "blocks.*.attn.hook_result", { none: ["granite"] }],
  ["attn_out", "blocks.*.hook_attn_out blocks.*.ln1_post.hook_out"],
  ["attn_out", "blocks.*.attn.o.hook_out", { attn_out_raw: RAW }],
  ["attn_out", "blocks.*.attn.hook_out attentions_output.*", { attn_out_raw: RAW, resid_mid: ["bloom-alibi"] }],
  ["attn_out", "blocks.*.attn.hook_hidden_states", { "?": RAW, resid_mid: ["bloom-alibi"] }],
  ["attn_out_raw", "blocks.*.ln1_post.hook_in"],
  ["resid_mid", "blocks.*.hook_resid_mid"],
  ["resid_mid", "blocks.*.hook_mlp_in blocks.*.ln2.hook_in", { resid_pre: ["gpt-neox-parallel"] }],
  ["ln2_scale", "blocks.*.ln2.hook_scale"],
  ["ln2_normalized", "blocks.*.ln2.hook_out blocks.*.mlp.router.hook_in"],
  ["ln2_normalized", "blocks.*.mlp.hook_in blocks.*.mlp.in.hook_in mlps_input.*", { ln1_normalized: ["gptj", "phi"], resid_mid: ["olmo2"] }],
  ["ln2_normalized", "blocks.*.mlp.gate.hook_in", { resid_mid: ["olmo2"], ln1_normalized: ["gptj", "phi"] }],
  ["mlp_gate", "blocks.*.mlp.hook_pre", { mlp_pre: PLAIN, ln2_normalized: MOE }],
  ["mlp_gate", "blocks.*.mlp.gate.hook_out", { router_logits: MOE }],
  ["mlp_up", "blocks.*.mlp.hook_pre_linear"],
  ["mlp_up", "blocks.*.mlp.in.hook_out", { mlp_pre: PLAIN }],
  ["router_logits", "blocks.*.mlp.router.hook_out"],
  ["experts", "blocks.*.mlp.hook_expert_indices blocks.*.mlp.gate.hook_expert_indices blocks.*.mlp.router.hook_expert_indices"],
  ["expert_weights", "blocks.*.mlp.hook_router_scores", { "?": ["mixtral", "qwen3-moe"] }],
  ["mlp_post", "blocks.*.mlp.hook_post", { mlp_out: MOE }],
  ["mlp_post", "blocks.*.mlp.out.hook_in"],
  ["mlp_out", "blocks.*.hook_mlp_out blocks.*.ln2_post.hook_out"],
  ["mlp_out", "blocks.*.mlp.out.hook_out", { mlp_out_raw: RAW }],
  ["mlp_out", "blocks.*.mlp.hook_out mlps_output.*", { mlp_out_raw: RAW, resid_post: ["bloom-alibi"] }],
  ["mlp_out_raw", "blocks.*.ln2_post.hook_in"],
  ["resid_post", "blocks.*.hook_out blocks.*.hook_resid_post layers_output.*"],
  ["last resid_post", "ln_final.hook_in ln_final.input"],
  ["final_scale", "ln_final.hook_scale"],
  ["final_normalized", "ln_final.hook_out ln_final.output unembed.hook_in lm_head.input"],
  ["logits", "unembed.hook_out hook_unembed lm_head.output", { none: ["gemma2", "granite"] }],
  ["logits", "logits"],
  ["none", "embed.hook_in pos_embed.hook_in embed_ln.hook_scale embed_ln.hook_normalized rotary_emb.hook_cos rotary_emb.hook_sin"],
  ["none", "blocks.*.ln1.hook_normalized blocks.*.ln2.hook_normalized ln_final.hook_normalized blocks.*.attn.hook_cos blocks.*.attn.hook_sin"],
  ["none", "blocks.*.attn.q_norm.hook_scale blocks.*.attn.q_norm.hook_normalized blocks.*.attn.q_norm.hook_out blocks.*.attn.hook_q_normed"],
  ["none", "blocks.*.attn.k_norm.hook_scale blocks.*.attn.k_norm.hook_normalized blocks.*.attn.k_norm.hook_out blocks.*.attn.hook_k_normed"],
  ["none", "blocks.*.ln1_post.hook_scale blocks.*.ln1_post.hook_normalized blocks.*.ln2_post.hook_scale blocks.*.ln2_post.hook_normalized"],
  ["none", "blocks.*.mlp.hook_expert_weights blocks.*.mlp.gate.hook_expert_weights blocks.*.mlp.router.hook_expert_weights"],
];

/** Names that hold a point's numbers and yet are refused somewhere, since an edit there means something else, or another version gives others. */
// oxfmt-ignore
const REFUSED_ALTHOUGH_EQUAL = [
  "attentions_input.*", "attentions_output.*", "blocks.*.attn.hook_hidden_states", "blocks.*.attn.hook_in", "blocks.*.attn.hook_out", "blocks.*.attn.k.hook_in",
  "blocks.*.attn.q.hook_in", "blocks.*.attn.v.hook_in", "blocks.*.hook_attn_in", "blocks.*.hook_k_input", "blocks.*.hook_mlp_in", "blocks.*.hook_q_input",
  "blocks.*.hook_v_input", "blocks.*.ln1.hook_in", "blocks.*.ln2.hook_in", "blocks.*.mlp.gate.hook_in", "blocks.*.mlp.hook_in", "blocks.*.mlp.hook_out",
  "blocks.*.mlp.in.hook_in", "blocks.*.mlp.router.hook_in", "embed_tokens.output", "mlps_input.*", "mlps_output.*", "rotary_emb.hook_in", "token_embeddings",
];

describe.skipIf(!hasShared)("what the frameworks' tensors were measured to be", () => {
  const specs = new Map(MODELS.map((name) => [name, hasShared ? goldenSpec(name) : undefined]));
  const rows = MEASURED.flatMap(([point, names, others = {}]) => names.split(" ").map((name) => ({ name, point, others })));

  test.each(rows)("$name", ({ name, point, others }) => {
    for (const [golden, spec] of specs) {
      const measured = Object.entries(others).find(([, models]) => models.includes(golden))?.[0] ?? point;
      const address = translation(spec!, named(name, 1));
      if (address === undefined || measured === "?" || measured.includes("defect")) continue;
      const expected = measured === "last resid_post" ? `resid_post.${spec!.layers.length - 1}` : measured;
      expect([address, address.replace(/\.1$/, "")], golden).toContain(expected);
    }
  });

  it("is lost only where an edit would mean something else, or another version gives other numbers", () => {
    const isRefused = (name: string, spec: ModelSpec): boolean => thrown(() => translateForeignName(named(name, 1), spec)) !== undefined;
    const equal = rows
      .filter(({ point }) => point !== "none")
      .filter(({ name, others }) =>
        [...specs].some(([golden, spec]) => {
          const isNone = Object.entries(others).some(([what, models]) => (what === "none" || what === "?") && models.includes(golden));
          return !isNone && existsIn(name, spec!) && isRefused(name, spec!);
        }),
      );
    expect(equal.map(({ name }) => name).sort()).toEqual(REFUSED_ALTHOUGH_EQUAL);
  });

  it("covers the table, but for names that fire nowhere here", () => {
    const measured = new Set(rows.map(({ name }) => name));
    const unmeasured = Object.entries(FOREIGN).filter(
      ([name, { of }]) => (of === "bridge" || of === "both" || of === "nnterp") && !measured.has(name),
    );
    // oxfmt-ignore
    expect(unmeasured.map(([name]) => name).sort()).toEqual([
      "attention_mask", "blocks.*.attn.hook_attn_in", "blocks.*.attn.hook_k_input", "blocks.*.attn.hook_q_input", "blocks.*.attn.hook_v_input",
      "blocks.*.attn.qkv.hook_in", "blocks.*.attn.qkv.hook_out", "input_ids", "next_token_probs", "project_in.hook_out", "rotary_emb.hook_out",
    ]);
  });
});

/** Names that belong to one kind of model only: their refusal elsewhere is no loss. */
function existsIn(name: string, spec: ModelSpec): boolean {
  if (name.includes("_post.hook")) return spec.layers[1]!.attnPostNorm !== undefined;
  if (name.startsWith("embed_ln")) return spec.embedding.norm !== undefined;
  if (name.includes("mlp.gate") || name.includes("mlp.router")) return spec.layers[1]!.mlp?.kind !== "plain";
  return true;
}

/** The address that a name stands for; undefined where it is refused. */
function translation(spec: ModelSpec, name: string): string | undefined {
  let address: string | undefined;
  const error = thrown(() => (address = parseAddress(spec, name).address));
  if (error) expect(error.refusal, error.message).toBeDefined();
  return address;
}

function goldenSpec(name: string): ModelSpec {
  const folder = sharedPath("goldens", "tiny", name);
  const checkpoint = openCheckpoint(folder);
  const shapes = new Map([...checkpoint.tensors].map(([tensor, { shape }]) => [tensor, shape]));
  checkpoint.close();
  return readModelSpec(readJsonObject(join(folder, "config.json")), shapes, name);
}
