/** @file The whole study of a tiny Qwen 2 in the paper's format: every step is there, with the paper's numbers beside and nothing of them in ours. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { normalNumbers } from "../../src/base/draws.js";
import { seededRandom } from "../../src/base/random.js";
import { mean } from "../../src/base/statistics.js";
import { tensor } from "../../src/base/tensor.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { damagedFiles } from "../../src/store/check-files.js";
import { readRun, type StoredRun } from "../../src/store/stored-run.js";
import { runStudy } from "../../src/studies/run-study.js";
import { judgedAlong, leads, readJudgements } from "../../src/studies/self-verification/judged-by.js";
import type { SelfVerificationParameters } from "../../src/studies/self-verification/parameters.js";
import type { CaseState, SearchesState } from "../../src/studies/self-verification/state.js";
import { headsStep } from "../../src/studies/self-verification/steps/heads.js";
import type { Written } from "../../src/studies/self-verification/write-searches.js";
import { studyNamed } from "../../src/studies/studies.js";
import { openSubject, type OpenSubject } from "../../src/studies/subject.js";
import { temporaryFolder } from "../formats/folder.js";
import { TINY } from "./self-verification/tiny.js";
import { contextBehind, findingOf, leftBy, rowsOf, valueOf } from "./stored.js";

const { path } = temporaryFolder();
const study = studyNamed("self-verification");
const LAYERS = 3;
const WIDTH = 32;

/** A probe as the paper's authors released theirs: axes `layer, d_model, class`. */
const released = tensor(Float32Array.from(normalNumbers(LAYERS * WIDTH * 2, seededRandom(3))), [LAYERS, WIDTH, 2]);

let subject: OpenSubject;
let run: StoredRun;
beforeAll(async () => {
  writeSafetensors(path("probe.safetensors"), { w: released });
  const parameters = {
    searches: { prompts: 8 },
    probe: { file: path("probe.safetensors"), maxSteps: 50, seeds: 1, controls: 1 },
    steer: { cases: 4, placebos: 1, strengths: [1] },
    // The tiny model looks at nothing in particular, so that heads are taken that look back a little.
    heads: { threshold: 0.005, most: 2, top: 1 },
    ablation: { cases: 5, randomDraws: 1, curve: 1 },
    inContext: { prompts: 8 },
    transfer: { prompts: 8 },
  };
  subject = await openSubject(TINY, { threads: 1 });
  await runStudy({ study, model: TINY, others: { other: TINY }, parameters, folder: path("run") }, { threads: 1 });
  run = readRun(path("run"));
});
afterAll(() => subject.close());

test("every step is there, in its order; those left out say why", () => {
  expect(run.steps.map(({ name }) => name)).toEqual(study.steps.map(({ name }) => name));
  for (const { name, findings, tables, skipped } of run.steps) {
    if (skipped === undefined) expect([name, findings.length > 0, tables.length > 0]).toEqual([name, true, true]);
    else expect([name, findings.length, skipped.length > 20]).toEqual([name, 0, true]);
  }
  expect(run.steps.filter(({ skipped }) => skipped !== undefined).map(({ name }) => name)).toEqual(["in-context"]);
  expect(damagedFiles(run.folder, run.manifest)).toEqual([]);
});

