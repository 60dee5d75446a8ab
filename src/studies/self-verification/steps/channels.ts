/** @file Step 7: which of the heads that look back feed the units near the probe, by weights; and one table of all scores of heads. */
import { headsOf, isSameHead, type HeadPlace } from "../../../analyses/heads.js";
import { channelScores, type ChannelScore } from "../../../analyses/mechanism/channel-scores.js";
import type { UnitPlace } from "../../../analyses/mechanism/nearest-units.js";
import { headEffectsOnUnits } from "../../../analyses/verification/unit-effects.js";
import { seedFrom } from "../../../base/draws.js";
import { spearman } from "../../../base/correlation.js";
import { mean } from "../../../base/statistics.js";
import { scatterSvg } from "../../../charts/scatter.js";
import type { JsonObject } from "../../../formats/json.js";
import type { Finding } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import { rightAttempts } from "../cases.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { ChannelsState, HeadsState, ProbeState, SearchesState, UnitsState } from "../state.js";

/** A head's scores in all forms. */
interface Scored extends HeadPlace {
  readonly released: ChannelScore;
  readonly causal: ChannelScore;
  readonly looksBack: boolean;
  readonly rank: number | undefined;
  /** On the units near `this`; of heads that look back. */
  readonly effect: number | undefined;
}

export const channelsStep: Step<SelfVerificationParameters> = {
  name: "channels",
  title: "Heads that feed the units",
  about:
    "How much does what a head moves (W_V W_O) drive the gates and inputs of the units near the probe? In the released form only the diagonal of that matrix is used, with no order of layers and no norm; the full form is the share of a unit's direction that the whole matrix passes on, with the norm's factors in it and only units behind the head. Beside both stands what was measured: how much higher the units are with the head than without it. Heads are ranked by the one that the parameters name, and the curves that follow are drawn for all three.",
  async run(context) {
    const { looking } = context.earlier<HeadsState>("heads").state;
    const { ranking } = context.earlier<UnitsState>("units").state;
    const { rankBy, top } = context.parameters.heads;
    const { model, weights } = context.subject;
    const seed = seedFrom(context.random("control"));
    const options = { signal: context.signal };
    const released = await channelScores(weights, model.spec, { units: ranking, seed }, options);
    const causal = await channelScores(weights, model.spec, { units: ranking, seed, causal: true, foldNorm: true }, options);
    const effects = await effectsOf(context, looking, ranking);
    const orders = {
      diagonal: rank(
        looking,
        released.map(({ diagonal, ...place }) => ({ ...place, score: diagonal })),
      ),
      composition: rank(
        looking,
        causal.map(({ composition, ...place }) => ({ ...place, score: composition })),
      ),
      effect: rank(
        looking,
        looking.map((place, i) => ({ ...place, score: effects[i] })),
      ),
    };
    const ranked = orders[rankBy];
    const all = headsOf(model).map((place, i): Scored => {
      const at = ranked.findIndex((own) => isSameHead(own, place));
      const effect = effects[looking.findIndex((own) => isSameHead(own, place))];
      return { ...place, released: released[i]!, causal: causal[i]!, looksBack: at >= 0, rank: at < 0 ? undefined : at + 1, effect };
    });
    const state: ChannelsState = { ranked, verification: ranked.slice(0, top), orders };
    return {
      findings: findingsOf(all, state),
      state: state as unknown as JsonObject,
      tables: [tableFrom(all, context.earlier<HeadsState>("heads").state, context.earlier<ProbeState>("probe").state)],
      figures: [figureOf(all)],
      notes: [
        "Effects are of one head alone, and of the same cases on which heads are switched off later: heads that stand in for each other have small ones, and an order by effect suits these cases a little better than others.",
        "The released score multiplies W_O and W_V element by element along the same coordinate: the diagonal of the matrix, not the matrix. It may score a head against units in front of it.",
        `Verification heads here: ${state.verification.map(({ layer, head }) => `${layer}.${head}`).join(", ") || "none"} (layer.head), the first ${top} by the ${rankBy} score. In the paper: 17.11, 17.14, 17.10.`,
      ],
    };
  },
};

type Placed = HeadPlace & { readonly score: number | undefined };

/** The heads by their score, best first. */
function rank(looking: readonly HeadPlace[], scores: readonly Placed[]): HeadPlace[] {
  const scoreOf = (head: HeadPlace): number => scores.find((own) => isSameHead(own, head))?.score ?? -Infinity;
  return looking
    .toSorted((a, b) => scoreOf(b) - scoreOf(a) || a.layer - b.layer || a.head - b.head)
    .map(({ layer, head }) => ({ layer, head }));
}

/** Heads between two places at which a run can be stopped; each costs one more untouched pass. */
const HEADS_A_PIECE = 8;

