/** @file `sextant verify-model`: holds a model against what must be true of it, and against goldens where there are some. */
import { table } from "../../charts/terminal.js";
import type { VerifyReport } from "../../runtime/verify.js";
import { defineCommand } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS, withModel } from "../inputs.js";
import { compareWithFloats, describeComparison } from "../weights-comparison.js";
import { counted } from "../wording.js";

export const verifyModelCommand = defineCommand({
  name: "verify-model",
  summary: "Checks that a model computes what it should: identities, and goldens where there are some.",
  arguments: [MODEL_ARGUMENT],
  options: {
    golden: { type: "text", placeholder: "DIR", meaning: "a folder with golden.json and golden.safetensors, computed by transformers" },
    device: RUN_OPTIONS.device,
    threads: RUN_OPTIONS.threads,
    memory: RUN_OPTIONS.memory,
    weights: RUN_OPTIONS.weights,
  },
  examples: [
    "verify-model models/induction",
    "verify-model MODEL --golden goldens/MODEL --json",
    "verify-model models/induction --weights int8",
  ],
  async run(call) {
    const { golden } = call.options;
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
