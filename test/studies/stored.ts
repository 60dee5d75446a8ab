/** @file What tests read of a run: rows of tables, findings, states; and steps run behind it. */
import { seededRandom } from "../../src/base/random.js";
import { readEarlier } from "../../src/store/step-folder.js";
import { runPath } from "../../src/store/run-paths.js";
import type { StoredFinding } from "../../src/store/records.js";
import type { Earlier } from "../../src/store/step-output.js";
import type { StoredRun } from "../../src/store/stored-run.js";
import type { StepContext, Subject } from "../../src/studies/study.js";

/** The rows of a table by its columns, which the test knows the types of; an error where the run lacks it. */
export function rowsOf<R = Readonly<Record<string, number>>>(run: StoredRun, step: string, name: string): R[] {
  const table = run.steps.find((one) => one.name === step)?.tables.find((one) => one.name === name);
  if (!table) throw new Error(`the run has no table ${name} of ${step}`);
  const count = table.columns[0]!.values.length;
  return Array.from(
    { length: count },
    (_, row) => Object.fromEntries(table.columns.map((column) => [column.name, column.values[row]])) as R,
  );
}

/** The finding of an identifier; an error where the run lacks it. */
export function findingOf({ findings }: StoredRun, id: string): StoredFinding {
  const found = findings.find((one) => one.id === id);
  if (!found) throw new Error(`the run has no finding ${id}; it has ${findings.map((one) => one.id).join(", ")}`);
  return found;
}

/** The value of a finding. */
export function valueOf(run: StoredRun, id: string): number {
  return findingOf(run, id).value ?? Number.NaN;
}

/** What a step left for later ones. */
export function leftBy<S>({ folder }: StoredRun, step: string): Earlier<S> {
  return readEarlier<S>(runPath(folder, "steps"), step);
}

/** What a step has at hand that is run by itself, behind those of a whole run. */
export function contextBehind<P>(run: StoredRun, subject: Subject, parameters: P): StepContext<P> {
  return {
    parameters,
    subject,
    other: () => Promise.resolve(undefined),
    earlier: (name) => readEarlier(runPath(run.folder, "steps"), name),
    random: () => seededRandom(1),
    piece: (_, work) => work(),
    signal: new AbortController().signal,
    progress: () => undefined,
  };
}
