/** @file Step 3: what the probe's vectors decode to through the unembedding. */
import { vectorLens, type VectorReading } from "../../../analyses/mechanism/vector-lens.js";
import type { Finding } from "../../../store/finding.js";
import { tableOf, type Table } from "../../../store/table.js";
import { numberFinding } from "../../finding-of.js";
import type { Step } from "../../study.js";
import { classVectors, productsWith } from "../probe-vectors.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { SearchesState } from "../state.js";

export const lensStep: Step<SelfVerificationParameters> = {
  name: "lens",
  title: "What the probe decodes to",
  about:
    "Each row of the probe is multiplied with every row of the unembedding, with no norm in between: the tokens with the highest products are those that a step along it would raise most if the last norm left directions as they are; the lowest are those of its antipode.",
  async run(context) {
    const { words } = context.earlier<SearchesState>("searches").state;
    const probe = context.earlier("probe").tensors["probe"]!;
    const { tokenizer, weights } = context.subject;
    const rows = ([0, 1] as const).flatMap((label) => classVectors(probe, label).map((vector, layer) => ({ label, layer, vector })));
    const unembedding = weights.unembedding();
    const readings = await vectorLens(
      { unembedding: () => unembedding },
      rows.map(({ vector }) => vector),
      { top: context.parameters.lens.top, signal: context.signal },
    );
    const own = rows.map((row) => ({ ...row, lead: leadOf(row.vector, unembedding, words) }));
    return {
      findings: own
        .filter(({ label, layer }) => label === 1 && layer === probe.shape[0]! - 1)
        .map(({ lead, layer }) => leadFinding(lead, layer)),
      tables: [tableFrom(own, readings, (id) => tokenizer.token(id))],
      notes: [
        "The paper finds words of success and failure here, in English for valid and in Chinese for invalid; a model whose tokenizer lacks such words has none to decode to, only the verdicts themselves.",
      ],
    };
  },
};

/** How much more the vector pushes `this` than `not`, in standard deviations of its products with all tokens. */
function leadOf(
  vector: Float32Array,
  { data, shape: [vocab = 0, width = 0] }: { data: Float32Array; shape: readonly number[] },
  { valid, invalid }: SearchesState["words"],
): number {
  const { products, deviation } = productsWith(vector, { data, vocab, width });
  return (products[valid]! - products[invalid]!) / deviation;
}

function leadFinding(lead: number, layer: number): Finding {
  return numberFinding("lens.last.lead", `lead of \`this\` over \`not\` in what the row of \`this\` of layer ${layer} decodes to`, {
    value: lead,
    unit: "standard deviations over tokens",
    tolerance: { absolute: 0.1, relative: 0.05 },
  });
}

function tableFrom(
  rows: readonly { readonly label: 0 | 1; readonly layer: number; readonly lead: number }[],
  readings: readonly VectorReading[],
  token: (id: number) => string,
): Table {
  return tableOf(
    {
      name: "lens",
      title: "Tokens that the probe's rows decode to, and those of their antipodes",
      tolerance: { absolute: 0.1, relative: 0.05 },
    },
    [
      { name: "layer", type: "int" },
      { name: "class", type: "text" },
      { name: "lead_of_this", type: "double", unit: "standard deviations over tokens" },
      { name: "tokens", type: "text" },
      { name: "antipode_tokens", type: "text" },
    ],
    rows.map(({ label, layer, lead }, i) => ({
      layer,
      class: label === 1 ? "this" : "not",
      lead_of_this: lead,
      tokens: readings[i]!.top.map(({ token: id }) => token(id)).join(" · "),
      antipode_tokens: readings[i]!.bottom.map(({ token: id }) => token(id)).join(" · "),
    })),
  );
}
