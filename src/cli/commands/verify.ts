/** @file `sextant verify`: runs a run again and compares every number within its tolerance. */
import { defineCommand } from "../command.js";
import { RUN_OPTIONS } from "../inputs.js";
import { readPairs } from "../settings.js";
import { studyOptions } from "../study-output.js";

export const verifyCommand = defineCommand({
  name: "verify",
  summary: "Runs a run again and compares every number within its tolerance.",
  arguments: [{ name: "RUN", meaning: "the folder of a whole run" }],
  options: {
    model: { type: "text", placeholder: "FOLDER", meaning: "the model, where it is not where the run says; its hashes must be the same" },
    other: { type: "text", placeholder: "ROLE=FOLDER", repeats: true, meaning: "another model of the run, likewise" },
    out: { type: "text", placeholder: "FOLDER", meaning: "where the second run goes; by default beside the first, as RUN.again" },
    files: { type: "flag", meaning: "only check that the run's files are those that it wrote; nothing is run" },
    device: RUN_OPTIONS.device,
    threads: RUN_OPTIONS.threads,
  },
  examples: ["verify runs/self-verification-countdown", "verify runs/theirs --model models/countdown", "verify runs/theirs --files"],
  async run(call) {
    const [folder = ""] = call.arguments;
    const { model, other, out, files } = call.options;
    if (files) {
      const { checkFiles } = await import("../../store/check-files.js");
      const found = checkFiles(folder);
      const text = found.length === 0 ? "Every file is as it was written." : found.join("\n");
      return { json: { folder, problems: found }, text, failed: found.length > 0 };
    }
    const { verifyRun } = await import("../../studies/verify-run.js");
    const { comparisonText } = await import("../../store/comparison-text.js");
    const again = out ?? `${folder.replace(/[/\\]+$/, "")}.again`;
    call.advise(`go on with the same command; what is done is in ${again}`);
    const models = { ...(model !== undefined && { model }), ...readPairs("other", other) };
    const { damaged, comparison, agrees } = await verifyRun({ folder, again, models }, studyOptions(call));
    const verdict = agrees
      ? `The run was made again in ${again}, and every number agrees within its tolerance.`
      : `The run was made again in ${again}, and not every number agrees.`;
    return {
      json: { folder, again, agrees, damaged, ...comparison },
      text: ["", ...damaged.map((line) => `the first run's ${line}`), comparisonText(comparison), "", verdict].join("\n"),
      failed: !agrees || damaged.length > 0,
    };
  },
});
