/**
 * @file Generation: greedy against `transformers`, sampling through a model, how rows end, where and when edits hold, and that what
 * is read on the way is what a plain forward pass over the same tokens reads.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import type { Edit, ScheduledEdit } from "../../src/runtime/edit.js";
import type { GeneratedToken, GenerateRequest, GenerateResult, Model } from "../../src/runtime/model.js";
import { FIXTURE_FOLDERS, modelShelf } from "../parity/subjects.js";
import { readGolden } from "../reference/golden.js";
import { addressesOf, apart, at, differing, fixture, rowsOf } from "./support.js";

/** Relative: passes over one token and over all sum in another order; seen are up to 2e-6. */
const TOLERANCE = 1e-5;

const shelf = modelShelf();
let model: Model;
beforeAll(async () => {
  model = await shelf.open(fixture("gpt2-hub-names"));
});
afterAll(shelf.close);

const [long, middle, short] = rowsOf(9, 6, 3) as [number[], number[], number[]];
const rows = [long, middle, short];

/** Generation that no end token cuts short. */
function generate(request: Partial<GenerateRequest> & Pick<GenerateRequest, "tokens">, of = model): Promise<GenerateResult> {
  return of.generate({ maxNew: 6, stopTokens: [], ...request });
}

/** Prompt and new tokens of each row but the last, which is never run. */
function written({ tokens }: GenerateResult, prompts: readonly (readonly number[])[]): number[][] {
  return prompts.map((prompt, row) => [...prompt, ...tokens[row]!.slice(0, -1)]);
}

/** The logits of row and step. */
function stepLogits(logits: Tensor, row: number, step: number): Tensor {
  const values = at(logits, row, step);
  return tensor(Float32Array.from(values), [values.length]);
}

