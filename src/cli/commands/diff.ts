/** @file `sextant diff`: two runs held against each other. */
import { refuse } from "../../base/errors.js";
import { defineCommand } from "../command.js";

export const diffCommand = defineCommand({
  name: "diff",
  summary: "Holds two runs against each other: settings, findings, tables, generations.",
  arguments: [
    { name: "A", meaning: "the folder of a whole run" },
    { name: "B", meaning: "the folder of another" },
  ],
  options: {},
  examples: ["diff runs/first runs/second", "diff runs/first runs/second --json"],
  async run({ arguments: [first = "", second = ""] }) {
    const [{ damagedFiles }, { compareRuns }, { comparisonText }, { readManifest, readRun }] = await Promise.all([
      import("../../store/check-files.js"),
      import("../../store/compare.js"),
      import("../../store/comparison-text.js"),
      import("../../store/stored-run.js"),
    ]);
    for (const folder of [first, second]) {
      const [damage] = damagedFiles(folder, readManifest(folder));
      if (damage === undefined) continue;
      throw refuse({ what: `cannot compare ${folder}`, why: `its ${damage}`, instead: "restore the file, or run the study again" }, "file");
    }
    const comparison = compareRuns(readRun(first), readRun(second));
    return { json: { a: first, b: second, ...comparison }, text: comparisonText(comparison), failed: !comparison.equal };
  },
});
