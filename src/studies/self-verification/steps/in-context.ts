/** @file Step 11: does the probe read the verdict when worked examples stand in front of the task? */
import { seedFrom } from "../../../base/draws.js";
import { curveSvg } from "../../../charts/curve.js";
import { tableOf } from "../../../store/table.js";
import { shareFinding } from "../../finding-of.js";
import type { Step } from "../../study.js";
import { formatNamed } from "../formats/table.js";
import { aurocFindings, judgedAlong, leads, readJudgements, type Judged } from "../judged-by.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { ProbeState, SearchesState } from "../state.js";
import { searchLines, writeSearches } from "../write-searches.js";

export const inContextStep: Step<SelfVerificationParameters> = {
  name: "in-context",
  title: "With worked examples in front",
  about:
    "Other tasks of the same kind are asked behind worked examples, and the probe, fitted to searches without them, is put to the new judgements. Beside it stands what it reads of held-out searches without examples: does that depend on how a task was asked?",
  async run(context) {
    const { inContext } = context.parameters;
    const format = formatNamed(context.parameters.format);
    const { stopTokens } = context.earlier<SearchesState>("searches").state;
    const seed = seedFrom(context.random("tasks"));
    const prompts = format.prompts(inContext.prompts, seed, { examples: inContext.examples });
    const written = await writeSearches(context, { prompts, format, stopTokens });
    const { tensors, state } = context.earlier<ProbeState>("probe");
    const found = judgedAlong(await readJudgements(context, context.subject, written), leads(tensors["probe"]!));
    if (found.labels.length === 0)
      return { findings: [], skipped: "behind worked examples the model judged nothing", generations: { searches: searchLines(written) } };
    return {
      findings: [
        shareFinding("in_context.in_format", "searches behind worked examples that keep to the format", {
          hits: written.filter(({ prompt, response }) => format.judge(prompt.task, response).inFormat).length,
          n: written.length,
        }),
        ...aurocFindings("in_context", "the probe's lead of `this` behind worked examples", found, (read) => {
          const value = read(state.aurocs);
          return value === undefined ? [] : [{ name: "held-out searches without examples", value }];
        }),
      ],
      tables: [
        tableOf(
          { name: "in_context", title: "AUROC of the probe behind worked examples, by layer", tolerance: { absolute: 0.02, relative: 0 } },
          [
            { name: "layer", type: "int" },
            { name: "auroc", type: "double", unit: "AUROC" },
            { name: "without_examples", type: "double", unit: "AUROC" },
          ],
          found.aurocs.map((value, layer) => ({ layer, auroc: value ?? null, without_examples: state.aurocs[layer] ?? null })),
        ),
      ],
      generations: { searches: searchLines(written) },
      figures: figureOf(found),
    };
  },
};

function figureOf({ aurocs }: Judged) {
  if (aurocs.every((value) => value === undefined)) return [];
  const x = aurocs.map((_, layer) => layer);
  return [
    {
      name: "in_context",
      title: "The probe behind worked examples",
      caption: "AUROC of the probe's lead of `this` over `not`, by layer; 0.5 is chance.",
      svg: curveSvg([{ name: "AUROC", x, y: aurocs, markers: true }], {
        title: "behind worked examples",
        xLabel: "layer",
        yLabel: "AUROC",
      }),
      table: "in_context",
    },
  ];
}
