/** @file Step 6: heads that look back at the target from where a right attempt is judged, and whether they are induction heads elsewhere. */
import { scoreHeads } from "../../../analyses/heads.js";
import {
  headsAbove,
  mentions,
  targetAttention,
  type AttentionCase,
  type HeadDensity,
  type TargetAttention,
} from "../../../analyses/mechanism/target-attention.js";
import { shuffled } from "../../../base/draws.js";
import { must, SextantError } from "../../../base/errors.js";
import { mean } from "../../../base/statistics.js";
import { heatMapSvg } from "../../../charts/heat-map.js";
import type { JsonObject } from "../../../formats/json.js";
import type { Finding } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import { rightAttempts } from "../cases.js";
import { formatNamed } from "../formats/table.js";
import { PAPER } from "../paper.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { CaseState, HeadsState, SearchesState } from "../state.js";

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
    const asked = cases.map((one) => attentionCase(context, searches, one));
    const seed = Math.floor(context.random("intervals")() * 2 ** 31);
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
      findings: findingsOf(all, looking, { result, open }),
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

/** The same case from the result's last digit and from the bracket. */
function attentionCase(
  { subject, parameters }: Context,
  searches: SearchesState,
  { search, tokens }: CaseState,
): { result: AttentionCase; open: AttentionCase } {
  const own = must(searches.searches[search], "the search");
  const keys = targetPositions(subject.tokenizer, {
    tokens,
    target: own.target,
    end: contextEnd(subject.tokenizer, parameters.format, tokens),
  });
  if (keys.length === 0)
    throw new SextantError("request", `search ${search} does not mention its target ${own.target} in front of its attempts`);
  const isDigit = (position: number): boolean => /\d/.test(subject.tokenizer.decode([tokens[position]!]));
  const others = Array.from({ length: own.asked }, (_, position) => position).filter(
    (position) => isDigit(position) && !keys.includes(position),
  );
  const controls = { others };
  return {
    result: { tokens, query: tokens.length - 1, keys, controls },
    open: { tokens: [...tokens, searches.words.open], query: tokens.length, keys, controls },
  };
}

type Text = Context["subject"]["tokenizer"];

/** The last token of each mention of the target that ends before `end`; as a number by itself, with or without a space in front. */
function targetPositions(tokenizer: Text, { tokens, target, end }: { tokens: readonly number[]; target: number; end: number }): number[] {
  const spellings = [` ${target}`, String(target)].map((text) => tokenizer.encode(text, { addSpecialTokens: false }).ids);
  const found = new Set(spellings.flatMap((ids) => mentions(tokens, ids, end)));
  const digitAt = (position: number): boolean =>
    position >= 0 && position < tokens.length && /^\d/.test(tokenizer.decode([tokens[position]!]));
  const width = String(target).length;
  return [...found].filter((last) => !digitAt(last + 1) && !isLonger(tokenizer, tokens, last, width)).toSorted((a, b) => a - b);
}

/** Whether the number that ends at `last` has more digits than the target. */
function isLonger(tokenizer: Text, tokens: readonly number[], last: number, width: number): boolean {
  const text = tokenizer.decode(tokens.slice(Math.max(0, last - width - 2), last + 1));
  return (/\d+$/.exec(text)?.[0].length ?? 0) > width;
}

/** How many tokens belong to what is asked. */
function contextEnd(tokenizer: Text, format: string, tokens: readonly number[]): number {
  const end = formatNamed(format).contextEnd(tokenizer.decode(tokens, { skipSpecialTokens: true }));
  let length = 0;
  for (const [position, token] of tokens.entries()) {
    length += tokenizer.decode([token], { skipSpecialTokens: true }).length;
    if (length > end) return position;
  }
  return tokens.length;
}

/** Induction scores on random tokens that repeat once, means over four such texts. */
async function inductionScores({ subject: { model, tokenizer }, random, signal }: Context): Promise<Map<string, number>> {
  const draw = random("repeats");
  const usable = Array.from({ length: model.spec.vocab }, (_, id) => id).filter((id) => !tokenizer.specialIds.has(id));
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

function findingsOf(
  all: readonly Looking[],
  looking: readonly Looking[],
  { result, open }: { result: TargetAttention; open: TargetAttention },
): Finding[] {
  const best = looking[0] ?? all.toSorted((a, b) => b.density - a.density)[0]!;
  const side = best.result.density >= best.open.density ? best.result : best.open;
  const even = side === best.result ? result.even : open.even;
  const interval = side.interval && { ...side.interval, level: 0.95, method: "bootstrap" as const };
  const rest = all.filter((head) => !looking.includes(head));
  return [
    numberFinding("heads.looking", "heads that look back at the target above the threshold", {
      value: looking.length,
      unit: "heads",
      n: result.cases,
      tolerance: { absolute: 1, relative: 0 },
      published: PAPER.looking,
    }),
    numberFinding("heads.attention_max", `attention to the target of the head that looks back most, ${best.layer}.${best.head}`, {
      value: side.density,
      unit: "share",
      n: result.cases,
      ...(interval && { interval }),
      controls: [
        { name: "the same head to the task's other numbers", value: side.controls["others"]?.density ?? 0 },
        { name: "attention spread evenly", value: even.density },
      ],
      tolerance: { absolute: 0.005, relative: 0.01 },
    }),
    numberFinding("heads.induction_mean", "mean induction score of the heads that look back, on random tokens that repeat", {
      value: looking.length === 0 ? null : mean(looking.map(({ induction }) => induction)),
      unit: "share",
      controls: rest.length === 0 ? [] : [{ name: "all other heads", value: mean(rest.map(({ induction }) => induction)) }],
      tolerance: { absolute: 0.01, relative: 0.02 },
    }),
  ];
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
