/** @file `sextant runs`: the runs below a folder, and what SQL finds in them. */
import { table } from "../../charts/terminal.js";
import type { BrokenRun, WholeRun } from "../../store/list-runs.js";
import { plainLine } from "../../store/plain-line.js";
import type { AnswerCell, QueryAnswer } from "../../store/query.js";
import { defineCommand, type Output } from "../command.js";
import { counted, duration } from "../wording.js";

/** How tables are drawn. */
interface Look {
  readonly colour: boolean;
  readonly columns: number;
}

export const runsCommand = defineCommand({
  name: "runs",
  summary: "Lists the runs in a folder, or asks them a question in SQL.",
  arguments: [{ name: "FOLDER", meaning: "where the runs are, up to three folders below it; runs by default", optional: true }],
  options: {
    query: {
      type: "text",
      placeholder: "SQL",
      meaning: "one SELECT over runs, findings, steps and each table of a step, such as baseline_by_task; DuckDB's SQL",
    },
  },
  examples: ["runs", "runs runs --query \"SELECT run, id, value FROM findings WHERE unit = 'share' ORDER BY value\""],
  async run(call) {
    const [folder = "runs"] = call.arguments;
    const { query } = call.options;
    if (query === undefined) return listing(folder, call);
    const { queryRuns } = await import("../../store/query.js");
    const answer = await queryRuns(folder, query, call);
    return { json: answer, text: answerText(answer, call) };
  },
});

async function listing(folder: string, look: Look): Promise<Output> {
  const { listRuns } = await import("../../store/list-runs.js");
  const runs = listRuns(folder);
  const broken = runs.filter((run) => "broken" in run);
  const whole = runs.flatMap((run) => ("broken" in run ? [] : [run]));
  const text =
    runs.length === 0 ? `There are no runs in ${folder}.` : [wholeText(whole, look), brokenText(broken)].filter(Boolean).join("\n\n");
  return { json: { folder, runs }, text };
}

function wholeText(runs: readonly WholeRun[], { colour, columns }: Look): string {
  if (runs.length === 0) return "";
  const header = ["run", "study", "model", "finished", "findings", "took"];
  const rows = runs.map(({ path, study, model, finished, findings, ms }) =>
    [path, study, model, finished, String(findings), duration(ms)].map((text) => ({ text: plainLine(text) })),
  );
  return table(rows, { header, colour, columns, widest: 60, align: ["left", "left", "left", "left", "right", "right"] });
}

function brokenText(runs: readonly BrokenRun[]): string {
  if (runs.length === 0) return "";
  const lines = runs.map(({ path, broken }) => `  ${plainLine(path)}: ${plainLine(broken)}`);
  return [`${counted(runs.length, "run")} left out:`, ...lines].join("\n");
}

function answerText({ columns, rows, broken }: QueryAnswer, { colour, columns: width }: Look): string {
  const cells = rows.map((row) => row.map((value) => ({ text: plainLine(cellText(value)) })));
  const align = columns.map((_, column) =>
    rows.every((row) => row[column] === null || typeof row[column] === "number") ? "right" : "left",
  );
  const header = columns.map(plainLine);
  const drawn = table(cells, { header, colour, columns: width, widest: 60, align });
  return [drawn, counted(rows.length, "row"), brokenText(broken)].filter(Boolean).join("\n\n");
}

/** Fractions with six digits; `--json` has all of them. */
function cellText(value: AnswerCell): string {
  if (value === null) return "";
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
