/** @file `patch`, `knockout` and `path`: known answers of the induction model, and a golden of a trained one. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/errors.js";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { hasShared, sharedPath } from "../shared.js";
import { MODEL, sextant } from "./sextant.js";
import { ANSWERS, at, HILL, PAIR, STONE, sweep, textOf, type Document, type Nested } from "./sweeping.js";

const folder = mkdtempSync(join(tmpdir(), "sextant-sweeps-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Surnames in their places, first names exchanged: what a key holds of the token before it changes, and nothing else that matters. */
const EXCHANGED = [
  MODEL,
  "--clean",
  "Mira Hill met Anna Stone while Mira",
  "--corrupted",
  "Anna Hill met Mira Stone while Mira",
  ...ANSWERS,
];

/** Rounding of float32 logits of about 10 (1e-6 each), in runs that may differ in how their products are cut up; no difference was seen. */
const CLOSE = 4;

function flat(values: unknown): unknown[] {
  return Array.isArray(values) ? values.flatMap(flat) : [values];
}

describe("patch", () => {
  test("by position finds where the prompts differ, as text", async () => {
    expect(await textOf("patch", ...PAIR, "--point", "resid_pre")).toMatchInlineSnapshot(`
      "
      24 runs, of which 17 cannot change anything: …

      logit_diff of “Hill” against “Stone”: clean 8.996, corrupted -8.996

      logit_diff of the corrupted run with patched resid_pre
      layer ↓  pos →

          <                       S   w
          b               n   M   t   h               M
          o   t   c   s   e   i   o   i   t   d   s   i
          s   h   a   a   a   r   n   l   h   o   a   r
          >   e   t   t   r   a   e   e   e   g   w   a
      0   ·   ·   ·   ·   ·   ·  10*  ·   ·   ·   ·   ·
      1   ·   ·   ·   ·   ·   ·  10*  ·   ·   ·   ·   ·

      tenths of 1 (effect as a share of clean − corrupted)
      -1 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 1
      · within 0.05 of 0, * at least 5% of clean − corrupted

      the largest effects
      layer  pos      logit_diff  normalised  effect
      0      6 Stone       8.996           1   17.99
      1      6 Stone       8.996           1   17.99

      done in …
      "
    `);
  });

  test("as JSON has raw values in the order of its axes, and what they stand for", async () => {
    const found = await sweep("patch", ...PAIR, "--point", "resid_pre", "--by", "pos", "--metric", "logit_diff,prob");
    expect(found).toMatchObject({ axes: ["layer", "pos"], metric: "logit_diff", direction: "denoise", point: "resid_pre", pairs: 1 });
    expect(found.ticks).toEqual([[0, 1], Array.from({ length: 12 }, (_, i) => i)]);
    expect(found["text"]).toEqual(["<bos>", ...STONE[1]!.split(" ")]);
    expect(found["answer"]).toEqual([{ token: 58, text: "Hill" }]);
    expect(found.clean).toBeGreaterThan(8);
    expect(found.corrupted).toBeCloseTo(-found.clean, 2);
    expect(at(found.values, 0, 6)).toBeCloseTo(found.clean, CLOSE);
    expect(at(found.values, 0, 5)).toBe(found.corrupted);
    expect(at(found.normalised, 1, 6)).toBeCloseTo(1, CLOSE);
    expect(found["metrics"]).toMatchObject({ prob: { clean: expect.closeTo(0.997, 3) as number } });
    expect(found).not.toHaveProperty("perPair");
  });

  test("goes by head where there are heads, and --noise edits the clean run", async () => {
    const [denoised, noised] = await Promise.all([[], ["--noise"]].map((how) => sweep("patch", ...PAIR, "--point", "z", ...how)));
    expect(denoised).toMatchObject({ axes: ["layer", "head"], direction: "denoise" });
    expect(noised).toMatchObject({ axes: ["layer", "head"], direction: "noise" });
    expect(at(denoised!.values, 1, 2)).toBeCloseTo(denoised!.clean, 1);
    expect(at(noised!.values, 1, 2)).toBeCloseTo(noised!.corrupted!, 1);
    expect(at(noised!.values, 1, 1)).toBeCloseTo(noised!.clean, 1);
  });

  test("by position and head draws a map for each head", async () => {
    const argv = [
      "patch",
      ...EXCHANGED,
      "--point",
      "z",
      "--by",
      "pos,head",
      "--layers",
      "0",
      "--heads",
      "1,2",
      "--metric",
      "logit_diff,kl",
    ];
    expect(await textOf(...argv)).toMatchInlineSnapshot(`
      "
      16 runs, of which 2 cannot change anything: …

      logit_diff of “Hill” against “Stone”: clean 8.995, corrupted -8.996
      kl: clean 0, corrupted 8.975

      logit_diff of the corrupted run with patched z
      layer ↓  pos →

      head 1
          <                   S   w
          b   A   H       M   t   h   M
          o   n   i   m   i   o   i   i
          s   n   l   e   r   n   l   r
          >   a   l   t   a   e   e   a
      0   ·   ·  10*  ·   ·  10*  ·   ·

      head 2
          <                   S   w
          b   A   H       M   t   h   M
          o   n   i   m   i   o   i   i
          s   n   l   e   r   n   l   r
          >   a   l   t   a   e   e   a
      0   ·   ·   ·   ·   ·   ·   ·   ·

      tenths of 0.5 (effect as a share of clean − corrupted)
      -0.5 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 0.5
      · within 0.025 of 0, * at least 5% of clean − corrupted

      the largest effects
      layer  pos      head  logit_diff  normalised  effect
      0      2 Hill   1        0.00397         0.5   8.999
      0      5 Stone  1       -0.08088       0.496   8.915

      done in …
      "
    `);
  });

  test("of edges cuts them in the clean run, whatever else is said", async () => {
    const argv = ["--point", "edges", "--layers", "1", "--heads", "2"];
    const found = await sweep("patch", ...PAIR, ...argv);
    expect(found).toMatchObject({
      axes: ["layer", "head", "key"],
      direction: "noise",
      point: "edges",
      ticks: [[1], [2], expect.anything()],
    });
    expect(at(found.values, 0, 0, 6)).toBeLessThan(1);
    expect(at(found.values, 0, 0, 3)).toBeCloseTo(found.clean, CLOSE);
    const byPosition = await sweep("patch", ...PAIR, ...argv, "--by", "pos", "--positions", "6,3");
    expect(byPosition).toMatchObject({ axes: ["layer", "key"], ticks: [[1], [6, 3]] });
    expect(at(byPosition.values, 0, 0)).toBeCloseTo(at(found.values, 0, 0, 6)!, CLOSE);
  });

  test("ablates with zero and with the mean over prompts, without a corrupted prompt", async () => {
    const argv = ["patch", MODEL, ...HILL, ...ANSWERS, "--point", "z", "--ablate"];
    const [zero, mean] = await Promise.all(["zero", "mean"].map((how) => sweep(...argv, how)));
    for (const found of [zero!, mean!]) {
      expect(found).toMatchObject({ corrupted: null, normalised: null, direction: "noise" });
      expect(at(found.values, 1, 2)).toBeLessThan(found.clean - 5);
      expect(at(found.values, 1, 3)).toBeCloseTo(found.clean, 0);
    }
    expect(at(zero!.values, 1, 2)).not.toBe(at(mean!.values, 1, 2));
  });

  test("in a subspace does all in the whole space, and what the rows of a layer allow", async () => {
    const identity = tensor(
      Float32Array.from({ length: 64 * 64 }, (_, i) => (i % 65 === 0 ? 1 : 0)),
      [64, 64],
    );
    const nothing = tensor(
      Float32Array.from({ length: 64 }, (_, i) => (i === 0 ? 1 : 0)),
      [1, 64],
    );
    const [one, each] = ["one.safetensors", "each.safetensors"].map((name) => join(folder, name)) as [string, string];
    writeSafetensors(one, { all: identity });
    writeSafetensors(each, { "resid_pre.0": identity, "resid_pre.1": nothing });
    const argv = ["patch", ...PAIR, "--point", "resid_pre", "--positions", "6"];
    const whole = await sweep(...argv);
    const inAll = await sweep(...argv, "--basis", one);
    const inEach = await sweep(...argv, "--basis", each);
    expect(at(inAll.values, 1, 0)).toBeCloseTo(at(whole.values, 1, 0)!, CLOSE);
    expect(at(inEach.values, 0, 0)).toBeCloseTo(at(whole.values, 0, 0)!, CLOSE);
    expect(at(inEach.values, 1, 0)).toBeLessThan(whole.clean - 1);
  });

  test("writes its map as SVG and PNG", async () => {
    const [svg, png] = ["map.svg", "map.png"].map((name) => join(folder, name)) as [string, string];
    const text = await textOf("patch", ...PAIR, "--point", "resid_pre", "--svg", svg, "--png", png);
    expect(text).toContain(`written to ${svg}\nwritten to ${png}\n`);
    expect(readFileSync(svg, "utf8")).toMatch(
      /^<svg .*<title>logit_diff of the corrupted run with patched resid_pre<\/title>.*<\/svg>\n$/s,
    );
    expect([...readFileSync(png).subarray(1, 4)]).toEqual([0x50, 0x4e, 0x47]);
  });

  test("takes tokens as ids, layers together, and another measured position", async () => {
    const tokens = ["--clean-tokens", "[0,1,33,11,17,49,58,29,1,34,9,49]", "--corrupted-tokens", "[0,1,33,11,17,49,57,29,1,34,9,49]"];
    const ids = ["--answer-token", "58", "--wrong-token", "57"];
    const argv = ["--point", "mlp_out", "--by", "layer", "--window", "2", "--at", "-1"];
    const found = await sweep("patch", MODEL, ...tokens, ...ids, ...argv);
    expect(found).toMatchObject({ axes: ["layer"], ticks: [[0]], window: 2, clean: (await sweep("patch", ...PAIR, ...argv)).clean });
    const earlier = await sweep("patch", MODEL, ...tokens, ...ids, "--point", "resid_pre", "--positions", "6", "--at", "6");
    expect(earlier.clean).not.toBe(found.clean);
  });
});

