/** @file A stored run with the words of its study: what the report is made of. */
import { isJsonObject, type JsonObject } from "../formats/json.js";
import type { Finding } from "../store/finding.js";
import type { ReportedRun } from "../report/reported-run.js";
import type { StoredRun } from "../store/stored-run.js";
import { shellWord } from "./shell-word.js";
import type { Study } from "./study.js";

/** The run for its report; `defaults` are the study's settings where none are given. */
export function reportedRun(study: Study, run: StoredRun, defaults: object): ReportedRun {
  const byId = new Map<string, Finding>(run.findings.map((finding) => [finding.id, finding]));
  const abouts = new Map(study.steps.map(({ name, about }) => [name, about]));
  return {
    manifest: run.manifest,
    about: { title: study.title, question: study.question, source: study.source, summary: [...study.summary(byId)], key: study.key },
    steps: run.steps.map((step) => ({ ...step, about: abouts.get(step.name) ?? "" })),
    command: commandOf(run, defaults as JsonObject),
  };
}

/** The command that makes such a run: settings that are not the defaults are named. */
function commandOf({ manifest: { study, models, seed, parameters } }: StoredRun, defaults: JsonObject): string {
  const { model, ...others } = models;
  const words = [
    "sextant study",
    study,
    shellWord(model?.path ?? "MODEL"),
    ...Object.entries(others).map(([role, { path }]) => `--other ${shellWord(`${role}=${path}`)}`),
    ...differing(parameters, defaults).map(([path, value]) => `--set ${shellWord(`${path}=${JSON.stringify(value)}`)}`),
    ...(seed === 0 ? [] : [`--seed ${seed}`]),
  ];
  return words.join(" ");
}

/** Leaves that are not as in the defaults, by their path. */
function differing(parameters: JsonObject, defaults: JsonObject, prefix = ""): [path: string, value: unknown][] {
  return Object.entries(parameters).flatMap(([key, value]) => {
    const other = defaults[key];
    if (isJsonObject(value) && isJsonObject(other)) return differing(value, other, `${prefix}${key}.`);
    return JSON.stringify(value) === JSON.stringify(other) ? [] : [[`${prefix}${key}`, value] as [string, unknown]];
  });
}
