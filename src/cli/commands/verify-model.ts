/** @file `sextant verify-model`: holds a model against what must be true of it, and against goldens where there are some. */
import { table } from "../../charts/terminal.js";
import { defineCommand } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS, withModel } from "../inputs.js";

export const verifyModel = defineCommand({
  name: "verify-model",
  summary: "Checks that a model computes what it should: identities, and goldens where there are some.",
  arguments: [MODEL_ARGUMENT],
  options: {
    golden: { type: "text", placeholder: "DIR", meaning: "a folder with golden.json and golden.safetensors from transformers" },
    ...RUN_OPTIONS,
  },
  examples: ["verify-model models/induction", "verify-model MODEL --golden goldens/MODEL --json"],
  run: (call) =>
    withModel(call, async ({ model }) => {
      const { verifyModel: verify } = await import("../../runtime/verify.js");
      const { golden } = call.options;
      const report = await verify(model, { ...(golden !== undefined && { golden }), signal: call.signal });
      const rows = report.checks.map(({ name, verdict, measured, tolerance, detail }) => [
        { text: name },
        { text: verdict },
        { text: verdict === "not applicable" ? "" : measured.toExponential(1) },
        { text: verdict === "not applicable" ? "" : tolerance.toExponential(1) },
        { text: detail ?? "" },
      ]);
      const header = ["check", "verdict", "measured", "tolerance", ""];
      const align = ["left", "left", "right", "right", "left"] as const;
      const text = table(rows, { header, align, colour: call.colour, columns: call.columns, widest: 60 });
      return { json: report, text: `${text}\n\n${report.ok ? "all checks agree" : "some checks differ"}`, failed: !report.ok };
    }),
});