describe("knockout", () => {
  test("goes by layer, head and key of the last query", async () => {
    expect(await textOf("knockout", MODEL, ...HILL, ...ANSWERS, "--layers", "1", "--heads", "2")).toMatchInlineSnapshot(`
      "
      12 runs: …

      logit_diff of “Hill” against “Stone”: clean 8.996

      logit_diff of the clean run with cut edges
      layer ↓  key →

      head 2
          <                           w
          b               n   M   H   h               M
          o   t   c   s   e   i   i   i   t   d   s   i
          s   h   a   a   a   r   l   l   h   o   a   r
          >   e   t   t   r   a   l   e   e   g   w   a
      1   ·   ·   ·   ·   ·   · -10*  ·   ·   ·   ·   ·

      tenths of 9.08 (change of logit_diff)
      -9.08 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 9.08
      · within 0.454 of 0, * at least 5% of the largest effect

      the largest effects
      layer  head  key     logit_diff  effect
      1      2     6 Hill    -0.08108  -9.077

      done in …
      "
    `);
  });

  test("leaves out edges that are not there, and says so", async () => {
    const argv = ["knockout", MODEL, ...HILL, ...ANSWERS, "--by", "query,key", "--queries", "0..2", "--keys", "0..2", "--layers", "0"];
    const { values, axes } = await sweep(...argv);
    expect(axes).toEqual(["layer", "query", "key"]);
    const isNull = (values as Nested[])[0]!.map((row) => (row as Nested).map((value) => value === null));
    expect(isNull).toEqual([
      [true, true, true],
      [false, false, true],
      [false, false, false],
    ]);
    expect(await textOf(...argv)).toContain("4 cells left out: no edge is there, or it is the only one of its query");
  });

  test("refuses a grid without any edge that can be cut", async () => {
    const { code, err } = await sextant(["knockout", MODEL, ...HILL, ...ANSWERS, "--by", "head"]);
    expect([code, err]).toMatchInlineSnapshot(`
      [
        1,
        "sextant knockout: cannot cut these edges: every cell has no edge that its queries see, or leaves a query nothing to attend to. Instead: go by key, or name fewer keys
      ",
      ]
    `);
  });
});

