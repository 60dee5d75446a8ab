/** @file Step 6: heads that look back at the target from where a right attempt is judged, and whether they are induction heads elsewhere. */
import { scoreHeads } from "../../../analyses/heads.js";
import { headsAbove, targetAttention, type HeadDensity, type TargetAttention } from "../../../analyses/mechanism/target-attention.js";
import { seedFrom, shuffled } from "../../../base/draws.js";
import { mean } from "../../../base/statistics.js";
import { heatMapSvg } from "../../../charts/heat-map.js";
import type { JsonObject } from "../../../formats/json.js";
import type { Finding } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { bootstrapped, numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import { attentionCase } from "../attention-case.js";
import { rightAttempts } from "../cases.js";
import { PAPER } from "../paper.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { HeadsState, SearchesState } from "../state.js";

type Context = StepContext<SelfVerificationParameters>;

/** A head's attention to the target from both positions, and its score on repeated random tokens. */
interface Looking {
  readonly layer: number;
  readonly head: number;
  readonly result: HeadDensity;
  readonly open: HeadDensity;
  /** From the position that the parameters choose. */
  readonly density: number;
  readonly induction: number;
}

export const headsStep: Step<SelfVerificationParameters> = {
  name: "heads",
  title: "Heads that look back at the target",
  about:
    "From the last digit of a right result, and from the bracket behind it, how much attention goes to the mentions of the target in what was asked? The other numbers of the task are the control. The paper calls these previous-token heads; whether they are induction heads is measured on random tokens that repeat.",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const { heads, ablation } = context.parameters;
    const cases = rightAttempts(searches, ablation.cases);
    const { tokenizer } = context.subject;
    const asked = cases.map((one) => attentionCase({ tokenizer, format: context.parameters.format }, searches, one));
    const seed = seedFrom(context.random("intervals"));
    const options = { signal: context.signal, seed, resamples: 500, ...(heads.lastCases > 0 && { lastBatch: heads.lastCases }) };
    const result = await targetAttention(
      context.subject.model,
      asked.map(({ result: one }) => one),
      options,
    );
    const open = await targetAttention(
      context.subject.model,
      asked.map(({ open: one }) => one),
      options,
    );
    const induction = await inductionScores(context);
    const all = join({ result, open, induction }, heads.lookFrom);
    const looking = headsAbove(all, { threshold: heads.threshold, most: heads.most });
    const state: HeadsState = {
      looking: looking.map(({ layer, head }) => ({ layer, head })),
      scores: all.map((one) => ({ fromResult: one.result.density, fromOpen: one.open.density, induction: one.induction })),
    };
    return {
      findings: findingsOf(all, looking, { result, open, lookFrom: heads.lookFrom }),
      state: state as unknown as JsonObject,
      tables: [tableFrom(all, new Set(looking))],
      figures: [figureOf(all)],
      notes: notesOf(context.parameters),
    };
  },
};

function notesOf({ heads }: SelfVerificationParameters): string[] {
  return [
    heads.lastCases > 0
      ? `Means are over the last ${heads.lastCases} cases only, as in the released code.`
      : "Means are over all cases. The released code averages over its last batch of four only; set heads.lastCases to 4 for that.",
    heads.lookFrom === "result"
      ? "Heads are judged from the result's last digit, as in the paper."
      : `Heads are judged from: ${heads.lookFrom}. The paper looks from the result's last digit only.`,
  ];
}

/** Induction scores on random tokens that repeat once, means over four such texts. */
async function inductionScores({ subject: { model, tokenizer }, random, signal }: Context): Promise<Map<string, number>> {
  const draw = random("repeats");
  // Rows behind the tokenizer's last token were never trained.
  const known = Math.min(model.spec.vocab, tokenizer.vocabSize);
  const usable = Array.from({ length: known }, (_, id) => id).filter((id) => !tokenizer.specialIds.has(id));
  const texts = Array.from({ length: 4 }, () => {
    const half = shuffled(usable, draw).slice(0, Math.min(24, Math.floor(usable.length / 2)));
    return [...(tokenizer.bosId === undefined ? [] : [tokenizer.bosId]), ...half, ...half];
  });
  const scores = new Map<string, number[]>();
  for (const tokens of texts)
    for (const { layer, head, scores: own } of await scoreHeads(model, { tokens }, { signal }))
      scores.set(`${layer}.${head}`, [...(scores.get(`${layer}.${head}`) ?? []), own.induction ?? 0]);
  return new Map([...scores].map(([name, values]) => [name, mean(values)]));
}

