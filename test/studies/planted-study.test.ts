/** @file The study finds in the planted model what was planted, step by step, and nothing where nothing is. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRun, type StoredRun } from "../../src/store/stored-run.js";
import { classVector } from "../../src/studies/self-verification/probe-vectors.js";
import type {
  AblationState,
  CaseState,
  ChannelsState,
  HeadsState,
  SearchesState,
  UnitsState,
} from "../../src/studies/self-verification/state.js";
import type { SelfVerificationParameters } from "../../src/studies/self-verification/parameters.js";
import { activityStep } from "../../src/studies/self-verification/steps/activity.js";
import { rescueStep } from "../../src/studies/self-verification/steps/rescue.js";
import { searchesStep } from "../../src/studies/self-verification/steps/searches.js";
import { transferStep } from "../../src/studies/self-verification/steps/transfer.js";
import type { StepContext } from "../../src/studies/study.js";
import { openSubject, type OpenSubject } from "../../src/studies/subject.js";
import { dot } from "../../src/base/vectors.js";
import { wilson } from "../../src/base/wilson.js";
import { temporaryFolder } from "../formats/folder.js";
import { plantStudy, runPlanted } from "./planted-study.js";
import { SIZES } from "./planted/planted-layout.js";
import { plantedSearches } from "./planted/planted-searches.js";
import { plantedTruth } from "./planted/planted-truth.js";
import { contextBehind, findingOf, leftBy, rowsOf, valueOf } from "./stored.js";

const { root } = temporaryFolder();
const { direction, readable, unreadable, validUnits, invalidUnit, decoyUnits, verificationHeads, decoyHead, previousTokenHead } =
  plantedTruth;
const looking = [...verificationHeads, decoyHead].map(nameOf).toSorted();
const SEARCHES = 40;

/** Rows of the tables that are looked into. */
interface ProbeRow {
  readonly site: string;
  readonly moment: string;
  readonly layer: number;
  readonly balanced_accuracy: number;
  readonly auroc: number;
  readonly auroc_low: number;
  readonly auroc_high: number;
  readonly shuffled: number;
  readonly random_projections: number;
}
interface HeadRow {
  readonly layer: number;
  readonly head: number;
  readonly looks_back: boolean;
  readonly from_result: number;
  readonly from_result_others: number;
  readonly from_open: number;
  readonly from_open_others: number;
}
interface ScoreRow {
  readonly layer: number;
  readonly head: number;
  readonly diagonal: number;
  readonly composition_causal: number | null;
  readonly effect: number | null;
}
interface OutcomeRow {
  readonly condition: string;
  readonly meaning: string;
  readonly disabled: number;
  readonly verifies: number;
  readonly cases: number;
}
interface UnitRow {
  readonly near: "this" | "not";
  readonly layer: number;
  readonly unit: number;
  readonly cosine: number;
  readonly before: number;
  readonly after: number;
}

let run: StoredRun;
beforeAll(async () => {
  const folder = join(root, "run");
  await runPlanted(plantStudy(root, SEARCHES), folder);
  run = readRun(folder);
});

function nameOf({ layer, head }: { readonly layer: number; readonly head: number }): string {
  return `${layer}.${head}`;
}

function unitName({ layer, unit }: { readonly layer: number; readonly unit: number }): string {
  return `${layer}.${unit}`;
}

/** The row of a condition in a table of outcomes. */
function outcome(step: string, table: string, condition: string): OutcomeRow {
  return rowsOf<OutcomeRow>(run, step, table).find((row) => row.condition === condition)!;
}

describe("searches", () => {
  test("have the judgements that were planted, at their places", () => {
    const { searches, steps, words } = leftBy<SearchesState>(run, "searches").state;
    const planted = plantedSearches(5, SEARCHES);
    expect(searches.map(({ tokens }) => tokens)).toEqual(planted.map(({ tokens }) => tokens));
    const made = planted.flatMap(({ attempts }, search) => attempts.map((attempt) => [search, attempt.isRight ? 1 : 0, attempt.open]));
    expect(steps.map(({ search, label, open }) => [search, label, open])).toEqual(made);
    for (const { search, open, lastDigit, equals, start } of steps) {
      const { tokens } = searches[search]!;
      expect(tokens[open]).toBe(words.open);
      expect([lastDigit, equals]).toEqual([open - 1, open - 2]);
      expect(start).toBeLessThan(equals);
    }
  });

  test("are judged by the value that was written, which is seldom what the attempt gives", () => {
    expect(valueOf(run, "searches.verdict_by_claim")).toBe(1);
    // Results are drawn, not calculated, and a half of them are not the target.
    expect(Math.abs(valueOf(run, "searches.verdict_by_truth") - 0.5)).toBeLessThan(0.15);
  });
});

