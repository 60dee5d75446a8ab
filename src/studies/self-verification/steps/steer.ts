/** @file Step 4: the probe's direction put to use: a step along it at the bracket, and what the model then says. */
import { judgements } from "../../../analyses/verification/judgements.js";
import { seedFrom } from "../../../base/draws.js";
import { mean } from "../../../base/statistics.js";
import { curveSvg } from "../../../charts/curve.js";
import type { Edit } from "../../../runtime/edit.js";
import type { Control, Finding } from "../../../store/finding.js";
import type { Figure } from "../../../store/step-output.js";
import { tableOf, type Table } from "../../../store/table.js";
import { groupedShareFinding } from "../../finding-of.js";
import type { Step } from "../../study.js";
import { evenly, prefixOf } from "../judged.js";
import type { SelfVerificationParameters } from "../parameters.js";
import type { ProbeState, SearchesState } from "../state.js";
import { steeredSearches } from "../steered-searches.js";
import { directions, editsAlong, type Work } from "../steering.js";

/** What one strength did to the judgements of one verdict. */
interface Steered {
  readonly toward: "this" | "not";
  readonly strength: number;
  /** The search of each judgement, and whether it was turned. */
  readonly groups: readonly number[];
  readonly hits: readonly boolean[];
  readonly flipped: number;
  readonly n: number;
  /** How many are the other verdict with no step. */
  readonly unmoved: number;
  /** Mean change of the lead of the verdict steered to, in logits. */
  readonly change: number;
  readonly placebos: readonly number[];
  readonly placeboChange: number;
}

export const steerStep: Step<SelfVerificationParameters> = {
  name: "steer",
  title: "Steering with the probe",
  about:
    "At the bracket in front of a verdict a step along the probe's direction is added to the stream behind some blocks, at that position alone: along the row of `this`, or against it. Lengths are multiples of the stream's mean length behind each block; with several blocks the steps add up. Judgements come from searches that the probe was not fitted to; beside it, random directions of the same length.",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const { state: probe, tensors } = context.earlier<ProbeState>("probe");
    const vectors = directions(context, tensors["probe"]!, probe);
    const held = probe.test.map((place) => searches.steps[probe.used[place]!]!);
    const results: Steered[] = [];
    for (const toward of ["this", "not"] as const) {
      const judged = held.filter(({ label }) => label === (toward === "this" ? 0 : 1));
      const cases = evenly(judged, context.parameters.steer.cases).map((index) => judged[index]!);
      for (const strength of context.parameters.steer.strengths)
        results.push(await steered({ context, searches, vectors, cases }, toward, strength));
    }
    const chosen = chosenStrength(results);
    const seed = seedFrom(context.random("intervals"));
    const written = await steeredSearches({ context, searches, vectors, cases: held }, chosen);
    return {
      findings: [...results.map((result) => findingOf(result, seed)), ...written.findings],
      tables: [tableFrom(results)],
      generations: { steered: written.lines },
      figures: [figureOf(results)],
      notes: [
        `Whole searches are steered with a step of ${chosen} mean lengths: the shortest that turned nine of ten \`not\` judgements, else the longest. It was chosen on judgements of the same searches.`,
        `The paper adds 20 times the unit direction to blocks 24 to 32 of 36 (released code) and gives no shares; here blocks ${context.parameters.steer.layers.join(", ")} of ${probe.norms.length} are moved.`,
      ],
    };
  },
};

async function steered({ context, searches, vectors, cases }: Work, toward: "this" | "not", strength: number): Promise<Steered> {
  const rows = cases.map((step) => prefixOf(searches, step));
  const { valid, invalid } = searches.words;
  const sign = toward === "this" ? 1 : -1;
  const goal = toward === "this" ? valid : invalid;
  const judge = async (edits: readonly Edit[]): Promise<Judged> => {
    if (rows.length === 0) return { hits: [], lead: 0 };
    const found = await judgements(context.subject.model, { rows, valid, invalid, edits }, { signal: context.signal });
    return { hits: found.map(({ top }) => top === goal), lead: sign * mean(found.map(({ lead }) => lead)) };
  };
  return context.piece(`${toward} ${strength}`, async () => {
    const before = await judge([]);
    const real = await judge(editsAlong(vectors.layers, vectors.real, sign * strength));
    const placebos: Judged[] = [];
    for (const vector of vectors.placebos) placebos.push(await judge(editsAlong(vectors.layers, vector, strength)));
    return {
      toward,
      strength,
      groups: cases.map(({ search }) => search),
      hits: real.hits,
      flipped: countOf(real),
      n: rows.length,
      unmoved: countOf(before),
      change: real.lead - before.lead,
      placebos: placebos.map(countOf),
      placeboChange: mean(placebos.map(({ lead }) => lead)) - before.lead,
    };
  });
}