function join(
  { result, open, induction }: { result: TargetAttention; open: TargetAttention; induction: ReadonlyMap<string, number> },
  lookFrom: SelfVerificationParameters["heads"]["lookFrom"],
): Looking[] {
  return result.heads.map((own, i) => {
    const other = open.heads[i]!;
    const density = lookFrom === "result" ? own.density : lookFrom === "open" ? other.density : Math.max(own.density, other.density);
    return { layer: own.layer, head: own.head, result: own, open: other, density, induction: induction.get(`${own.layer}.${own.head}`)! };
  });
}

interface Measured {
  readonly result: TargetAttention;
  readonly open: TargetAttention;
  readonly lookFrom: SelfVerificationParameters["heads"]["lookFrom"];
}

function findingsOf(all: readonly Looking[], looking: readonly Looking[], measured: Measured): Finding[] {
  const best = looking[0] ?? all.toSorted((a, b) => b.density - a.density)[0]!;
  const rest = all.filter((head) => !looking.includes(head));
  return [
    numberFinding("heads.looking", "heads that look back at the target above the threshold", {
      value: looking.length,
      unit: "heads",
      n: measured.result.cases,
      tolerance: { absolute: 1, relative: 0 },
      published: PAPER.looking,
    }),
    attentionFinding(best, measured, all.length),
    numberFinding("heads.induction_mean", "mean induction score of the heads that look back, on random tokens that repeat", {
      value: looking.length === 0 ? null : mean(looking.map(({ induction }) => induction)),
      unit: "share",
      ...(looking.length === 0 && { note: "no head looks back" }),
      controls: rest.length === 0 ? [] : [{ name: "all other heads", value: mean(rest.map(({ induction }) => induction)) }],
      tolerance: { absolute: 0.01, relative: 0.02 },
    }),
  ];
}

/** The attention of the head that looks back most, from the position that heads are judged from. */
function attentionFinding(best: Looking, { result, open, lookFrom }: Measured, heads: number): Finding {
  const isOpen = lookFrom === "open" || (lookFrom === "either" && best.open.density > best.result.density);
  const [side, even, from] = isOpen ? [best.open, open.even, "bracket"] : [best.result, result.even, "result"];
  const title = `attention from the ${from} to the target of the head that looks back most, ${best.layer}.${best.head}`;
  return numberFinding("heads.attention_max", title, {
    value: side.density,
    unit: "share",
    n: result.cases,
    ...bootstrapped(side.interval),
    controls: [
      { name: "the same head to the task's other numbers", value: side.controls["others"]?.density ?? 0 },
      { name: "attention spread evenly", value: even.density },
    ],
    tolerance: { absolute: 0.005, relative: 0.01 },
    note: `the most of ${heads} heads, on the cases by which it was chosen`,
  });
}

function tableFrom(all: readonly Looking[], looking: ReadonlySet<Looking>): Table {
  const share = (name: string) => ({ name, type: "double", unit: "share" }) as const;
  return tableOf(
    {
      name: "heads",
      title: "Attention from the judgement of right results to the target, by head",
      tolerance: { absolute: 0.005, relative: 0.01 },
    },
    [
      { name: "layer", type: "int" },
      { name: "head", type: "int" },
      share("from_result"),
      share("from_result_others"),
      share("from_open"),
      share("from_open_others"),
      share("induction"),
      { name: "looks_back", type: "boolean" },
    ],
    all.map((one) => ({
      layer: one.layer,
      head: one.head,
      from_result: one.result.density,
      from_result_others: one.result.controls["others"]?.density ?? null,
      from_open: one.open.density,
      from_open_others: one.open.controls["others"]?.density ?? null,
      induction: one.induction,
      looks_back: looking.has(one),
    })),
  );
}

function figureOf(all: readonly Looking[]): Figure {
  const layers = Math.max(...all.map(({ layer }) => layer)) + 1;
  const width = Math.max(...all.map(({ head }) => head)) + 1;
  const grid = (read: (one: Looking) => number): number[][] =>
    Array.from({ length: layers }, (_, layer) =>
      Array.from({ length: width }, (_unused, head) => {
        const own = all.find((one) => one.layer === layer && one.head === head);
        return own ? read(own) : Number.NaN;
      }),
    );
  return {
    name: "looking_back",
    title: "Attention to the target",
    caption:
      "Mean share of a head's attention that goes to mentions of the target, from the result's last digit (left) and from the bracket (right).",
    svg: heatMapSvg(
      [
        { title: "from the result", values: grid(({ result }) => result.density) },
        { title: "from the bracket", values: grid(({ open }) => open.density) },
      ],
      {
        rowLabels: Array.from({ length: layers }, (_, layer) => String(layer)),
        columnLabels: Array.from({ length: width }, (_, head) => String(head)),
        title: "attention to the target",
        xLabel: "head",
        yLabel: "layer",
        limit: 1,
      },
    ),
    table: "heads",
  };
}