describe("probes", () => {
  const ofStream = (layer: number): ProbeRow =>
    rowsOf<ProbeRow>(run, "probe", "probes").find((row) => row.site === "resid_post" && row.moment === "open" && row.layer === layer)!;

  test.each(readable)("are perfect behind block %i", (layer) => {
    expect(ofStream(layer)).toMatchObject({ balanced_accuracy: 1, auroc: 1 });
    expect(valueOf(run, `probe.resid_post.${layer}.balanced_accuracy`)).toBe(1);
    // All resamples of a perfect probe are perfect, which is no reason to be sure.
    const { low, high } = wilson(8, 8);
    expect(findingOf(run, `probe.resid_post.${layer}.balanced_accuracy`).interval).toMatchObject({ low, high, method: "wilson" });
  });

  test.each(unreadable)("are at chance behind block %i", (layer) => {
    const { auroc_low: low, auroc_high: high, balanced_accuracy: share } = ofStream(layer);
    expect(low).toBeLessThan(0.5);
    expect(high).toBeGreaterThan(0.5);
    expect(Math.abs(share! - 0.5)).toBeLessThan(0.2);
    const { interval, n } = findingOf(run, `probe.resid_post.${layer}.balanced_accuracy`);
    expect(interval!.low).toBeLessThan(share);
    expect(interval!.high).toBeGreaterThan(share);
    expect(n).toBe(8);
  });

  test("of shuffled labels are at chance in each layer", () => {
    // Five draws on 48 judgements each: a deviation of the mean of 0.03, more where right ones come in groups.
    for (const layer of [0, 1, 2]) expect(Math.abs(ofStream(layer)["shuffled"]! - 0.5)).toBeLessThan(0.15);
  });

  test("of random projections are at chance where nothing is to be read, and far from perfect where it is", () => {
    // In 96 dimensions a random direction sees a little of one in which the stream is 4 wide.
    for (const layer of unreadable) expect(Math.abs(ofStream(layer)["random_projections"]! - 0.5)).toBeLessThan(0.15);
    for (const layer of readable) expect(ofStream(layer)["random_projections"]).toBeLessThan(0.85);
  });

  test("are compared over places and moments by one method", () => {
    const methods = new Map<string, Set<string>>();
    for (const { site, moment, method } of rowsOf<ProbeRow & { readonly method: string }>(run, "probe", "probes"))
      methods.set(`${site} ${moment}`, new Set([...(methods.get(`${site} ${moment}`) ?? []), method]));
    for (const [place, found] of methods)
      expect([place, [...found]]).toEqual([place, place === "resid_post open" ? ["softmax_adamw", "logistic"] : ["logistic"]]);
    expect(methods.size).toBe(6);
  });

  test("read nothing before the bracket, in any layer", () => {
    const earlier = rowsOf<ProbeRow>(run, "probe", "probes").filter((row) => row.moment !== "open");
    expect(new Set(earlier.map((row) => row.moment))).toEqual(new Set(["start", "equals", "lastDigit"]));
    for (const row of earlier) {
      expect(row.auroc_low).toBeLessThan(0.5);
      expect(row.auroc_high).toBeGreaterThan(0.5);
    }
  });

  test("point along the planted direction, `not` against it", () => {
    const { probe } = leftBy(run, "probe").tensors;
    const cosine = (layer: number, label: 0 | 1): number => {
      const row = classVector(probe!, layer, label);
      return dot(row, direction) / Math.sqrt(dot(row, row));
    };
    // By chance: a deviation of 1/√96 = 0.1. The rest is the random start, and other ways by which verdicts go together in so few searches.
    for (const layer of readable) {
      expect(cosine(layer, 1)).toBeGreaterThan(0.5);
      expect(cosine(layer, 0)).toBeLessThan(-0.5);
    }
    for (const layer of unreadable) for (const label of [0, 1] as const) expect(Math.abs(cosine(layer, label))).toBeLessThan(0.35);
  });

  test("decode to the verdicts", () => {
    expect(valueOf(run, "lens.last.lead")).toBeGreaterThan(3);
    const rows = rowsOf<{ readonly layer: number; readonly class: string; readonly tokens: string }>(run, "lens", "lens").filter((row) =>
      readable.includes(row.layer),
    );
    for (const row of rows) expect(row.tokens.split(" · ")[0]).toBe(row.class);
  });
});