describe("path", () => {
  test("finds the head that tells the induction head's keys what stood before them", async () => {
    expect(await textOf("path", ...EXCHANGED, "--from", "z", "--to", "k.1.2")).toMatchInlineSnapshot(`
      "
      4 senders in 1 pair

      logit_diff of “Hill” against “Stone”: clean 8.995, corrupted -8.996
      layer 1 left out: z is not in front of the receiver there

      logit_diff of the corrupted run with paths from z
      layer ↓  head →

          0   1   2   3
      0   ·  10*  ·   ·

      tenths of 1 (effect as a share of clean − corrupted)
      -1 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 1
      · within 0.05 of 0, * at least 5% of clean − corrupted

      the largest effects
      layer  head  logit_diff  normalised  effect
      0      1          8.995           1   17.99

      done in …
      "
    `);
  });

  test("to a whole group is the same where a group is one head, and to the query is nothing", async () => {
    const to = (receiver: string): Promise<Document> => sweep("path", ...EXCHANGED, "--from", "z", "--to", receiver);
    const [head, group, query] = [await to("k.1.2"), await to("k.1.g2"), await to("q.1.2")];
    expect(group.values).toEqual(head.values);
    expect(head).toMatchObject({ to: ["k.1.2"], leftOut: [1], ticks: [[0], [0, 1, 2, 3]] });
    for (const value of flat(query.values)) expect(value).toBeCloseTo(query.corrupted!, 1);
  });

  test("to the end leaves out no layer, in either direction, and through MLPs", async () => {
    const argv = ["path", ...PAIR, "--from", "z", "--to", "end"];
    for (const how of [[], ["--through", "mlps"]]) {
      const found = await sweep(...argv, ...how);
      expect(found).toMatchObject({ leftOut: [], axes: ["layer", "head"], direction: "denoise" });
      expect(at(found.values, 1, 2)).toBeCloseTo(found.clean, 1);
    }
    const noised = await sweep(...argv, "--noise");
    expect(at(noised.values, 1, 2)).toBeCloseTo(noised.corrupted!, 1);
  });

  test("refuses senders behind the receiver", async () => {
    const { code, err } = await sextant(["path", ...PAIR, "--from", "z", "--to", "k.0.2,mlp.1", "--layers", "0,1"]);
    expect([code, err]).toMatchInlineSnapshot(`
      [
        1,
        "sextant path: there are no such paths: no z is in front of the receiver. Instead: name a receiver in a later layer, or end
      ",
      ]
    `);
  });
});

