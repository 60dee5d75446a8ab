/**
 * @file Pairs of a sweep: prompts of unequal lengths with positions by name, values taken from other positions, another measured position
 * than the last, pairs without a second prompt; pairs do not touch each other; and what is refused, word for word.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../../src/runtime/model.js";
import type { Counterfactual, SweepEdit, SweepOptions, SweepPair, SweepRequest } from "../../../src/runtime/sweep/request.js";
import { FIXTURE_FOLDERS, modelShelf } from "../../parity/subjects.js";
import { fixture, loadFixture, rowsOf } from "../support.js";
import { compared, equality, MEASURES, METRICS, TOLERANCE } from "./compare.js";
import { naiveSweep } from "./naive.js";

const shelf = modelShelf();
afterAll(shelf.close);

const [first, second, third, fourth] = rowsOf(9, 8, 7, 11) as [number[], number[], number[], number[]];
const tokens = { answer: 5, wrong: [7, 8] } as const;

/** Three pairs: as many tokens in both prompts, more in the corrupted one, more in the clean one; all with the same names. */
const PAIRS: readonly SweepPair[] = [
  { clean: first, corrupted: [...first.slice(0, 4), 1, 2, 3, 4, 6], ...tokens, positions: { subject: [4, 5], verb: -2, start: 0 } },
  {
    clean: second,
    corrupted: [...second.slice(0, 2), 9, 10, 11, 12, ...second.slice(3), 13],
    ...tokens,
    positions: { subject: { clean: [2, 3], corrupted: [3, 5] }, verb: { clean: 6, corrupted: 9 }, start: 0 },
  },
  {
    clean: fourth,
    corrupted: third,
    ...tokens,
    positions: { subject: { clean: [5, 4], corrupted: [2, 3] }, verb: { clean: [7], corrupted: 4 }, start: { clean: 1, corrupted: 0 } },
  },
];

const patch = (at: string, where: Partial<SweepEdit> = {}): SweepEdit => ({ at, op: "patch", ...where }) as SweepEdit;

/** Counterfactuals with no position by index. */
const NAMED: readonly Counterfactual[] = [
  [patch("resid_pre.0", { positions: ["subject"] })],
  [patch("resid_post.0", { positions: ["end"] })],
  [patch("resid_pre.1", { positions: ["subject", "verb"] })],
  [patch("resid_post.0", { positions: [-1, -3] })],
  [patch("z.0", { heads: [1], positions: ["verb", "start"] })],
  [patch("v.1", { heads: [0], positions: ["subject"] })],
  [patch("q.1", { positions: ["end"], units: [0, 1] })],
  [patch("embed", { positions: ["subject", "end"] })],
  [patch("resid_post.0", { positions: ["verb"], from: ["end"] })],
  [patch("attn_out.0", { positions: ["subject"], from: ["end", "start"] })],
  [patch("k.1", { positions: ["end"], from: [0] })],
  [patch("mlp_out.1", { positions: ["end"], from: [-2] })],
  [patch("resid_pre.0", { positions: ["subject"] }), patch("resid_pre.1", { positions: ["subject"], run: "base" })],
  [patch("resid_pre.0", { positions: ["start", "verb"], from: ["verb", "start"] }), patch("resid_post.1", { positions: ["end"] })],
  [{ at: "attn_scores.1", op: "knockout", queries: ["end"], keys: ["verb"] } as const],
  [{ at: "attn_scores.0", op: "knockout", heads: [0], queries: ["verb", "end"], keys: ["subject", -1] } as const],
  [{ at: "pattern.1", op: "scale", by: 0.5, queries: ["end"] } as const],
  [{ at: "resid_post.0", op: "scale", by: 2, positions: { every: 3, from: -5 } } as const, patch("z.1", { positions: ["end"] })],
].map((edits) => ({ edits }));