describe("steering", () => {
  test.each(["this", "not"])("along the probe turns every verdict to `%s`; random directions as long turn none", (toward) => {
    const found = findingOf(run, `steer.${toward}.1.flipped`);
    // A fifth of the forty searches are held out.
    expect(found).toMatchObject({ value: 1, n: 8, note: "12 judgements of 8 searches, which the interval takes whole" });
    expect(found.controls).toMatchObject([
      { value: 0, interval: { low: 0, high: 0 } },
      { name: "no step", value: 0 },
    ]);
    const rows = rowsOf<{ readonly toward: string; readonly lead_change: number; readonly placebo_lead_change: number }>(
      run,
      "steer",
      "steering",
    );
    const row = rows.find((one) => one.toward === toward)!;
    // The lead is 12 nats times what is added along the direction; what random directions add there is a tenth of it.
    expect(row.lead_change).toBeGreaterThan(20);
    expect(Math.abs(row.placebo_lead_change)).toBeLessThan(row.lead_change / 3);
  });

  test("makes searches call wrong values right, which they else never do", () => {
    const found = findingOf(run, "steer.searches.accept_wrong");
    expect(found.n).toBeGreaterThan(2);
    expect(found.value).toBe(1);
    expect(found.controls!.map(({ value }) => value)).toEqual([0, 0]);
  });
});

describe("units", () => {
  test("nearest to `this` are the ten planted ones, and the one nearest to `not` is the invalid one", () => {
    const { intervention, ranking } = leftBy<UnitsState>(run, "units").state;
    const [invalid, valid] = intervention;
    expect(valid.map(unitName).toSorted()).toEqual(validUnits.map(unitName).toSorted());
    expect(ranking.map(unitName).toSorted()).toEqual(validUnits.map(unitName).toSorted());
    expect(unitName(invalid[0]!)).toBe(unitName(invalidUnit));
    for (const decoy of decoyUnits) expect([...invalid, ...valid].map(unitName)).not.toContain(unitName(decoy));
  });

  test("that were planted are nearer than any unit is to random directions; the others are not", () => {
    const chance = findingOf(run, "units.this.cosine_max").controls![0]!.interval!.high;
    for (const { near, unit, cosine } of rowsOf<UnitRow>(run, "units", "units"))
      if (near === "this" || unit === invalidUnit.unit) expect(cosine).toBeGreaterThan(1.2 * chance);
      else expect(cosine).toBeLessThan(1.2 * chance);
  });
});

describe("heads", () => {
  test("that look back are the three that verify and the decoy", () => {
    expect(leftBy<HeadsState>(run, "heads").state.looking.map(nameOf).toSorted()).toEqual(looking);
    expect(valueOf(run, "heads.looking")).toBe(4);
    for (const row of rowsOf<HeadRow>(run, "heads", "heads")) {
      const isLooking = looking.includes(nameOf(row));
      expect(row.looks_back).toBe(isLooking);
      for (const from of ["from_result", "from_open"] as const) {
        if (!isLooking) continue;
        expect(row[from]).toBeGreaterThan(0.95);
        expect(row[`${from}_others`]).toBeLessThan(0.01);
      }
    }
  });

  test("that look back are no induction heads on random tokens", () => {
    expect(valueOf(run, "heads.induction_mean")).toBeLessThan(0.05);
  });

  test("are ranked so that those that feed the valid units come before the decoy, by composition and by effect", () => {
    const { ranked, verification, orders } = leftBy<ChannelsState>(run, "channels").state;
    for (const order of [orders.composition, orders.effect]) {
      expect(order.slice(0, 3).map(nameOf).toSorted()).toEqual(verificationHeads.map(nameOf));
      expect(order.slice(3).map(nameOf)).toEqual([nameOf(decoyHead)]);
    }
    expect(ranked).toEqual(orders.composition);
    expect(verification).toEqual(ranked.slice(0, 3));
    const rowOf = (name: string): ScoreRow => rowsOf<ScoreRow>(run, "channels", "head_scores").find((row) => nameOf(row) === name)!;
    const decoy = rowOf(nameOf(decoyHead));
    expect(Math.abs(decoy.effect!)).toBeLessThan(0.01);
    for (const { composition_causal: composition, effect } of verificationHeads.map((head) => rowOf(nameOf(head)))) {
      expect(composition).toBeGreaterThan(5 * decoy.composition_causal!);
      expect(effect).toBeGreaterThan(0.02);
    }
  });

  test("have nothing on the diagonal by which the released score could tell them apart", () => {
    for (const row of rowsOf<ScoreRow>(run, "channels", "head_scores")) {
      expect(Math.abs(row.diagonal)).toBeLessThan(1e-3);
      if (row.layer === 2) expect(row.composition_causal).toBeNull();
    }
  });
});