/** Whether each judgement is now the verdict steered to, and the mean of its lead. */
interface Judged {
  readonly hits: readonly boolean[];
  readonly lead: number;
}

function countOf({ hits }: Judged): number {
  return hits.filter(Boolean).length;
}

function controlsOf({ placebos, unmoved, n }: Steered): Control[] {
  if (n === 0) return [];
  const shares = placebos.map((flipped) => flipped / n);
  const interval = { low: Math.min(...shares), high: Math.max(...shares), level: 1, method: "range" as const };
  return [
    { name: `${placebos.length} random directions as long`, value: mean(shares), interval },
    { name: "no step", value: unmoved / n },
  ];
}

function findingOf(result: Steered, seed: number): Finding {
  const { toward, strength, groups, hits } = result;
  return groupedShareFinding(
    `steer.${toward}.${strength}.flipped`,
    `\`${toward === "this" ? "not" : "this"}\` judgements that become \`${toward}\` with a step of ${strength} mean lengths behind each block that is moved`,
    { hits, groups, seed, controls: controlsOf(result), tolerance: { absolute: 0.03, relative: 0 } },
  );
}

/** The shortest step that turns nine of ten `not` judgements, or the longest. */
function chosenStrength(results: readonly Steered[]): number {
  const toThis = results.filter(({ toward }) => toward === "this").toSorted((a, b) => a.strength - b.strength);
  return (toThis.find(({ flipped, n }) => n > 0 && flipped / n >= 0.9) ?? toThis.at(-1)!).strength;
}

function tableFrom(results: readonly Steered[]): Table {
  return tableOf(
    { name: "steering", title: "Judgements that turn, by the length of the step", tolerance: { absolute: 0.05, relative: 0.01 } },
    [
      { name: "toward", type: "text" },
      { name: "strength", type: "double", unit: "mean lengths" },
      { name: "flipped", type: "double", unit: "share" },
      { name: "lead_change", type: "double", unit: "logits" },
      { name: "placebo_flipped", type: "double", unit: "share" },
      { name: "placebo_lead_change", type: "double", unit: "logits" },
      { name: "cases", type: "int" },
    ],
    results.map(({ toward, strength, flipped, n, change, placebos, placeboChange }) => ({
      toward,
      strength,
      flipped: n === 0 ? null : flipped / n,
      lead_change: n === 0 ? null : change,
      placebo_flipped: n === 0 ? null : mean(placebos) / n,
      placebo_lead_change: n === 0 ? null : placeboChange,
      cases: n,
    })),
  );
}

function figureOf(results: readonly Steered[]): Figure {
  const line = (toward: "this" | "not", read: (one: Steered) => number, name: string) => {
    const own = results.filter((one) => one.toward === toward && one.n > 0);
    return { name, x: own.map(({ strength }) => strength), y: own.map((one) => read(one) / one.n) };
  };
  return {
    name: "steering",
    title: "Judgements that turn when steered",
    caption:
      "Share of judgements whose most probable word becomes the other verdict, against the length of the step; random directions beside.",
    svg: curveSvg(
      [
        line("this", ({ flipped }) => flipped, "not → this"),
        line("not", ({ flipped }) => flipped, "this → not"),
        line("this", ({ placebos }) => mean(placebos), "not → this, random direction"),
        line("not", ({ placebos }) => mean(placebos), "this → not, random direction"),
      ].filter(({ x }) => x.length > 0),
      { title: "steering", xLabel: "step, in mean lengths of the stream", yLabel: "share turned" },
    ),
    table: "steering",
  };
}
