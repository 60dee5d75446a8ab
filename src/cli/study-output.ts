/** @file What commands that run a study say while it runs and at its end. */
import { checkDevice } from "../runtime/device.js";
import type { StudyOptions, StepEvent } from "../studies/run-study.js";
import type { Finding } from "../store/finding.js";
import { plainLine } from "../store/plain-line.js";
import type { Call } from "./command.js";
import type { RUN_OPTIONS } from "./inputs.js";
import { duration } from "./wording.js";

/** Findings of a step that are shown before the rest is only counted. */
const SHOWN = 6;

/** Progress of a study on the terminal. */
export function studyOptions(call: Call<Pick<typeof RUN_OPTIONS, "device" | "threads">>): StudyOptions {
  const { device, threads } = call.options;
  return {
    signal: call.signal,
    onProgress: call.onProgress,
    onStep: (event) => {
      const text = stepText(event);
      if (text !== undefined) call.say(`${text}\n`);
    },
    device: checkDevice(device),
    ...(threads !== undefined && { threads }),
  };
}

/** A finding on one line: value, unit, interval, what it is read beside. */
export function findingText({ title, value, unit, interval, controls = [], published }: Finding): string {
  const beside = controls.map((control) => `${control.name} ${numberText(control.value, unit)}`);
  const paper = published ? [`the paper, of another model, ${numberText(published.value, unit)}`] : [];
  const range = interval ? ` (${bare(interval.low, unit)} to ${bare(interval.high, unit)})` : "";
  const rest = [...beside, ...paper].join("; ");
  return plainLine(`${numberText(value, unit)}${range}  ${title}${rest && ` [${rest}]`}`);
}

function stepText({ index, total, title, state, findings = [], skipped, ms }: StepEvent): string | undefined {
  const head = `${index + 1}/${total} ${title}`;
  if (state === "begins") return undefined;
  if (state === "was there") return `${head}: was there`;
  if (skipped !== undefined) return `${head}: left out, ${skipped}`;
  const shown = findings.slice(0, SHOWN).map((finding) => `    ${findingText(finding)}`);
  const rest = findings.length > SHOWN ? [`    … and ${findings.length - SHOWN} more`] : [];
  return [`${head} (${duration(ms ?? 0)})`, ...shown, ...rest].join("\n");
}

/** Without its unit, where that is a word, which stands behind the value. */
function bare(value: number, unit: string): string {
  return numberText(value, unit === "share" ? unit : "AUROC");
}

/** Shares as percent, whole numbers as they are, others with three digits. */
function numberText(value: number | null, unit: string): string {
  if (value === null) return "none";
  if (unit === "share") return `${(100 * value).toFixed(1)} %`;
  const number = Number.isInteger(value) ? String(value) : value.toPrecision(3);
  return unit === "cosine" || unit === "AUROC" ? number : `${number} ${unit}`;
}