/** Without a second prompt nothing is taken from there. */
const ABLATIONS: readonly Counterfactual[] = [
  { edits: [{ at: "resid_post.0", op: "set", value: 0, positions: ["subject"] }] },
  { edits: [{ at: "z.1", op: "set", value: 0, heads: [0] }] },
  { edits: [{ at: "mlp_out.0", op: "scale", by: -1, positions: ["verb", "end"] }] },
  { edits: [{ at: "attn_scores.1", op: "knockout", queries: ["end"], keys: ["verb"] }] },
  { edits: [{ at: "resid_post.0", op: "scale", by: 0.5 }], freeze: ["attn_out.1"] },
  {
    edits: [
      { at: "resid_pre.0", op: "scale", by: 3, positions: ["start"] },
      { at: "attn_out.1", op: "patch", run: "base", positions: ["verb", "end"] },
    ],
  },
];

describe.each(FIXTURE_FOLDERS)("$name", ({ folder }) => {
  it.each(["denoise", "noise"] as const)("pairs of unequal lengths equal the naive loop (%s)", async (direction) => {
    const model = await shelf.open(folder);
    expect(await equality(model, { pairs: PAIRS, counterfactuals: NAMED, metrics: METRICS, direction })).toMatchObject({
      first: undefined,
    });
  });

  it("measured at another position, a sweep is that of the prompts cut behind it", async () => {
    const model = await shelf.open(folder);
    // Of one length on both sides where a rotary embedding depends on it, and so on what is cut off.
    const isFixed = model.spec.rotaries.every(({ rope }) => rope.type !== "longrope" && rope.type !== "dynamic");
    const pairs = isFixed ? PAIRS : PAIRS.slice(0, 1);
    const counterfactuals = NAMED.filter(({ edits }) => !JSON.stringify(edits).includes("-"));
    const request: SweepRequest = { pairs, counterfactuals, metrics: METRICS, at: "verb" };
    const reaching = counterfactuals.filter(({ edits }) => !JSON.stringify(edits).includes("end"));
    const swept = await model.sweep({ ...request, counterfactuals: reaching }, { measures: MEASURES });
    const cut: SweepRequest = { pairs: pairs.map(cutBehindVerb), counterfactuals: reaching, metrics: METRICS };
    expect(compared(cut, swept, await naiveSweep(model, cut))).toMatchObject({ first: undefined });
    expect(await equality(model, request)).toMatchObject({ first: undefined });
  });

  it("pairs without a second prompt, alone and beside others, equal the naive loop", async () => {
    const model = await shelf.open(folder);
    const single = PAIRS.map(({ corrupted: _corrupted, ...pair }, i) => ({ ...pair, positions: { subject: [2, 3], verb: -2, start: i } }));
    const request: SweepRequest = { pairs: single, counterfactuals: ABLATIONS, metrics: METRICS };
    expect(await equality(model, request)).toMatchObject({ first: undefined });
    const mixed: SweepRequest = { ...request, pairs: [PAIRS[1]!, single[0]!, PAIRS[2]!], direction: "noise" };
    expect(await equality(model, mixed)).toMatchObject({ first: undefined });
    const { metrics } = await model.sweep(mixed, { measures: MEASURES });
    expect(Object.keys(metrics["prob"]!)).toEqual(["clean", "values"]);
  });
});

function cutBehindVerb({ clean, corrupted = [], positions = {}, ...pair }: SweepPair): SweepPair {
  const verb = positions["verb"] as number | { clean: number | number[]; corrupted: number };
  const [own, other] = typeof verb === "number" ? [clean.length + verb, corrupted.length + verb] : [Number(verb.clean), verb.corrupted];
  const named = { ...positions, verb: { clean: own, corrupted: other } };
  return { ...pair, clean: clean.slice(0, own + 1), corrupted: corrupted.slice(0, other + 1), positions: named };
}