describe("ablation", () => {
  test("of nothing leaves every right result verified", () => {
    expect(leftBy<{ cases: readonly CaseState[] }>(run, "ablation").state.cases).toHaveLength(24);
    expect(outcome("ablation", "outcomes", "ablation.none")).toMatchObject({ verifies: 1, cases: 24 });
  });

  test.each(["heads_all", "heads_top", "units_valid", "curve_composition_3", "curve_effect_3", "curve_diagonal_4"])(
    "%s disables verification in every case",
    (condition) => {
      expect(outcome("ablation", "outcomes", `ablation.${condition}`)).toMatchObject({ disabled: 1, verifies: 0 });
    },
  );

  test.each(["composition", "effect"] as const)("of heads by %s disables what their digits are, step by step", (order) => {
    const ranked = leftBy<ChannelsState>(run, "channels").state.orders[order];
    const { cases } = leftBy<{ cases: readonly CaseState[] }>(run, "ablation").state;
    const { searches } = leftBy<SearchesState>(run, "searches").state;
    const digitsOf = (head: (typeof ranked)[number]): readonly number[] =>
      verificationHeads.find((own) => nameOf(own) === nameOf(head))?.digits ?? [];
    let least = 0;
    for (const count of [1, 2, 3]) {
      const gone = ranked.slice(0, count).flatMap(digitsOf);
      const share = cases.filter(({ search }) => gone.includes(searches[search]!.target)).length / cases.length;
      expect(share).toBeGreaterThan(least);
      expect(outcome("ablation", "outcomes", `ablation.curve_${order}_${count}`).disabled).toBe(share);
      least = share;
    }
    expect(valueOf(run, `ablation.fewest_heads.${order}`)).toBe(3);
  });

  test("of random heads that do not look back does nothing, unless one brings the result to the bracket", () => {
    const draws = rowsOf<OutcomeRow>(run, "ablation", "outcomes").filter((row) => row.condition.startsWith("ablation.random_"));
    expect(draws).toHaveLength(10);
    for (const [i, row] of draws.entries()) {
      const heads = [...row.meaning.matchAll(/\d+\.\d+/g)].map(([name]) => name);
      // As many as the verification heads, then as many as all that look back.
      expect(heads).toHaveLength(i < 5 ? 3 : 4);
      for (const head of heads) expect(looking).not.toContain(head);
      expect(row.verifies).toBe(heads.includes(nameOf(previousTokenHead)) ? 0 : 1);
    }
  });

  test("of as many random units does nothing", () => {
    expect(outcome("ablation", "outcomes", "ablation.units_random")).toMatchObject({ verifies: 1 });
    for (const pool of ["valid", "both"]) {
      const [units, placebo] = [`ablation.units_${pool}`, pool === "valid" ? "ablation.units_random" : `ablation.units_random_${pool}`];
      const [many, random] = [units, placebo].map((id) => Number(/^\d+/.exec(outcome("ablation", "outcomes", id).meaning)![0]));
      // Of the planted layer's units no more are left than it has.
      expect(random).toBe(Math.min(many!, SIZES.dMlp - many!));
      const [control] = findingOf(run, `${units}.disabled`).controls!;
      expect(control).toEqual({
        name: `${random} random units of these layers off`,
        value: outcome("ablation", "outcomes", placebo).disabled,
      });
    }
  });
});

describe("activity", () => {
  test("of the valid units falls to nothing without the verification heads; that of the others stays", () => {
    const rows = rowsOf<UnitRow>(run, "activity", "activity");
    const { cases } = leftBy<{ cases: readonly CaseState[] }>(run, "ablation").state;
    const { searches } = leftBy<SearchesState>(run, "searches").state;
    const targets = new Set(cases.map(({ search }) => searches[search]!.target));
    for (const { unit, digit } of validUnits) {
      const { before, after } = rows.find((row) => row.layer === 1 && row.unit === unit)!;
      if (targets.has(digit)) expect(before).toBeGreaterThan(0.05);
      expect(Math.abs(after)).toBeLessThan(0.03);
    }
    const others = rows.filter((row) => row.near === "not");
    expect(others).toHaveLength(10);
    for (const { before, after } of others) expect(Math.abs(after - before)).toBeLessThan(0.15);
    const { before } = others.find((row) => row.unit === invalidUnit.unit)!;
    expect(before).toBeGreaterThan(1);
  });

  test("changes more near `this` than near `not` and elsewhere", () => {
    const { value, controls } = findingOf(run, "activity.valid.change_size");
    expect(value).toBeGreaterThan(4 * controls![0]!.value);
    expect(value).toBeGreaterThan(4 * valueOf(run, "activity.invalid.change_size"));
    const { value: change, controls: random } = findingOf(run, "activity.valid.change");
    expect(change).toBeLessThan(0);
    // Those draws that lack the head which brings the result to the bracket leave the units as they are.
    const draws = leftBy<AblationState>(run, "ablation").state.randomHeads;
    expect(draws).toHaveLength(5);
    expect(draws.some((heads) => !heads.map(nameOf).includes(nameOf(previousTokenHead)))).toBe(true);
    expect(Math.abs(random![0]!.interval!.high)).toBeLessThan(Math.abs(change!) / 4);
  });
});

