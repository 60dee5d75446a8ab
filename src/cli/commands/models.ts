/** @file `sextant models`: the models in the Hugging Face hub's cache, and which of them can be run. Nothing is asked of the hub. */
import { describeBytes } from "../../base/bytes.js";
import { table } from "../../charts/terminal.js";
import { plainLine } from "../../store/plain-line.js";
import { defineCommand } from "../command.js";
import type { ListedModel } from "../listed-models.js";
import { counted } from "../wording.js";

export const modelsCommand = defineCommand({
  name: "models",
  summary: "Lists the models in the Hugging Face hub's cache, and which can be run.",
  arguments: [],
  options: {},
  examples: ["models", "models --json"],
  async run({ colour, columns }) {
    const [{ cacheOf }, { listedModels }] = await Promise.all([import("../../formats/hub/settings.js"), import("../listed-models.js")]);
    const cache = cacheOf({});
    const models = listedModels(cache);
    if (models.length === 0) return { json: { cache, models }, text: plainLine(`There are no models in ${cache}.`) };
    const rows = models.map((model) => rowOf(model).map((text) => ({ text: plainLine(text) })));
    const header = ["model", "commit", "revisions", "size", "family", "dtype", "runs"];
    const align = ["left", "left", "left", "right", "left", "left", "left"] as const;
    const drawn = table(rows, { header, align, colour, columns, widest: 60 });
    return { json: { cache, models }, text: [drawn, ...problemsOf(models)].join("\n") };
  },
});

function rowOf({ name, commit, revisions, bytes, family, dtypes, problem }: ListedModel): string[] {
  const runs = problem === undefined ? "yes" : "no";
  return [name, commit.slice(0, 12), revisions.join(" "), describeBytes(bytes), family ?? "", dtypes.join(" "), runs];
}

/** Why the others do not run, a line each. */
function problemsOf(models: readonly ListedModel[]): string[] {
  const broken = models.filter(({ problem }) => problem !== undefined);
  if (broken.length === 0) return [];
  const lines = broken.map(({ name, commit, problem = "" }) => plainLine(`  ${name} ${commit.slice(0, 12)}: ${problem}`));
  return ["", `${counted(broken.length, "model")} that cannot be run:`, ...lines];
}
