/** @file `sextant study`: runs a study into a folder, which holds everything that it found and a report. */
import { fileURLToPath } from "node:url";
import { isThere } from "../../formats/files.js";
import { defineCommand, type Call } from "../command.js";
import { RUN_OPTIONS } from "../inputs.js";
import { modelFolder } from "../model-folder.js";
import { usage } from "../parse.js";
import { readPairs, readSettings } from "../settings.js";
import { shellWord } from "../../studies/shell-word.js";
import { studyOptions } from "../study-output.js";

/** The models that come with Sextant: the one that is studied by default, and the one that its probe is carried to. */
const OWN_MODEL = "models/countdown";
const OWN_OTHER = "models/countdown-small";

const OPTIONS = {
  out: {
    type: "text",
    placeholder: "FOLDER",
    meaning: "where the run goes; one that was stopped goes on there. By default runs/NAME-MODEL, with a number where that is taken",
  },
  set: {
    type: "text",
    placeholder: "NAME=JSON",
    repeats: true,
    meaning: "a setting of the study, such as ablation.cases=300; may be given several times",
  },
  other: { type: "text", placeholder: "ROLE=MODEL", repeats: true, meaning: "another model that the study compares with" },
  seed: { type: "integer", placeholder: "N", default: 0, meaning: "of every draw that the study makes" },
  device: RUN_OPTIONS.device,
  threads: RUN_OPTIONS.threads,
} as const;

export const studyCommand = defineCommand({
  name: "study",
  summary: "Runs a study of a model into a folder: findings, tables, figures, a report.",
  arguments: [
    { name: "NAME", meaning: "the study; without it, the studies are listed", optional: true },
    {
      name: "MODEL",
      meaning:
        "the model's folder, a GGUF file, or ORG/NAME[@REVISION] on the Hugging Face hub; by default the CountDown model that comes with Sextant",
      optional: true,
    },
  ],
  options: OPTIONS,
  examples: [
    "study",
    "study self-verification",
    "study self-verification MODEL --out runs/mine --set ablation.cases=300 --set heads.rankBy='\"composition\"'",
  ],
  async run(call) {
    const [name, given] = call.arguments;
    const { studyNamed, STUDIES } = await import("../../studies/studies.js");
    if (name === undefined) {
      const rows = STUDIES.map(({ name: own, title, source, others }) => ({ name: own, title, source, others }));
      return { json: rows, text: rows.map(({ name: own, title, source }) => `${own}\n  ${title}\n  after ${source}`).join("\n\n") };
    }
    const study = studyNamed(name);
    const { runStudy } = await import("../../studies/run-study.js");
    const named = given ?? shipped(OWN_MODEL);
    const folder = call.options.out ?? freeFolder(`runs/${name}-${nameOf(named)}`);
    call.advise(`go on with: ${commandText(call, folder)}`);
    call.say(`${study.title}\n${study.question}\nThe run goes to ${folder}.\n\n`);
    const others = {
      ...(given === undefined && isThere(shipped(OWN_OTHER)) && { other: shipped(OWN_OTHER) }),
      ...readPairs("other", call.options.other),
    };
    const run = await runStudy(
      {
        study,
        model: await modelFolder(call, named),
        others: await foldersOf(call, others),
        parameters: readSettings(call.options.set),
        seed: call.options.seed,
        folder,
      },
      studyOptions(call),
    );
    const summary = study.summary(new Map(run.findings.map((finding) => [finding.id, finding])));
    return {
      json: { folder, report: `${folder}/report.html`, findings: run.findings, summary },
      text: `\n${summary.join("\n")}\n\nThe report is ${folder}/report.html. To run it again and compare every number: sextant verify ${folder}`,
    };
  },
});

async function foldersOf(
  call: Parameters<typeof modelFolder>[0],
  named: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const folders: Record<string, string> = {};
  for (const [role, model] of Object.entries(named)) folders[role] = await modelFolder(call, model);
  return folders;
}

function shipped(folder: string): string {
  return isThere(folder) ? folder : fileURLToPath(new URL(`../../../${folder}`, import.meta.url));
}

function nameOf(model: string): string {
  const name = model.replaceAll("\\", "/").replace(/\/+$/, "").split("/").at(-1)!;
  if (name === "" || name === "." || name === "..") throw usage("name the run's folder with --out");
  return name;
}

/** The folder, or the first with a number behind it, in which there is no whole run. */
function freeFolder(folder: string): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? folder : `${folder}-${number}`;
    if (!isThere(`${name}/run.json`)) return name;
  }
}

function commandText({ arguments: names, options }: Call<typeof OPTIONS>, folder: string): string {
  return [
    "sextant study",
    ...names.map(shellWord),
    "--out",
    shellWord(folder),
    ...options.set.flatMap((value) => ["--set", shellWord(value)]),
    ...options.other.flatMap((value) => ["--other", shellWord(value)]),
    ...(options.device === "cpu" ? [] : ["--device", options.device]),
    ...(options.seed === 0 ? [] : ["--seed", String(options.seed)]),
  ].join(" ");
}