test("the paper's format is taken without being asked for, and the searches are in it", () => {
  expect(run.manifest.parameters).toMatchObject({ format: "qwen-countdown", probe: { learningRate: 1e-4 } });
  expect(valueOf(run, "searches.in_format")).toBe(1);
  const { searches, steps, words } = leftBy<SearchesState>(run, "searches").state;
  const text = (ids: readonly number[]): string => subject.tokenizer.decode(ids);
  expect([words.open, words.valid, words.invalid].map((id) => text([id]))).toEqual([" (", "this", "not"]);
  for (const { search, open, lastDigit, equals } of steps) {
    const { tokens } = searches[search]!;
    expect(text(tokens.slice(equals, open + 2))).toMatch(/^ = -?\d+ \((this|not)$/);
    expect(text([tokens[lastDigit]!])).toMatch(/\d$/);
  }
  for (const { tokens, asked } of searches)
    expect(text(tokens.slice(0, asked))).toMatch(/^A conversation between User and Assistant\..*<think>\n?$/s);
});

test("the paper's numbers stand beside ours as published, with their source and what differs", () => {
  const published = run.findings.filter((finding) => finding.published);
  expect(published.map(({ id }) => id)).toEqual([
    "probe.class_cosine",
    "heads.looking",
    "ablation.none.disabled",
    "ablation.units_valid.disabled",
    "ablation.units_both.disabled",
    "ablation.heads_all.disabled",
    "ablation.heads_top.disabled",
  ]);
  for (const { value, published: paper, controls = [] } of published) {
    expect(paper!.source.length).toBeGreaterThan(20);
    expect(paper!.differs.length).toBeGreaterThan(10);
    // 0 of cases is what an untouched model gives, ours and the paper's.
    if (paper!.value !== 0) expect([value, ...controls.map((control) => control.value)]).not.toContain(paper!.value);
  }
  expect(published.map((finding) => finding.published!.value)).toEqual([-0.994, 33, 0, 0.1633, 0.4467, 0.96, 0.9533]);
});

describe("a probe from a file", () => {
  test("in the released form is kept in ours, and later steps are of it", () => {
    const { probe } = leftBy(run, "probe").tensors;
    expect([probe!.shape, probe!.axes]).toEqual([
      [LAYERS, 2, WIDTH],
      ["layer", "class", "d_model"],
    ]);
    const row = (layer: number, label: number): number[] =>
      Array.from({ length: WIDTH }, (_, element) => released.data[(layer * WIDTH + element) * 2 + label]!);
    for (let layer = 0; layer < LAYERS; layer++)
      for (const label of [0, 1])
        expect([...probe!.data.subarray((layer * 2 + label) * WIDTH, (layer * 2 + label + 1) * WIDTH)]).toEqual(row(layer, label));
    const [a, b] = [row(LAYERS - 1, 0), row(LAYERS - 1, 1)];
    expect(valueOf(run, "probe.class_cosine")).toBeCloseTo(cosine(a, b), 5);
  });

  test("decides which units are near: those whose value vectors have the highest cosines with it", () => {
    const near = rowsOf<{ readonly near: string; readonly layer: number; readonly unit: number; readonly cosine: number }>(
      run,
      "units",
      "units",
    );
    for (const { near: verdict, layer, unit, cosine: stated } of near) {
      const { data } = subject.weights.down(layer);
      const value = [...data.subarray(unit * WIDTH, (unit + 1) * WIDTH)];
      const own = Array.from(
        { length: WIDTH },
        (_, element) => released.data[(layer * WIDTH + element) * 2 + (verdict === "this" ? 1 : 0)]!,
      );
      expect(stated).toBeCloseTo(cosine(value, own), 5);
    }
    expect(near.length).toBeGreaterThan(5);
  });

  test("is said to be from there, and that accuracies are of the fitted one", () => {
    const notes = run.steps.find(({ name }) => name === "probe")!.notes.join("\n");
    expect(notes).toContain("probe.safetensors");
    expect(valueOf(run, "probe.resid_post.2.balanced_accuracy")).toBeGreaterThanOrEqual(0);
  });
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const product = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b));
}

interface HeadRow {
  readonly layer: number;
  readonly head: number;
  readonly from_result: number;
  readonly from_open: number;
}