function argmax(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

/** Its cached keys keep the rotation of their time across the boundary, as in transformers. */
const CROSSING = "llama-longrope-crossing";
/** Makes the tiny models say different things, and end at different steps. */
const VARIED = { temperature: 6, seed: 5 };

describe("greedy", () => {
  it.each(FIXTURE_FOLDERS)("$name continues as transformers does, with the cache and without", async ({ name, folder }) => {
    const of = await shelf.open(folder);
    const { tokens, generated } = readGolden(folder);
    const maxNew = generated!.tokens[0]!.length;
    for (const recompute of name === CROSSING ? [false] : [false, true]) {
      const made = await generate({ tokens, maxNew, logits: true, recompute }, of);
      expect(made.tokens).toEqual(generated!.tokens);
      const theirs = tensor(Float32Array.from(generated!.logits.data), generated!.logits.shape);
      expect(apart(made.logits, theirs)).toBeLessThan(TOLERANCE);
    }
  });

  it("a Llama with LongRoPE keeps cached keys as they were across the boundary, unlike a recomputation", async () => {
    const of = await shelf.open(fixture(CROSSING));
    const { tokens } = readGolden(fixture(CROSSING));
    const [cached, anew] = [await generate({ tokens, logits: true }, of), await generate({ tokens, logits: true, recompute: true }, of)];
    const difference = [0, 1, 2, 3, 4].map((step) => apart(stepLogits(cached.logits!, 0, step), stepLogits(anew.logits!, 0, step)));
    expect(tokens[0]).toHaveLength(9);
    difference.forEach((apartBy, step) =>
      9 + step <= 11 ? expect(apartBy).toBeLessThan(TOLERANCE) : expect(apartBy).toBeGreaterThan(0.01),
    );
  });

  it("takes the largest of the logits that it returns", async () => {
    const { tokens, logits, finish } = await generate({ tokens: rows, logits: true });
    expect(logits!.axes).toEqual(["batch", "step", "vocab"]);
    expect(logits!.shape).toEqual([3, 6, 61]);
    tokens.forEach((row, index) => row.forEach((token, step) => expect(argmax(at(logits!, index, step))).toBe(token)));
    expect(finish).toEqual(["length", "length", "length"]);
  });
});

describe("sampling", () => {
  const sampling = { temperature: 1.5, topK: 20, seed: 11 };

  it("draws first tokens as often as the softmax says", async () => {
    const { logits } = await model.forward({ tokens: [short] });
    const weights = [...logits!.data].map((value) => Math.exp(value / 3));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const draws = 3000;
    const { tokens } = await generate({ tokens: Array.from({ length: draws }, () => short), maxNew: 1, sampling: { temperature: 3 } });
    const counts = new Map<number, number>();
    for (const [token] of tokens) counts.set(token!, (counts.get(token!) ?? 0) + 1);
    const likely = weights.map((weight) => (weight / total) * draws).map((expected, token) => ({ expected, token }));
    const pooled = likely.filter(({ expected }) => expected >= 5);
    const rest = { expected: draws - pooled.reduce((sum, { expected }) => sum + expected, 0), count: draws };
    let chiSquare = 0;
    for (const { expected, token } of pooled) {
      const count = counts.get(token) ?? 0;
      rest.count -= count;
      chiSquare += (count - expected) ** 2 / expected;
    }
    chiSquare += (rest.count - rest.expected) ** 2 / rest.expected;
    // With n degrees of freedom χ² has mean n and deviation √2n; five deviations are past 10⁻⁵.
    expect(pooled.length).toBeGreaterThan(5);
    expect(chiSquare).toBeLessThan(pooled.length + 5 * Math.sqrt(2 * pooled.length));
  });

  it("a seed gives the same tokens again, another seed others", async () => {
    const first = await generate({ tokens: rows, sampling });
    expect((await generate({ tokens: rows, sampling })).tokens).toEqual(first.tokens);
    expect((await generate({ tokens: rows, sampling: { ...sampling, seed: 12 } })).tokens).not.toEqual(first.tokens);
  });

  it("a row is sampled the same alone, in a batch, and when the others end before it", async () => {
    const { tokens } = await generate({ tokens: rows, sampling });
    for (const [row, prompt] of rows.entries()) {
      expect((await generate({ tokens: [prompt], sampling })).tokens, `row ${row}`).toEqual([tokens[row]]);
    }
    const stopTokens = [tokens[0]![1]!];
    const ended = await generate({ tokens: rows, sampling, stopTokens });
    expect(ended.tokens[0]).toEqual(tokens[0]!.slice(0, 2));
    for (const [row, made] of ended.tokens.entries()) expect(made).toEqual(tokens[row]!.slice(0, made.length));
  });

  it("a repetition penalty keeps greedy decoding from saying a token of the prompt", async () => {
    const plain = await generate({ tokens: [long], maxNew: 12 });
    const penalised = await generate({ tokens: [long], maxNew: 12, sampling: { repetitionPenalty: 1e6 } });
    const logits = (await model.forward({ tokens: [long] })).logits!.data;
    const fresh = [...logits.keys()].filter((token) => !long.includes(token) && logits[token]! > 0);
    expect(fresh).toContain(penalised.tokens[0]![0]);
    expect(new Set([...long, ...penalised.tokens[0]!]).size).toBeGreaterThan(new Set([...long, ...plain.tokens[0]!]).size);
  });
});

describe("how a row ends", () => {
  it("at a stop token, which it keeps, while the others go on as they would", async () => {
    const free = await generate({ tokens: rows, sampling: VARIED });
    const stop = free.tokens[1]![2]!;
    const { tokens, finish, lengths } = await generate({ tokens: rows, stopTokens: [stop], sampling: VARIED });
    free.tokens.forEach((row, index) => {
      const first = row.indexOf(stop);
      const kept = first < 0 ? row : row.slice(0, first + 1);
      expect(tokens[index]).toEqual(kept);
      expect(finish[index]).toBe(first < 0 ? "length" : "stop_token");
      expect(lengths[index]).toBe(rows[index]!.length + kept.length - 1);
    });
    expect(finish).toContain("stop_token");
  });

  it("at the model's own end token when none is named", async () => {
    const [eos] = model.spec.special.eos;
    const seen = await model.generate({ tokens: rows, maxNew: 40, sampling: VARIED });
    expect(seen.finish).toContain("stop_token");
    seen.tokens.forEach((row, index) => {
      expect(row.indexOf(eos!)).toBe(seen.finish[index] === "stop_token" ? row.length - 1 : -1);
    });
  });

  it("at a stop string, once the decoded continuation holds it", async () => {
    const decode = (ids: readonly number[]): string => ids.map((id) => `<${id}>`).join("");
    const free = await generate({ tokens: [long, short], sampling: VARIED });
    const [, second, third] = free.tokens[0]!;
    const stopStrings = [`${second}><${third}`];
    const { tokens, finish } = await model.generate(
      { tokens: [long, short], maxNew: 6, stopTokens: [], stopStrings, sampling: VARIED },
      { decode },
    );
    expect(tokens[0]).toEqual(free.tokens[0]!.slice(0, 3));
    expect(finish[0]).toBe("stop_string");
    expect(tokens[1]).toEqual(free.tokens[1]);
    expect(finish[1]).toBe("length");
  });

  it("stop strings without a way to decode are refused", async () => {
    await expect(generate({ tokens: [short], stopStrings: ["."] })).rejects.toThrow("stopStrings need a decode function in the options");
  });

  it("rows of unequal lengths that end at different steps are as they are alone", async () => {
    const free = await generate({ tokens: rows, sampling: VARIED });
    const stopTokens = [free.tokens[0]![4]!, free.tokens[2]![1]!];
    const request = { stopTokens, logits: true, read: ["resid_post.1", "k.0", "pattern.1"], sampling: VARIED };
    const together = await generate({ ...request, tokens: rows });
    expect(new Set(together.tokens.map((row) => row.length)).size).toBeGreaterThan(1);
    for (const [row, prompt] of rows.entries()) {
      const alone = await generate({ ...request, tokens: [prompt] });
      expect(together.tokens[row]).toEqual(alone.tokens[0]);
      expect(together.finish[row]).toBe(alone.finish[0]);
      const steps = together.tokens[row]!.length;
      for (let step = 0; step < steps; step++) {
        expect(apart(stepLogits(together.logits!, row, step), stepLogits(alone.logits!, 0, step))).toBeLessThan(TOLERANCE);
      }
      const longest = together.logits!.shape[1]!;
      for (let step = steps; step < longest; step++) expect(at(together.logits!, row, step).every((value) => value === 0)).toBe(true);
      const { "resid_post.1": stream } = together.activations;
      const past = Array.from({ length: stream!.shape[1]! - alone.lengths[0]! }, (_, i) => at(stream!, row, alone.lengths[0]! + i));
      expect(past.flat().every((value) => value === 0)).toBe(true);
    }
  });
});

describe("streaming", () => {
  it("tells each token as it is chosen: by step, and within a step by row; ended rows are silent", async () => {
    const free = await generate({ tokens: rows, sampling: VARIED });
    const stopTokens = [free.tokens[2]![1]!];
    const heard: GeneratedToken[] = [];
    const steps: number[] = [];
    const { tokens } = await model.generate(
      { tokens: rows, maxNew: 6, stopTokens, sampling: VARIED },
      {
        onToken: (token) => heard.push(token),
        onProgress({ done, total, stage }) {
          steps.push(done);
          expect([stage, total]).toEqual(["tokens", 6]);
        },
      },
    );
    const expected = Array.from({ length: 6 }, (_, step) =>
      tokens.flatMap((row, index) => (step < row.length ? [{ row: index, step, token: row[step]! }] : [])),
    ).flat();
    expect(new Set(tokens.map((row) => row.length)).size).toBeGreaterThan(1);
    expect(heard).toEqual(expected);
    expect(steps).toEqual(Array.from({ length: Math.max(...tokens.map((row) => row.length)) }, (_, step) => step + 1));
  });
});

describe("edits hold where and when they say", () => {
  const prompts = [rowsOf(5)[0]!, rowsOf(3)[0]!];
  /** Which positions of each row were set to zero, as read at the edited point. */
  async function zeroed(edit: Partial<ScheduledEdit>, recompute = false): Promise<number[][]> {
    const edits = [{ at: "mlp_out.0", op: "set", value: 0, ...edit } as ScheduledEdit];
    const { activations, lengths } = await generate({ tokens: prompts, maxNew: 5, edits, read: ["mlp_out.0"], recompute });
    return lengths.map((length, row) =>
      Array.from({ length }, (_, position) => position).filter((position) =>
        at(activations["mlp_out.0"]!, row, position).every((value) => value === 0),
      ),
    );
  }

  // Positions 0–4 and 0–2 are prompt; 5–8 and 3–6 are new (the fifth new token is never run).
  const cases: readonly (readonly [string, Partial<ScheduledEdit>, readonly (readonly number[])[]])[] = [
    ["everywhere when nothing is said", {}, [[0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, 6]]],
    ["on the prompt", { on: "prompt" }, [[0, 1, 2, 3, 4], [0, 1, 2]]],
    ["on generated tokens", { on: "generated" }, [[5, 6, 7, 8], [3, 4, 5, 6]]],
    ["on both", { on: "both" }, [[0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, 6]]],
    ["at absolute positions, of prompt or continuation", { positions: [1, 6] }, [[1, 6], [1, 6]]],
    ["at positions from the prompt's end", { positions: [-1, -3] }, [[2, 4], [0, 2]]],
    ["at positions from the prompt's end, rows chosen", { positions: [-4], rows: [0] }, [[1], []]],
    ["at every second position", { positions: { every: 2 } }, [[0, 2, 4, 6, 8], [0, 2, 4, 6]]],
    ["at every third from one to another", { positions: { every: 3, from: 1, to: 7 } }, [[1, 4], [1, 4]]],
    ["from the prompt's last position on", { positions: { every: 1, from: -1 } }, [[4, 5, 6, 7, 8], [2, 3, 4, 5, 6]]],
    ["up to the prompt's last position", { positions: { every: 1, to: -1 } }, [[0, 1, 2, 3], [0, 1]]],
    ["every second, on generated tokens only", { positions: { every: 2 }, on: "generated" }, [[6, 8], [4, 6]]],
    ["at steps, which are of generation", { steps: { from: 1, to: 3 } }, [[6, 7], [4, 5]]],
    ["at every second step", { steps: { every: 2 } }, [[5, 7], [3, 5]]],
    ["at every second step from the first on", { steps: { from: 1, every: 2 } }, [[6, 8], [4, 6]]],
    ["at steps of generation and on the whole prompt", { steps: { from: 2 }, on: "both" }, [[0, 1, 2, 3, 4, 7, 8], [0, 1, 2, 5, 6]]],
    ["in one row", { rows: [-1], on: "generated" }, [[], [3, 4, 5, 6]]],
  ]; // prettier-ignore

  it.each(cases)("%s", async (_, edit, expected) => {
    expect(await zeroed(edit)).toEqual(expected);
    expect(await zeroed(edit, true)).toEqual(expected);
  });

  it("the rest of the model follows: logits and reads are those of a forward pass with the edits at those positions", async () => {
    const vector = Array.from({ length: 32 }, (_, i) => Math.sin(i));
    const edits: ScheduledEdit[] = [
      { at: "resid_post.0", op: "add", vector, strength: 3, steps: { from: 1 } },
      { at: "v.1", op: "scale", by: -1, on: "prompt", positions: [-1], heads: [0, 2] },
      { at: "attn_scores.1", op: "knockout", keys: [1], queries: [4, 6] },
    ];
    const made = await generate({ tokens: prompts, edits, logits: true, read: addressesOf(model) });
    const spelled: Edit[] = [
      { at: "resid_post.0", op: "add", vector, strength: 3, rows: [0], positions: [6, 7, 8, 9] },
      { at: "resid_post.0", op: "add", vector, strength: 3, rows: [1], positions: [4, 5, 6, 7] },
      { at: "v.1", op: "scale", by: -1, rows: [0], positions: [4], heads: [0, 2] },
      { at: "v.1", op: "scale", by: -1, rows: [1], positions: [2], heads: [0, 2] },
      { at: "attn_scores.1", op: "knockout", keys: [1], queries: [4, 6] },
    ];
    const positions = [-6, -5, -4, -3, -2, -1];
    const once = await model.forward({ tokens: written(made, prompts), edits: spelled, read: addressesOf(model), logits: { positions } });
    expect(differing(made.activations, once.activations, TOLERANCE)).toEqual([]);
    expect(apart(made.logits, once.logits!)).toBeLessThan(TOLERANCE);
    const unedited = await generate({ tokens: prompts, logits: true });
    expect(apart(made.logits, unedited.logits!)).toBeGreaterThan(0.01);
  });

  it("a tensor with a position axis is looked up at the absolute position", async () => {
    const value = tensor(
      Float32Array.from({ length: 9 * 32 }, (_, i) => Math.floor(i / 32) + 1),
      [9, 32],
    );
    const { activations } = await generate({
      tokens: prompts,
      maxNew: 5,
      edits: [{ at: "mlp_out.0", op: "set", value }],
      read: ["mlp_out.0"],
    });
    const seen = [0, 1].map((row) => Array.from({ length: 9 }, (_, position) => at(activations["mlp_out.0"]!, row, position, 0)[0]));
    expect(seen).toEqual([
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
      [1, 2, 3, 4, 5, 6, 7, 0, 0],
    ]);
  });

  it("edits that could never hold are refused", async () => {
    const said = (edit: Partial<ScheduledEdit>, maxNew = 5): Promise<string> =>
      generate({ tokens: prompts, maxNew, edits: [{ at: "mlp_out.0", op: "set", value: 0, ...edit } as ScheduledEdit] }).then(
        () => "nothing",
        (error: Error) => error.message,
      );
    expect(await said({ positions: [8] })).toBe(
      "edits[0] at mlp_out.0: positions: 8 is outside row 1, which has 7 positions; name the rows it is for",
    );
    expect(await said({ positions: [9], rows: [0] })).toContain("9 is outside row 0, which has 9 positions");
    expect(await said({ positions: [-4] })).toContain("-4 is outside row 1");
    const idle = "edits[0] at mlp_out.0: it changes nothing, since no position of its rows is selected";
    expect(await said({ positions: [1], on: "generated" })).toBe(idle);
    expect(await said({ positions: [6], on: "prompt" })).toBe(idle);
    expect(await said({ steps: { from: 4 } })).toBe(idle);
    expect(await said({ on: "generated" }, 1)).toBe(idle);
    expect(await said({ steps: { from: 3 } })).toBe("nothing");
  });
});

describe("what is read during generation", () => {
  it.each(FIXTURE_FOLDERS)("$name: is what a forward pass over the same tokens reads, at every point", async ({ folder }) => {
    const of = await shelf.open(folder);
    const prompts = rowsOf(7, 4);
    const free = await generate({ tokens: prompts, maxNew: 4, sampling: VARIED }, of);
    const request = { tokens: prompts, maxNew: 4, stopTokens: [free.tokens[0]![1]!], sampling: VARIED };
    const made = await generate({ ...request, read: ["all"], logits: true }, of);
    expect(made.finish).toContain("stop_token");
    const read = addressesOf(of);
    expect(Object.keys(made.activations)).toEqual(read);
    const once = await of.forward({ tokens: written(made, prompts), read });
    expect(made.lengths).toEqual(once.lengths);
    expect(differing(made.activations, once.activations, TOLERANCE)).toEqual([]);
    made.tokens.forEach((row, index) => {
      const last = stepLogits(made.logits!, index, row.length - 1);
      expect(apart(last, tensor(Float32Array.from(at(once.logits!, index, 0)), [61]))).toBeLessThan(TOLERANCE);
    });
  });

  it("is the same when everything is computed anew at each step", async () => {
    const request = {
      tokens: rows,
      read: addressesOf(model),
      logits: true,
      stopTokens: [(await generate({ tokens: rows })).tokens[1]![2]!],
    };
    const [cached, anew] = [await generate(request), await generate({ ...request, recompute: true })];
    expect(anew.tokens).toEqual(cached.tokens);
    expect(anew.finish).toEqual(cached.finish);
    expect(anew.lengths).toEqual(cached.lengths);
    expect(differing(anew.activations, cached.activations, TOLERANCE)).toEqual([]);
    expect(apart(anew.logits, cached.logits!)).toBeLessThan(TOLERANCE);
  });

  it("logits are asked for by their own switch", async () => {
    await expect(generate({ tokens: [short], read: ["logits"] })).rejects.toThrow("ask for logits with `logits: true`, not as a point");
    expect((await generate({ tokens: [short] })).logits).toBeUndefined();
  });
});

describe("a rotary embedding that changes at a length", () => {
  it("has the cache made anew there in Phi 3, so that cached and recomputed agree across the boundary", async () => {
    const phi3 = await shelf.open(fixture("phi3-longrope-crossing"));
    expect(phi3.spec.recomputeAt).toBe(12);
    const request = { tokens: rowsOf(9, 11, 4), logits: true, read: ["rot_k.0", "resid_post.1"] };
    const [cached, anew] = [await generate(request, phi3), await generate({ ...request, recompute: true }, phi3)];
    expect(anew.tokens).toEqual(cached.tokens);
    expect(apart(cached.logits, anew.logits!)).toBeLessThan(TOLERANCE);
    expect(differing(cached.activations, anew.activations, TOLERANCE)).toEqual([]);
  });
});

describe("abort", () => {
  it("stops between steps, and leaves the model as it was", async () => {
    const before = await generate({ tokens: rows });
    const controller = new AbortController();
    const heard: GeneratedToken[] = [];
    const onToken = (token: GeneratedToken): void => {
      heard.push(token);
      if (token.step === 1) controller.abort();
    };
    const run = model.generate({ tokens: rows, maxNew: 6, stopTokens: [] }, { onToken, signal: controller.signal });
    await expect(run).rejects.toMatchObject({ kind: "interrupted" });
    expect(heard.map(({ step }) => step)).toEqual([0, 0, 0, 1, 1, 1]);
    expect((await generate({ tokens: rows })).tokens).toEqual(before.tokens);
  });

  it("before the start nothing is run", async () => {
    const heard: GeneratedToken[] = [];
    const run = model.generate({ tokens: rows, maxNew: 6 }, { onToken: (token) => heard.push(token), signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ kind: "interrupted" });
    expect(heard).toEqual([]);
  });
});

describe("maxNew", () => {
  it("of one runs the prompt only", async () => {
    const { tokens, lengths, activations, finish } = await generate({ tokens: rows, maxNew: 1, read: ["resid_post.1"] });
    expect(tokens.map((row) => row.length)).toEqual([1, 1, 1]);
    expect(lengths).toEqual(rows.map((row) => row.length));
    expect(finish).toEqual(["length", "length", "length"]);
    const once = await model.forward({ tokens: rows, read: ["resid_post.1"], logits: false });
    expect(differing(activations, once.activations)).toEqual([]);
  });

  it("may fill the context and one more, since the last token is never run", async () => {
    const full = { tokens: [rowsOf(61)[0]!], maxNew: 4 };
    expect((await generate(full)).tokens[0]).toHaveLength(4);
    await expect(generate({ ...full, maxNew: 5 })).rejects.toThrow("row 0 has 61 tokens and 4 more to generate");
  });

  it.each([0, -1, 1.5, NaN, Infinity])("of %d is refused", async (maxNew) => {
    await expect(generate({ tokens: [short], maxNew })).rejects.toThrow(/maxNew must be a whole number above 0, got/);
  });
});