describe.skipIf(!hasShared)("a trained model, against a golden of transformers", () => {
  interface Golden {
    readonly clean: readonly number[];
    readonly corrupted: readonly number[];
    readonly answer: number;
    readonly wrong: number;
    readonly clean_text: string;
    readonly corrupted_text: string;
    readonly answer_text: string;
    readonly wrong_text: string;
  }
  /** Logits of about 20 in float32 on both sides, through six layers; 3e-5 was seen. */
  const TOLERANCE = 1e-3;
  const model = sharedPath("models/stories15M");
  let golden: Golden;
  let tensors: ReadonlyMap<string, Tensor>;
  beforeAll(() => {
    golden = JSON.parse(readFileSync(sharedPath("goldens/sweeps/stories15M/golden.json"), "utf8")) as Golden;
    tensors = readSafetensors(sharedPath("goldens/sweeps/stories15M/golden.safetensors"));
  });

  function byTokens(): string[] {
    const { clean, corrupted, answer, wrong } = golden;
    const prompts = ["--clean-tokens", JSON.stringify(clean), "--corrupted-tokens", JSON.stringify(corrupted)];
    return [model, ...prompts, "--answer-token", String(answer), "--wrong-token", String(wrong)];
  }

  function expectGolden(found: Document, name: string): void {
    const { data, shape } = must(tensors.get(name), name);
    expect(found.ticks.map(({ length }) => length)).toEqual(shape);
    const largest = Math.max(...flat(found.values).map((value, i) => Math.abs((value as number) - data[i]!)));
    expect(largest).toBeLessThan(TOLERANCE);
  }

  test.each(["resid_pre", "attn_out", "mlp_out"])("%s by position", async (point) => {
    expectGolden(await sweep("patch", ...byTokens(), "--point", point, "--by", "pos"), point);
  });

  test("z by head, and by position and head", async () => {
    expectGolden(await sweep("patch", ...byTokens(), "--point", "z", "--by", "head"), "z");
    expectGolden(await sweep("patch", ...byTokens(), "--point", "z", "--by", "pos,head"), "z_by_pos");
  });

  test("edges of the last query, cut by either command", async () => {
    expectGolden(await sweep("knockout", ...byTokens()), "knockout_last");
    expectGolden(await sweep("patch", ...byTokens(), "--point", "edges"), "knockout_last");
  });

  test("by text, the answers written without their spaces", async () => {
    const { clean_text: clean, corrupted_text: corrupted, answer_text: answer, wrong_text: wrong } = golden;
    const texts = [model, "--clean", clean, "--corrupted", corrupted, "--answer", answer, "--wrong", wrong];
    const found = await sweep("patch", ...texts, "--point", "resid_pre", "--by", "pos");
    expect(found["tokens"]).toEqual(golden.corrupted);
    expect(found["answer"]).toMatchObject([{ token: golden.answer }]);
    expect(found["wrong"]).toMatchObject([{ token: golden.wrong }]);
    expectGolden(found, "resid_pre");
  });
});
