/** @file The facts of a model in lines for people. */
import { table } from "../charts/terminal.js";
import type { LayerFacts, ModelFacts, PointFacts } from "./commands/model.js";
import type { WeightForm } from "../runtime/weight-forms.js";
import { bytesText, counted, indexRanges, magnitude } from "./wording.js";

/** The report of `sextant model`. */
export function describeModel(facts: ModelFacts & { readonly model: string }, columns: number): string {
  const { model, family, parameters, dtypes, bytes, memory, weights, context, dModel, vocab, layers, points, tokenizer, notUnderstood } =
    facts;
  const dtypeText = Object.keys(dtypes).join(", ");
  const rows = [
    ["model", model],
    ["family", family],
    ["size", `${magnitude(parameters)} parameters, ${dtypeText}, ${bytesText(bytes)}`],
    ["memory", memoryText(memory, layers.length, weights.form)],
    ...(weights.form === "float32" ? [] : [["weights", weightsText(weights)]]),
    ["shape", `${counted(layers.length, "layer")}, d_model ${dModel}, vocabulary ${vocab}`],
    ["context", context ? `${context.length} positions${context.hard ? ", no more" : ", more with --beyond-context"}` : "no limit stated"],
    ["tokenizer", "error" in tokenizer ? `none: ${tokenizer.error}` : tokenizerText(tokenizer)],
    ...(notUnderstood.length > 0 ? [["not read", `settings of config.json that change nothing here: ${notUnderstood.join(", ")}`]] : []),
    ...grouped(layers).map(
      ([indices, text]) => [indices.length === 1 ? `layer ${indices[0]}` : `layers ${indexRanges(indices)}`, text] as const,
    ),
  ];
  const width = Math.max(...rows.map(([name]) => name!.length));
  const lines = rows.map(([name, text]) => `${name!.padEnd(width)}  ${text}`);
  return [...lines, "", pointTable(points, layers.length, columns), "", ...absences(points)].join("\n");
}

function memoryText({ resident, least, readPerPass, residence, limit }: ModelFacts["memory"], depth: number, form: WeightForm): string {
  const whole = `${bytesText(resident)} for the weights as ${form}`;
  if (limit === undefined) {
    const streamed = residence && `${bytesText(least)} at least, block by block, reading ${bytesText(readPerPass)} a pass`;
    return streamed ? `${whole}, or ${streamed}` : whole;
  }
  if (resident <= limit) return `${whole}, which ${bytesText(limit)} holds`;
  if (!residence) return `${whole}; ${bytesText(limit)} is too little, ${bytesText(least)} would do, block by block`;
  return `${whole}; in ${bytesText(limit)}, ${residence.blocks} of ${counted(depth, "block")} stay and ${bytesText(readPerPass)} are read a pass`;
}

function weightsText({ quantised, floats }: ModelFacts["weights"]): string {
  const inBlocks = quantised.map(({ bits, block, maps }) => `${counted(maps, "linear map")} of ${bits} bits in blocks of ${block}`);
  const rest = floats > 0 ? [`${counted(floats, "router")} of float32, since a few numbers of theirs say which experts run`] : [];
  return [...inBlocks, ...rest, "embeddings, norms and biases of float32"].join("; ");
}

function tokenizerText(tokenizer: Exclude<ModelFacts["tokenizer"], { error: string }>): string {
  const { vocab, bos, eos, chatTemplates } = tokenizer;
  const ends = eos.length > 0 ? `end ${eos.join(", ")}` : "no end token";
  const chat = chatTemplates.length > 0 ? `chat template ${chatTemplates.join(", ")}` : "no chat template";
  return [`${vocab} ids`, bos === undefined ? "no beginning token" : `beginning ${bos}`, ends, chat].join(", ");
}

/** Layers that are alike, with what they are. */
function grouped(layers: readonly LayerFacts[]): [number[], string][] {
  const groups = new Map<string, number[]>();
  for (const facts of layers) {
    const text = layerText(facts);
    groups.set(text, [...(groups.get(text) ?? []), facts.layer]);
  }
  return [...groups].map(([text, indices]) => [indices, text]);
}

function layerText({ heads, kvHeads, dHead, window, rotary, alibi, softcap, mlp, wiring }: LayerFacts): string {
  const parts = [
    `${counted(heads, "head")} of ${dHead}${kvHeads === heads ? "" : ` on ${kvHeads} key/value heads`}`,
    ...(rotary ? [`rotary ${rotary.type}, base ${rotary.theta}, ${rotary.dims} dims`] : []),
    ...(alibi ? ["ALiBi"] : []),
    ...(window === undefined ? [] : [`window ${window}`]),
    ...(softcap === undefined ? [] : [`scores capped at ${softcap}`]),
    mlpText(mlp),
    ...(wiring === "parallel" ? ["MLP beside attention"] : []),
  ];
  return parts.join("; ");
}

function mlpText(mlp: LayerFacts["mlp"]): string {
  if (!mlp) return "no MLP";
  if (mlp.kind === "experts") return `${mlp.topK} of ${mlp.experts} experts, d_mlp ${mlp.dMlp}`;
  return `${mlp.kind} MLP, d_mlp ${mlp.dMlp}, ${mlp.activation}`;
}

function pointTable(points: readonly PointFacts[], depth: number, columns: number): string {
  const rows = points.flatMap(({ point, axes, layers }) => {
    if (layers === undefined) return [];
    const where = layers === true ? "" : layers.length === depth ? "all layers" : `layers ${indexRanges(layers)}`;
    return [[{ text: point }, { text: where }, { text: axes.join(", ") }]];
  });
  return table(rows, { header: ["point", "", "axes"], align: ["left", "left", "left"], colour: false, columns, widest: 40 });
}

function absences(points: readonly PointFacts[]): string[] {
  const missing = points.filter(({ layers }) => layers === undefined);
  return missing.map(({ point, why, instead }) => `no ${point}: ${why}${instead ? `; instead ${instead}` : ""}`);
}