/** The share of attention from a case's last token to the tokens of its target in what was asked, by head, from a plain pass over one row. */
async function looks(tokens: readonly number[], target: number): Promise<number[][]> {
  const { activations } = await subject.model.forward({ tokens: [tokens], read: ["pattern.*"], logits: false });
  const text = subject.tokenizer.decode(tokens);
  const end = text.indexOf("Let's try different");
  const ends = tokens.map((_, i) => subject.tokenizer.decode(tokens.slice(0, i + 1)).length);
  // The last digit of each mention in front of the first attempt.
  const keys = [...text.slice(0, end).matchAll(new RegExp(`(?<!\\d)${target}(?!\\d)`, "g"))].map(({ index }) =>
    ends.indexOf(index + String(target).length),
  );
  expect(keys.length).toBeGreaterThan(0);
  return Array.from({ length: LAYERS }, (_, layer) => {
    const { data, shape } = activations[`pattern.${layer}`]!;
    const length = shape[2]!;
    return Array.from({ length: shape[1]! }, (_unused, head) =>
      keys.reduce((sum, key) => sum + data[(head * length + length - 1) * length + key]!, 0),
    );
  });
}

describe("densities of heads", () => {
  const casesOf = (): { tokens: readonly number[]; target: number }[] => {
    const { searches } = leftBy<SearchesState>(run, "searches").state;
    const { cases } = leftBy<{ cases: readonly CaseState[] }>(run, "ablation").state;
    return cases.map(({ search, tokens }) => ({ tokens, target: searches[search]!.target }));
  };
  const means = async (cases: readonly { tokens: readonly number[]; target: number }[]): Promise<number[]> => {
    const each: number[][] = [];
    for (const { tokens, target } of cases) each.push((await looks(tokens, target)).flat());
    return each[0]!.map((_, head) => mean(each.map((own) => own[head]!)));
  };

  test("are means over all cases of what goes to the target's mentions", async () => {
    const expected = await means(casesOf());
    // Attention in float32, means of five: differences of 1e-8 seen.
    rowsOf<HeadRow>(run, "heads", "heads").forEach((row, i) => expect(row.from_result).toBeCloseTo(expected[i]!, 6));
  });

  test("are of the last four cases only with heads.lastCases 4, as in the released code", async () => {
    const given = run.manifest.parameters as unknown as SelfVerificationParameters;
    const parameters = { ...given, heads: { ...given.heads, lastCases: 4 } };
    const { tables, notes } = await headsStep.run(contextBehind(run, subject, parameters));
    const found = tables![0]!.columns.find(({ name }) => name === "from_result")!.values as number[];
    const expected = await means(casesOf().slice(-4));
    found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6));
    const all = rowsOf<HeadRow>(run, "heads", "heads").map((row) => row.from_result);
    expect(Math.max(...found.map((value, i) => Math.abs(value - all[i]!)))).toBeGreaterThan(1e-4);
    expect(notes!.join(" ")).toContain("last 4 cases only");
  });
});

test("carried to the same model, the probe tells of its judgements what it tells there", async () => {
  // Least squares on the model's own tokens is the identity where they span the stream: 505 tokens, 32 coordinates.
  expect(valueOf(run, "transfer.map_r2")).toBeGreaterThan(0.999);
  expect(findingOf(run, "transfer.map_r2").controls![0]!.value).toBeLessThan(0.5);
  const { searches } = leftBy(run, "transfer").generations;
  const written = searches!.map(({ prompt, tokens, response, finish, numbers, target }) => {
    const asked = subject.tokenizer.encode(prompt as string, { addSpecialTokens: false }).ids;
    return { prompt: { text: prompt, task: { numbers, target } }, asked, tokens, response, finish } as Written;
  });
  const context = contextBehind(run, subject, run.manifest.parameters as unknown as SelfVerificationParameters);
  const { aurocs } = judgedAlong(await readJudgements(context, subject, written), leads(leftBy(run, "probe").tensors["probe"]!));
  expect(aurocs).toHaveLength(LAYERS);
  expect(rowsOf(run, "transfer", "transfer").map((row) => row["carried"])).toEqual(aurocs);
});