/** What each head that looks back does to the units, behind right results. */
async function effectsOf(
  context: StepContext<SelfVerificationParameters>,
  heads: readonly HeadPlace[],
  units: readonly UnitPlace[],
): Promise<number[]> {
  if (heads.length === 0) return [];
  const searches = context.earlier<SearchesState>("searches").state;
  const rows = rightAttempts(searches, context.parameters.ablation.cases).map(({ tokens }) => [...tokens, searches.words.open]);
  const { model } = context.subject;
  const effects: number[] = [];
  for (let from = 0; from < heads.length; from += HEADS_A_PIECE) {
    const chosen = heads.slice(from, from + HEADS_A_PIECE);
    const found = await context.piece(`effects ${from}`, () =>
      headEffectsOnUnits(model, { rows, heads: chosen, units }, { signal: context.signal }),
    );
    effects.push(...found);
    context.progress(effects.length, heads.length);
  }
  return effects;
}

function findingsOf(all: readonly Scored[], { ranked }: ChannelsState): Finding[] {
  const own = all.filter(({ looksBack }) => looksBack);
  const others = all.filter(({ looksBack }) => !looksBack);
  const pairs = all.filter(({ released, causal }) => released.diagonal !== undefined && causal.composition !== undefined);
  const composed = (heads: readonly Scored[]): number[] =>
    heads.flatMap(({ causal: { composition } }) => (composition === undefined ? [] : [composition]));
  const [first, rest] = [composed(own), composed(others)];
  return [
    numberFinding("channels.composition_looking", "mean full score of the heads that look back", {
      value: first.length === 0 ? null : mean(first),
      unit: "share of a direction",
      n: first.length,
      controls: [
        ...(rest.length === 0 ? [] : [{ name: "all other heads", value: mean(rest) }]),
        ...(own.length === 0
          ? []
          : [{ name: "the same heads, random directions in place of the units", value: mean(own.map(({ causal }) => causal.baseline)) }]),
      ],
      ...(first.length === 0 && { note: "no head looks back and has units behind it" }),
    }),
    numberFinding("channels.agreement", "rank correlation of the released score and the full one, over all heads", {
      value:
        pairs.length < 3
          ? null
          : (spearman(
              pairs.map(({ released }) => released.diagonal!),
              pairs.map(({ causal }) => causal.composition!),
            ) ?? null),
      unit: "Spearman's rho",
      n: pairs.length,
      tolerance: { absolute: 0.05, relative: 0 },
      note:
        pairs.length < 3
          ? "fewer than three heads have both"
          : "1: they rank heads alike; 0: they have nothing in common. The forms differ in three ways: diagonal or matrix, any order of layers or units behind the head only, without the norm or with it",
    }),
    numberFinding("channels.ranked", "heads that look back and are ranked", {
      value: ranked.length,
      unit: "heads",
      tolerance: { absolute: 1, relative: 0 },
    }),
  ];
}

function tableFrom(all: readonly Scored[], { scores }: HeadsState, probe: ProbeState): Table {
  return tableOf(
    { name: "head_scores", title: "Every score of every head", tolerance: { absolute: 1e-5, relative: 0.02 } },
    [
      { name: "layer", type: "int" },
      { name: "head", type: "int" },
      { name: "looks_back", type: "boolean" },
      { name: "rank", type: "int" },
      { name: "attention_from_result", type: "double", unit: "share" },
      { name: "attention_from_open", type: "double", unit: "share" },
      { name: "induction", type: "double", unit: "share" },
      { name: "probe_auroc", type: "double", unit: "AUROC" },
      { name: "effect", type: "double", unit: "activation" },
      { name: "diagonal", type: "double", unit: "released score" },
      { name: "diagonal_causal", type: "double", unit: "released score" },
      { name: "composition", type: "double", unit: "share of a direction" },
      { name: "composition_causal", type: "double", unit: "share of a direction" },
      { name: "random_directions", type: "double", unit: "share of a direction" },
    ],
    all.map(({ layer, head, looksBack, rank: own, effect, released, causal }, i) => ({
      layer,
      head,
      looks_back: looksBack,
      rank: own ?? null,
      attention_from_result: scores[i]!.fromResult,
      attention_from_open: scores[i]!.fromOpen,
      induction: scores[i]!.induction,
      probe_auroc: probe.heads[i] ?? null,
      effect: effect ?? null,
      diagonal: released.diagonal ?? null,
      diagonal_causal: causal.diagonal ?? null,
      composition: released.composition ?? null,
      composition_causal: causal.composition ?? null,
      random_directions: causal.baseline,
    })),
  );
}

function figureOf(all: readonly Scored[]): Figure {
  return {
    name: "channels",
    title: "Released score and full score of heads",
    caption:
      "Each point is a head. Across: the released, diagonal score; up: the full score with units behind the head only. Heads that look back are named.",
    svg: scatterSvg(
      all
        .filter(({ causal }) => causal.composition !== undefined)
        .map(({ layer, head, released, causal, looksBack }) => ({
          x: released.diagonal ?? 0,
          y: causal.composition!,
          label: `${layer}.${head}`,
          group: looksBack ? "looks back" : "other",
          highlighted: looksBack,
        })),
      { title: "scores of heads", xLabel: "diagonal score (released)", yLabel: "full score" },
    ),
    table: "head_scores",
  };
}
