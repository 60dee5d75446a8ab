/**
 * @file A study of your own, in one step: which heads look at the token behind an earlier occurrence of the current one, on text that repeats, beside text that does not.
 * The run has findings with controls, a table, a figure, a report, and `sextant verify` could check it if the study stood in `src/studies/studies.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { barsSvg, numberFinding, runStudy, scoreHeads, tableOf, type Step, type Study } from "sextant";

const measure: Step<object> = {
  name: "measure",
  title: "Induction scores on repeated and on plain text",
  about: "Each head's attention to the token that followed an earlier occurrence of the current one.",
  async run({ subject: { model, tokenizer }, signal }) {
    const tokens = tokenizer.encode("Mira Stone saw a fox near the river . Mira Stone saw a fox").ids;
    const heads = await scoreHeads(model, { tokens }, { signal });
    const rows = heads.map(({ layer, head, scores }) => ({
      head: `${layer}.${head}`,
      induction: scores.induction ?? 0,
      even: 1 / tokens.length,
    }));
    const [best] = rows.toSorted((a, b) => b.induction - a.induction);
    return {
      findings: [
        numberFinding("induction.best", `induction score of head ${best!.head}`, {
          value: best!.induction,
          unit: "share",
          controls: [{ name: "attention spread evenly over the text", value: best!.even }],
        }),
      ],
      tables: [
        tableOf(
          { name: "heads", title: "Induction scores" },
          [
            { name: "head", type: "text" },
            { name: "induction", type: "double", unit: "share" },
            { name: "even", type: "double", unit: "share" },
          ],
          rows,
        ),
      ],
      figures: [
        {
          name: "heads",
          title: "Induction scores",
          caption: "One bar a head.",
          svg: barsSvg(
            rows.map(({ head, induction }) => ({ label: head, value: induction })),
            { title: "induction scores", unit: "share" },
          ),
          table: "heads",
        },
      ],
    };
  },
};

const study: Study = {
  name: "induction",
  version: 1,
  title: "Which heads do induction?",
  question: "Which heads look at what followed the current token the last time?",
  source: "Olsson et al. 2022, arXiv 2209.11895",
  others: {},
  parameters: () => ({}),
  steps: [measure],
  key: ["induction.best"],
  summary: (findings) => [`The best head has a score of ${findings.get("induction.best")?.value?.toFixed(3)}.`],
};

const folder = mkdtempSync(join(tmpdir(), "study-"));
const run = await runStudy({ study, model: "models/induction", folder: join(folder, "run") });
for (const { title, value } of run.findings) console.log(`${title}: ${value!.toFixed(3)}`);
console.log(run.manifest.files.map(({ path }) => path).join(", "));
rmSync(folder, { recursive: true });

// Prints:
// induction score of head 1.2: 1.000
// findings.json, report.html
