/** @file `sextant verify-model`: holds a model against what must be true of it, against goldens, or against activations of another program. */
import { table } from "../../charts/terminal.js";
import type { VerifyReport } from "../../runtime/verify.js";
import { defineCommand, type Call, type Output } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS, withModel } from "../inputs.js";
import { parseTokens } from "../lists.js";
import { usage } from "../parse.js";
import { compareWithFloats, describeComparison } from "../weights-comparison.js";
import { counted } from "../wording.js";

const OPTIONS = {
  golden: { type: "text", placeholder: "DIR", meaning: "a folder with golden.json and golden.safetensors, computed by transformers" },
  dump: {
    type: "text",
    placeholder: "FILE",
    meaning: "compare with these activations of TransformerLens, nnsight or nnterp instead (.npz, .safetensors, .pt), tensor by tensor",
  },
  tokens: {
    type: "text",
    placeholder: "JSON",
    meaning: "the rows that --dump was made of, where it does not hold them: [1,2,3], [[1,2],[3]] or @FILE",
  },
  tolerance: {
    type: "number",
    placeholder: "R",
    meaning: "with --dump: the largest difference, relative to the largest value, that agrees; 1e-4",
  },
  device: RUN_OPTIONS.device,
  threads: RUN_OPTIONS.threads,
  memory: RUN_OPTIONS.memory,
  weights: RUN_OPTIONS.weights,
} as const;

export const verifyModelCommand = defineCommand({
  name: "verify-model",
  summary: "Checks that a model computes what it should: identities, goldens, activations of other programs.",
  arguments: [MODEL_ARGUMENT],
  options: OPTIONS,
  atMostOneOf: [["golden", "dump"]],
  examples: [
    "verify-model models/induction",
    "verify-model MODEL --golden goldens/MODEL --json",
    "verify-model models/induction --weights int8",
    "verify-model MODEL --dump cache.npz --tokens '[[464,3797]]'",
  ],
  async run(call) {
    const { golden, dump, tokens, tolerance } = call.options;
    if (dump !== undefined) return compareWith(dump, call);
    if (tokens !== undefined || tolerance !== undefined) throw usage("--tokens and --tolerance are for --dump");
    const [{ verifyModel }, { readGolden }] = await Promise.all([
      import("../../runtime/verify.js"),
      import("../../runtime/golden-file.js"),
    ]);
    const expected = golden === undefined ? {} : { golden: readGolden(golden) };
    return withModel(call, async (opened) => {
      const { model } = opened;
      let done = 0;
      const onCheck = ({ name }: { readonly name: string }): void => call.onProgress({ stage: name, done: ++done, total: 0 });
      const report = await verifyModel(model, { ...expected, onCheck, signal: call.signal });
      const text = describeReport(report, call);
      if (opened.weights === "float32") return { json: report, text, failed: !report.ok };
      const comparison = await compareWithFloats(opened, call.signal);
      return { json: { ...report, comparison }, text: `${text}\n\n${describeComparison(comparison, opened.weights)}`, failed: !report.ok };
    });
  },
});

async function compareWith(dump: string, call: Call<typeof OPTIONS>): Promise<Output> {
  const { tokens, tolerance } = call.options;
  if (tolerance !== undefined && !(tolerance >= 0)) throw usage(`--tolerance must be 0 or more, got ${tolerance}`);
  const rows = tokens === undefined ? undefined : parseTokens(tokens);
  const [{ compareDump }, { readVectors }, { dumpText }] = await Promise.all([
    import("../../runtime/verify/dump.js"),
    import("../../runtime/control-vector.js"),
    import("../dump-report.js"),
  ]);
  const { tensors } = readVectors(dump);
  return withModel(call, async ({ model }) => {
    const request = { tensors, ...(rows && { tokens: rows }), ...(tolerance !== undefined && { tolerance }) };
    const report = await compareDump(model, request, call);
    return { json: report, text: dumpText(report, call), failed: !report.ok };
  });
}

function describeReport({ checks, ok }: VerifyReport, { colour }: { colour: boolean }): string {
  const number = (value: number, applies: boolean): string => (applies ? value.toExponential(1) : "");
  const rows = checks.map(({ name, verdict, measured, tolerance, detail = "" }) => {
    const applies = verdict !== "not applicable";
    return [name, verdict, number(measured, applies), number(tolerance, applies), detail].map((text) => ({ text }));
  });
  const header = ["check", "verdict", "measured", "tolerance", ""];
  const align = ["left", "left", "right", "right", "left"] as const;
  const differing = checks.filter(({ verdict }) => verdict === "differs").length;
  const verdict = ok
    ? "No check differs."
    : `${counted(differing, "check")} of ${checks.length} ${differing === 1 ? "differs" : "differ"}.`;
  return `${table(rows, { header, align, colour, columns: Infinity, widest: 100 })}\n\n${verdict}`;
}