describe("rescue", () => {
  test("by the three heads that verify brings every verdict back, by the decoy none", () => {
    expect(outcome("rescue", "rescue", "rescue.all_off")).toMatchObject({ verifies: 0 });
    expect(outcome("rescue", "rescue", "rescue.top_back")).toMatchObject({ verifies: 1 });
    expect(outcome("rescue", "rescue", "rescue.top_off_last_back")).toMatchObject({ verifies: 1 });
    expect(outcome("rescue", "rescue", "rescue.others_back")).toMatchObject({ verifies: 0 });
    expect(findingOf(run, "rescue.top_off_last_back.verifies").controls).toMatchObject([{ name: "the first 3 off", value: 0 }]);
  });
});

test("steps that need what is not there are left out with a reason", () => {
  const skipped = run.steps.flatMap(({ name, skipped: why }) => (why === undefined ? [] : [`${name}: ${why}`]));
  expect(skipped).toEqual(["in-context: behind worked examples the model judged nothing", "transfer: no other model was given"]);
  expect(run.manifest.models["model"]).toMatchObject({ family: "llama", id: "planted" });
  expect(SIZES.layers).toBe(run.findings.filter(({ id }) => /^probe\.resid_post\.\d+\./.test(id)).length);
});

describe("steps by themselves", () => {
  let subject: OpenSubject;
  let context: StepContext<SelfVerificationParameters>;
  beforeAll(async () => {
    subject = await openSubject(join(root, "planted"), { threads: 1 });
    context = contextBehind(run, subject, run.manifest.parameters as unknown as SelfVerificationParameters);
  });
  afterAll(() => subject.close());

  test("carry nothing to a model that judges nothing", async () => {
    // The planted model judges what it is given, and writes no searches of its own.
    const { findings, skipped, generations } = await transferStep.run({ ...context, other: () => Promise.resolve(subject) });
    expect([findings, skipped]).toEqual([[], "the other model judged nothing in its searches"]);
    expect(generations!["searches"]!.length).toBeGreaterThan(0);
  });

  test("switch nothing off where no head looks back", async () => {
    const none: Partial<ChannelsState> = { ranked: [], verification: [] };
    const earlier = ((name: string) =>
      name === "channels" ? { state: none, tensors: {}, generations: {} } : context.earlier(name)) as typeof context.earlier;
    for (const step of [activityStep, rescueStep])
      expect(await step.run({ ...context, earlier })).toMatchObject({
        findings: [],
        skipped: expect.stringContaining("no head looks back") as string,
      });
  });

  const refusalOf = (change: (response: string, index: number) => string): Promise<unknown> => {
    const lines = plantedSearches(5, 8).map(({ prompt, response, task }, index) =>
      JSON.stringify({ prompt, response: change(response, index), ...task }),
    );
    const file = join(root, "refused.jsonl");
    writeFileSync(file, lines.join("\n"));
    const parameters = { ...context.parameters, searches: { ...context.parameters.searches, file } };
    return searchesStep.run({ ...context, parameters });
  };

  test("refuse searches of which none has both verdicts, where only such are probed", async () => {
    const only = (word: string, response: string): string =>
      response
        .split("\n")
        .filter((line) => line.includes(word))
        .join("\n");
    await expect(refusalOf((response, index) => only(index % 2 ? "(not" : "(this", response))).rejects.toThrow(
      "no search has both verdicts. Instead: ask more with searches.prompts, or check that the model writes the format countdown, or set searches.bothVerdicts to false",
    );
  });

  test.each([
    ["of one verdict only", / = (\d) \(this works\)\n/g, " = $1 (not $1)\n", "not both verdicts among them"],
    [
      "that call only wrong results right",
      / = (\d) \(this works\)\n/g,
      " = 0 (this works)\n",
      "none calls a result right that is the target",
    ],
  ])("refuse searches %s", async (_, pattern, instead, words) => {
    await expect(refusalOf((response) => response.replaceAll(pattern, instead))).rejects.toThrow(words);
  });
});