describe("several pairs", () => {
  it("give what each gives alone", async () => {
    const model = await shelf.open(fixture("gemma3-old-style"));
    const request: SweepRequest = { pairs: PAIRS, counterfactuals: NAMED, metrics: METRICS };
    const together = await model.sweep(request, { measures: MEASURES });
    for (const [pair, one] of PAIRS.entries()) {
      const alone = await model.sweep({ ...request, pairs: [one] }, { measures: MEASURES });
      for (const name of METRICS) {
        const mine = NAMED.map((_, i) => together.metrics[name]!.values[i * PAIRS.length + pair]!);
        // Probabilities and ranks of logits of about 1: float32 sums of other sizes.
        mine.forEach((value, i) => expect(Math.abs(value - alone.metrics[name]!.values[i]!), `${name}, ${i}`).toBeLessThan(TOLERANCE));
      }
    }
  });

  it("are told apart to a measure of one's own, which sees all logits of the measured position", async () => {
    const model = await shelf.open(fixture("gpt2-hub-names"));
    const seen: string[] = [];
    const measures: SweepOptions["measures"] = {
      mine(logits, at) {
        seen.push(JSON.stringify(at));
        return logits.length + 1000 * at.pair + 100 * (at.counterfactual ?? -1);
      },
    };
    const { metrics } = await model.sweep(
      { pairs: PAIRS.slice(0, 2), counterfactuals: NAMED.slice(0, 2), metrics: ["mine"] },
      { measures },
    );
    expect([...metrics["mine"]!.values]).toEqual([61, 1061, 161, 1161]);
    expect([...metrics["mine"]!.clean, ...metrics["mine"]!.corrupted!]).toEqual([-39, 961, -39, 961]);
    const cells = [0, 1].flatMap((pair) => [0, 1].map((counterfactual) => ({ pair, counterfactual })));
    const runs = [0, 1].flatMap((pair) => [{ pair }, { pair }]);
    expect(seen.toSorted()).toEqual([...cells, ...runs].map((at) => JSON.stringify(at)).toSorted());
  });

  it("a measure that gives no number for a run is not taken for one that changed nothing", async () => {
    const model = await shelf.open(fixture("gpt2-hub-names"));
    const measures = {
      odd: (_: Float32Array, { counterfactual }: { counterfactual?: number }) => (counterfactual === undefined ? 1 : NaN),
    };
    const { metrics } = await model.sweep({ pairs: PAIRS.slice(0, 1), counterfactuals: NAMED.slice(0, 1), metrics: ["odd"] }, { measures });
    expect([...metrics["odd"]!.values]).toEqual([NaN]);
  });
});

describe("prompts of other lengths under a rotary embedding that depends on the length", () => {
  it("differ from their first token on, though they share a prefix", async () => {
    const model = await shelf.open(fixture("llama-longrope-crossing"));
    const long = rowsOf(13)[0]!;
    const pairs: SweepPair[] = [{ clean: long, corrupted: long.slice(0, 9), ...tokens }];
    const counterfactuals = ["resid_post.0", "rot_k.1", "z.0"].map((at) => ({ edits: [patch(at, { positions: [2], from: [2] })] }));
    for (const direction of ["denoise", "noise"] as const)
      expect(await equality(model, { pairs, counterfactuals, metrics: METRICS, direction })).toMatchObject({ first: undefined });
    expect(model.forecastSweep({ pairs, counterfactuals, metrics: ["prob"] }).unchanged).toBe(0);
  });
});

describe("prompts longer than the model was made for", () => {
  it("are refused, and where that is allowed equal the naive loop", async () => {
    const model = await shelf.open(fixture("gemma3-old-style"));
    const [clean] = rowsOf(66) as [number[]];
    const pairs: SweepPair[] = [{ clean, corrupted: clean.map((token, i) => (i === 60 ? token + 1 : token) % 61), ...tokens }];
    const request: SweepRequest = { pairs, counterfactuals: [{ edits: [patch("resid_post.0", { positions: [60] })] }], metrics: METRICS };
    await expect(model.sweep(request, { measures: MEASURES })).rejects.toThrow("beyondContext");
    expect(await equality(model, { ...request, beyondContext: true })).toMatchObject({ first: undefined });
  });
});

describe("refused are", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadFixture("gpt2-hub-names");
  });
  afterAll(() => model.close());

  const equal = PAIRS[0]!;
  const one = { edits: [patch("resid_post.0", { positions: [3] })] };

  /** What is said of a request that is good but for the given fields. */
  async function said(fields: object, options: SweepOptions = {}): Promise<string> {
    const request = { pairs: [equal], counterfactuals: [one], metrics: ["logit_diff"], ...fields } as SweepRequest;
    return model.sweep(request, options).then(
      () => "nothing: it was run",
      (error: Error) => `${error.name === "SextantError" ? "" : `${error.name}: `}${error.message}`,
    );
  }
  const edit = (fields: object): object => ({ counterfactuals: [{ edits: [{ at: "resid_post.0", op: "patch", ...fields }] }] });
  const pair = (fields: object): object => ({ pairs: [{ ...equal, ...fields }] });

  it("a request that is good, for comparison, is not", async () => {
    expect(await said({})).toBe("nothing: it was run");
  });

  it("positions that the prompts do not share", async () => {
    expect(await said({ pairs: [PAIRS[1]], ...edit({ positions: [3] }) })).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: cannot take values from the other prompt: the prompts have 12 and 8 tokens, so their positions do not correspond. Instead: select positions by name, or from the end"`,
    );
    expect(await said({ pairs: [PAIRS[1]], ...edit({}) })).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: cannot take values from the other prompt: the prompts have 12 and 8 tokens, so their positions do not correspond. Instead: select positions by name, or from the end"`,
    );
    expect(await said({ pairs: [PAIRS[1]], ...edit({ at: "pattern.0", queries: ["verb"] }) })).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at pattern.0: queries: cannot take values from the other prompt: the prompts have 12 and 8 tokens, so their positions do not correspond. Instead: patch q, k or z"`,
    );
    expect(
      await said({ ...pair({ positions: { verb: { clean: [1, 2], corrupted: 3 } } }), ...edit({ positions: ["verb"] }) }),
    ).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: cannot take values from the other prompt: its positions differ between the two prompts. Instead: give "verb" as many tokens in both"`,
    );
    expect(await said(edit({ positions: [3, 4], from: [2] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: 2 positions take values from 1; give one for each"`,
    );
  });

  it("positions that are not there, or come too late", async () => {
    expect(await said(edit({ positions: ["object"] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: there is no position "object"; this pair has end, subject, verb, start"`,
    );
    expect(await said(edit({ positions: [9] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: 9 is outside the prompt, which has 9 tokens"`,
    );
    expect(await said(edit({ positions: [-10] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: -10 is outside the prompt, which has 9 tokens"`,
    );
    expect(await said(edit({ positions: [1.5] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: 1.5 is outside the prompt, which has 9 tokens"`,
    );
    expect(await said({ at: 3, ...edit({ positions: ["verb"] }) })).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: position 7 comes behind the one that is measured (3), so it changes nothing there"`,
    );
    expect(await said(pair({ positions: { verb: 12 } }))).toMatchInlineSnapshot(
      `"pairs[0]: position "verb" in the clean prompt: the number 12 is outside its 9 tokens"`,
    );
    expect(await said(pair({ positions: { verb: { clean: 3 } } }))).toMatchInlineSnapshot(
      `"pairs[0]: position "verb" in the corrupted prompt must be an index or a list of them, got undefined"`,
    );
    expect(await said(pair({ positions: { end: 3 } }))).toMatchInlineSnapshot(
      `"pairs[0]: "end" is the measured position; give this position another name"`,
    );
    expect(await said({ at: "subject" })).toMatchInlineSnapshot(
      `"pairs[0]: at must be one position or the name of one, got the string "subject""`,
    );
    expect(await said({ at: "object" })).toMatchInlineSnapshot(
      `"pairs[0]: at must be one position or the name of one, got the string "object""`,
    );
    expect(await said({ at: 9 })).toMatchInlineSnapshot(`"pairs[0]: at, in the clean prompt: the number 9 is outside its 9 tokens"`);
  });

  it("values from a prompt that is not there", async () => {
    expect(await said({ pairs: [{ clean: first, ...tokens }] })).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: cannot patch: the pair has no other prompt to take values from. Instead: give the pair a corrupted prompt, or patch from the "base""`,
    );
    expect(await said({ pairs: [{ clean: first, ...tokens }], direction: "denoise" })).toMatchInlineSnapshot(
      `"pairs[0]: there is no corrupted prompt to restore; leave the direction out, or say "noise""`,
    );
  });

  it("empty lists", async () => {
    expect(await said({ pairs: [] })).toMatchInlineSnapshot(`"pairs must be a list of at least one, got []"`);
    expect(await said({ counterfactuals: [] })).toMatchInlineSnapshot(`"counterfactuals must be a list of at least one, got []"`);
    expect(await said({ counterfactuals: [{ edits: [] }] })).toMatchInlineSnapshot(
      `"counterfactuals[0]: edits must be a list of at least one"`,
    );
    expect(await said({ metrics: [] })).toMatchInlineSnapshot(`"a sweep needs at least one metric to measure, or an address to read"`);
    expect(await said(edit({ positions: [] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions: an empty list selects nothing; leave it out to select all"`,
    );
    expect(await said(edit({ at: "z.0", heads: [] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at z.0: heads: an empty list selects nothing; leave it out to select all"`,
    );
    expect(await said(edit({ at: "pattern.0", queries: [] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at pattern.0: queries: an empty list selects nothing; leave it out to select all"`,
    );
    expect(await said(edit({ at: "pattern.0", keys: [] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at pattern.0: keys: an empty list selects nothing; leave it out to select all"`,
    );
    expect(await said(pair({ answer: [] }))).toMatchInlineSnapshot(`"pairs[0]: answer must be a token id or a list of them, got []"`);
    expect(await said(pair({ positions: { verb: [] } }))).toMatchInlineSnapshot(
      `"pairs[0]: position "verb" in the clean prompt must be an index or a list of them, got []"`,
    );
    expect(await said(pair({ clean: [] }))).toMatchInlineSnapshot(`"pairs[0] (row 0 is clean, row 1 corrupted): tokens: row 0 is empty"`);
  });

  it("metrics that cannot be taken", async () => {
    expect(await said({ metrics: ["logit_dif"] })).toMatchInlineSnapshot(
      `"metrics: the string "logit_dif" is none of logit_diff, log_prob, prob, rank, kl, accuracy"`,
    );
    expect(await said({ metrics: ["prob", "prob"] })).toMatchInlineSnapshot(`"metrics: the string "prob" is there twice"`);
    expect(await said({ metrics: "prob" })).toMatchInlineSnapshot(`"metrics must be a list of names, got the string "prob""`);
    expect(await said({ ...pair({ wrong: undefined }), metrics: ["prob", "logit_diff"] })).toMatchInlineSnapshot(
      `"cannot measure logit_diff: pairs[0] names no wrong token. Instead: give the pair "wrong""`,
    );
    expect(await said({ ...pair({ answer: undefined }), metrics: ["rank"] })).toMatchInlineSnapshot(
      `"cannot measure rank: pairs[0] names no answer token. Instead: give the pair "answer""`,
    );
    expect(await said(pair({ answer: [5, 7] }))).toMatchInlineSnapshot(
      `"pairs[0]: a token is both answer and wrong, so logit_diff says nothing"`,
    );
    expect(await said(pair({ answer: 61 }))).toMatchInlineSnapshot(`"pairs[0]: answer: the number 61 is not one of the 61 tokens"`);
    const text = { measures: { mine: () => "much" as unknown as number } };
    expect(await said({ metrics: ["mine"] }, text)).toMatchInlineSnapshot(
      `"the measure mine must give a number, it gave the string "much""`,
    );
  });

  it("fields that nobody understands, or that say nothing here", async () => {
    expect(await said(edit({ position: [3] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: patch has no field "position"; it takes at, op, positions, queries, keys, heads, units, run, from, basis"`,
    );
    expect(await said(edit({ op: "set", value: 0, from: [3] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: set has no field "from"; it takes value, rows, positions, heads, units, queries, keys, on, steps"`,
    );
    expect(await said({ counterfactuals: [{ ...one, freze: ["attn_out.1"] }] })).toMatchInlineSnapshot(
      `"counterfactuals[0]: a counterfactual has no field "freze"; it takes edits and freeze"`,
    );
    expect(await said(edit({ rows: [0] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: a counterfactual has no rows: it holds for every pair"`,
    );
    expect(await said(edit({ op: "scale", by: 2, on: "generated" }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: on and steps are for generation, and a sweep generates nothing"`,
    );
    expect(await said(edit({ op: "ptch" }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: op must be one of set, add, scale, project_out, clamp, interchange, rotate, knockout, got the string "ptch""`,
    );
    expect(await said(edit({ run: "corrupted" }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: run must be "source" or "base", got the string "corrupted""`,
    );
    expect(await said(edit({ run: "base", positions: [4], from: [2] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: from is for values of the other prompt; a patch from the "base" restores each position"`,
    );
    expect(await said({ direction: "forward" })).toMatchInlineSnapshot(
      `"direction must be "denoise" or "noise", got the string "forward""`,
    );
    expect(await said({}, { memoryBudget: 0 })).toMatchInlineSnapshot(`"memoryBudget must be a number of bytes above 0, got 0"`);
  });

  it("selectors of another point, or out of range, or of another kind", async () => {
    expect(await said(edit({ at: "z.0", heads: [4] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at z.0: heads: 4 is out of range, there are 4"`,
    );
    expect(await said(edit({ heads: [0] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: cannot select heads: the point has no head axis. Instead: edit z, q, k, v or head_out"`,
    );
    expect(await said(edit({ units: [32] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: units: 32 is out of range, there are 32"`,
    );
    expect(await said(edit({ at: "z.0", heads: 3 }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at z.0: heads must be a list of numbers, got the number 3"`,
    );
    expect(await said(edit({ positions: { evry: 2 } }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: positions must be a list of numbers or an object with \`every\`, got an object"`,
    );
    expect(await said(edit({ positions: "verb" }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: positions must be a list of positions or of their names, got the string "verb""`,
    );
    expect(await said(edit({ positions: { every: 2, from: 20 } }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: it changes nothing, since no position of any pair is selected"`,
    );
    expect(await said(edit({ at: "pattern.0", positions: [3] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at pattern.0: cannot select positions: the point has two position axes. Instead: queries and keys"`,
    );
    expect(await said(edit({ keys: [3] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: cannot select queries or keys: the point has one position axis. Instead: positions"`,
    );
    expect(await said(edit({ at: "resid_post.*" }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: cannot edit resid_post.*: an edit is at one address. Instead: write an edit for each layer"`,
    );
    expect(await said(edit({ at: "logits" }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at logits: cannot write logits: nothing runs after it. Instead: edit final_normalized"`,
    );
    expect(await said(edit({ at: "resid_post.2" }))).toMatchInlineSnapshot(`"resid_post.2: the model has layers 0 to 1"`);
  });

  it("subspaces that are none, or of points without one", async () => {
    const basis = Array.from({ length: 32 }, (_, i) => i + 1);
    expect(await said(edit({ basis: [1, 2, 3] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: basis must have shape [k, 32] with k from 1 to 32, got [3]"`,
    );
    expect(await said(edit({ basis: basis.map(() => 0) }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at resid_post.0: the rows of basis are zero or depend on each other, so they span less than they claim"`,
    );
    expect(await said(edit({ basis, units: [0] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0]: a patch with a basis changes the whole vector, so it cannot select units"`,
    );
    expect(await said(edit({ at: "pattern.0", basis }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at pattern.0: cannot patch in a subspace here: the point's last axis is the key, which has no fixed width. Instead: patch without a basis"`,
    );
  });

  it("reads of what is not computed", async () => {
    expect(await said({ read: ["head_out.0"] })).toMatchInlineSnapshot(
      `"a sweep cannot read head_out.0: it is not computed for every counterfactual. Instead: z.0"`,
    );
    expect(await said({ read: ["logits"] })).toMatchInlineSnapshot(
      `"a sweep cannot read logits: it is not computed for every counterfactual. Instead: measure it: a metric, or a measure of your own, sees the logits"`,
    );
    expect(await said({ read: ["final_normalized"] })).toMatchInlineSnapshot(
      `"a sweep cannot read final_normalized: it is not computed for every counterfactual. Instead: measure it: a metric, or a measure of your own, sees the logits"`,
    );
    expect(await said({ read: ["mlp_gate.0"] })).toMatchInlineSnapshot(
      `"there is no mlp_gate.0: this layer's MLP has no gate. Instead: mlp_pre.0"`,
    );
  });

  it("edits of edges that nobody sees, and cuts that leave a query nothing", async () => {
    const edges = (fields: object): object => edit({ at: "attn_scores.0", op: "knockout", ...fields });
    expect(await said(edges({ queries: [3], keys: [5] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at attn_scores.0: it changes nothing in pair 0, since no query that it selects sees a key that it selects"`,
    );
    expect(await said(edges({ queries: ["start"], keys: [0] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at attn_scores.0: query 0 of row 0 has no key left at head 0; its pattern would be undefined"`,
    );
    expect(await said(edges({ at: "pattern.0", queries: [3], keys: [1] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at pattern.0: cannot knock out edges here: knockout works before softmax. Instead: attn_scores.0"`,
    );
    expect(await said(edges({ op: "add", vector: [1], queries: [3] }))).toMatchInlineSnapshot(
      `"counterfactuals[0].edits[0] at attn_scores.0: cannot add here: the point's last axis is the key, which has no fixed width. Instead: set, scale or knockout; or edit q, k, v or z"`,
    );
  });

  it("prompts that the model cannot run", async () => {
    expect(await said(pair({ corrupted: [1, 61] }))).toMatchInlineSnapshot(
      `"pairs[0] (row 0 is clean, row 1 corrupted): tokens: row 1 has 61 at position 1; the vocabulary has ids 0 to 60"`,
    );
    expect(await said(pair({ clean: Array.from({ length: 65 }, () => 1) }))).toMatchInlineSnapshot(
      `"pairs[0] (row 0 is clean, row 1 corrupted): row 0 has 65 tokens: the model was made for 64 positions and has no embedding for later ones. Instead: shorten it"`,
    );
    expect(await said({ pairs: [3] })).toMatchInlineSnapshot(`"pairs[0] must be an object, got the number 3"`);
  });
});

describe("fields that nobody reads", () => {
  it("are refused in a request and in a pair", async () => {
    const model = await loadFixture("gpt2-hub-names");
    const request = {
      pairs: [{ clean: [1, 2, 3] }],
      counterfactuals: [{ edits: [{ at: "z.0", op: "set", value: 0 } as const] }],
      metrics: ["kl"],
    };
    const said = (asked: object): Promise<unknown> =>
      model.sweep(asked as typeof request).catch((error: unknown) => (error as Error).message);
    expect(await said({ ...request, metric: "kl" })).toMatchInlineSnapshot(
      `"a sweep has no field "metric"; it takes pairs, counterfactuals, metrics, direction, at, read, beyondContext"`,
    );
    expect(await said({ ...request, pairs: [{ clean: [1, 2, 3], corupted: [1, 2, 4] }] })).toMatchInlineSnapshot(
      `"pairs[0] has no field "corupted"; it takes clean, corrupted, answer, wrong, positions"`,
    );
    await model.close();
  });
});
