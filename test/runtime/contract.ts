/**
 * @file What every `Model` promises, wherever it runs, as tests: it gives to the last bit what a `LocalModel` gives, refuses in the same words,
 * stops when it is told to, calls the caller's functions in the caller's thread, and leaves the caller's arrays alone.
 */
import { afterAll, describe, expect, it } from "vitest";
import { SextantError } from "../../src/base/errors.js";
import { tensor, type Tensor } from "../../src/base/tensor.js";
import { loadModel } from "../../src/runtime/load.js";
import type { ForwardRequest, GenerateRequest, Model, PausedRun, Progress } from "../../src/runtime/model.js";
import type { SweepOptions, SweepPart, SweepRequest } from "../../src/runtime/sweep/request.js";
import { editCases } from "../../src/runtime/verify/edit-cases.js";
import { arraysIn, bitsOf } from "./bits.js";
import { everyKind, pairsFor } from "./sweep/cases.js";
import { addressesOf, fixture, rowsOf } from "./support.js";

/** Opens the model in a folder, on one thread. */
export type OpenModel = (folder: string, options?: { readonly memoryLimit?: number }) => Promise<Model>;

const GPT2 = "gpt2-hub-names";
/** Learned positions and biases; windows and sandwich norms; experts, whose choices are whole numbers. */
const NAMES = [GPT2, "gemma3-old-style", "qwen3-moe-dense-first"] as const;

const tokens = rowsOf(7, 4, 9);
const everywhere = { positions: "all" } as const;
const vector = (length: number): number[] => Array.from({ length }, (_, i) => Math.cos(i));

/** Runs the same tests on whatever `open` opens. */
export function modelContract(open: OpenModel): void {
  const opened = new Map<string, Promise<readonly [Model, Model]>>();
  /** The model to be tested, and a local one to hold it against. */
  const both = (name: string): Promise<readonly [Model, Model]> => {
    const made = opened.get(name) ?? Promise.all([open(fixture(name)), loadModel(fixture(name), { threads: 1 })]);
    opened.set(name, made);
    return made;
  };
  const one = async (name: string = GPT2): Promise<Model> => (await both(name))[0];
  afterAll(async () => {
    for (const models of opened.values()) for (const model of await models) await model.close();
  });

  /** Holds what a model gives against what the local one gives. */
  const same = async (name: string, work: (model: Model) => Promise<unknown>): Promise<void> => {
    const [ours, theirs] = await both(name);
    expect(bitsOf(await work(ours))).toEqual(bitsOf(await work(theirs)));
  };

  describe.each(NAMES)("%s, held against a local model", (name) => {
    it("has the same spec", async () => {
      const [ours, theirs] = await both(name);
      expect(ours.spec).toEqual(theirs.spec);
    });

    it("reads every point and gives every logit", () =>
      same(name, (model) => model.forward({ tokens, read: [...addressesOf(model), "logits"], logits: everywhere })));

    it("edits, in every way", async () => {
      const [, local] = await both(name);
      for (const { edits } of await editCases({ model: local, tokens, options: {} }))
        await same(name, (model) => model.forward({ tokens, edits, read: addressesOf(model) }));
    });

    it("generates, greedily and by chance, with edits and reads", async () => {
      const edits = [{ at: "resid_post.0", op: "scale", by: 1.2, on: "generated" }] as const;
      const request: GenerateRequest = { tokens, maxNew: 6, stopTokens: [], logits: true, read: ["z.1", "resid_post.*"] };
      await same(name, (model) => model.generate(request));
      await same(name, (model) => model.generate({ ...request, edits, sampling: { temperature: 3, seed: 4 } }));
    });

    it("stops at any address and goes on, with the value there or another", async () => {
      for (const address of ["embed", "resid_post.0", "resid_pre.1", "z.1", "attn_scores.1", "final_normalized"]) {
        await same(name, async (model) => {
          const paused = await model.runUntil(address, { tokens, read: ["resid_mid.0", "mlp_out.1"] });
          const { data, shape, axes } = paused.value;
          const other = tensor(
            data.map((x) => (Number.isFinite(x) ? 1.5 * x : x)),
            shape,
            axes,
          );
          return [paused, await model.runFrom(paused, paused.value), await model.runFrom(paused, other), paused];
        });
      }
    });

    it("gives gradients, by values and by parameters", () =>
      same(name, async (model) => [
        await model.gradient({ tokens, of: "logits[-1,5]-logits[-1,9]", at: addressesOf(model).filter(isDifferentiable), read: ["z.0"] }),
        await model.gradient({ tokens, of: { loss: "cross_entropy" }, parameters: true }),
      ]));

    it("sweeps, with metrics and reads", async () => {
      const [, local] = await both(name);
      const pairs = pairsFor(local.spec, 3);
      const counterfactuals = (await everyKind(local, pairs, 3)).filter((_, i) => i % 17 === 0);
      const metrics = ["logit_diff", "kl", "rank"];
      await same(name, (model) => model.sweep({ pairs, counterfactuals, metrics, read: ["resid_post.1"] }));
    });
  });

  it("runs nodes, and goes back through them", async () => {
    const [, { spec }] = await both(GPT2);
    const rows = rowsOf(5, 5);
    const { heads, dHead } = spec.layers[1]!.attention;
    const values = (...shape: number[]): Tensor<Float32Array> =>
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)),
        shape,
      );
    const stream = values(2, 5, spec.dModel);
    const each = values(2, heads, 5, spec.dModel);
    await same(GPT2, async (model) => [
      await model.runNode({ tokens: rows, layer: 1, mlp: stream }),
      await model.runNode({ tokens: rows, layer: 1, heads: { q: each, k: each, v: each } }),
      await model.pullNode({ tokens: rows, layer: 1, mlp: stream, by: stream }),
      await model.pullNode({ tokens: rows, layer: 1, heads: stream, by: values(2, 5, heads, dHead) }),
    ]);
  });

  describe("forecasts", () => {
    it("are the local model's, and refuse what it refuses", async () => {
      const [ours, theirs] = [await open(fixture(GPT2)), await loadModel(fixture(GPT2), { threads: 1 })];
      const sweep = sweepOf(4);
      expect(ours.forecast({ tokens, read: ["all"] })).toEqual(theirs.forecast({ tokens, read: ["all"] }));
      expect(ours.forecast({ tokens, maxNew: 3 })).toEqual(theirs.forecast({ tokens, maxNew: 3 }));
      expect(ours.forecastSweep(sweep)).toEqual(theirs.forecastSweep(sweep));
      expect(() => ours.forecast({ tokens: [] })).toThrow("tokens: at least one row is needed");
      expect(() => ours.forecastSweep({ ...sweep, metrics: [] })).toThrow("a sweep needs at least one metric");
      await Promise.all([ours.close(), theirs.close()]);
    });

    it("know the time as soon as there was a run, by the speed that its cost has", async () => {
      const model = await open(fixture(GPT2));
      expect(model.forecast({ tokens })).not.toHaveProperty("ms");
      const { cost } = await model.forward({ tokens });
      expect(cost.forecast).not.toHaveProperty("ms");
      const speed = cost.forecast.flops / cost.ms;
      const long = model.forecast({ tokens: rowsOf(30) });
      expect(long.ms).toBeCloseTo(long.flops / speed, 9);
      const swept = await model.sweep(sweepOf(4));
      expect(swept.cost.forecast.ms).toBeCloseTo(swept.cost.forecast.flops / speed, 9);
      expect(model.forecast({ tokens }).ms).toBeCloseTo(cost.forecast.flops / (swept.cost.flops / swept.cost.ms), 9);
      await model.close();
    });
  });

  describe("refusals", () => {
    const wrong: Readonly<Record<string, (model: Model) => Promise<unknown>>> = {
      "no tokens": (model) => model.forward({ tokens: [] }),
      "a token that is none": (model) => model.forward({ tokens: [[61]] }),
      "nothing at all": (model) => model.forward(undefined as unknown as ForwardRequest),
      "an address that the model lacks": (model) => model.forward({ tokens, read: ["z.9"] }),
      "an edit of another width": (model) => model.forward({ tokens, edits: [{ at: "z.0", op: "add", vector: [1, 2] }] }),
      "too long a row": (model) => model.generate({ tokens: rowsOf(60), maxNew: 10 }),
      "stop strings without decode": (model) => model.generate({ tokens, maxNew: 2, stopStrings: ["a"] }),
      "a stop at the logits": (model) => model.runUntil("logits", { tokens }),
      "a gradient of nothing": (model) => model.gradient({ tokens, of: "nonsense", at: ["z.0"] }),
      "a node that is not there": (model) => model.runNode({ tokens, layer: 7, mlp: tensor(new Float32Array(1), [1]) }),
      "an unknown metric": (model) => model.sweep({ ...sweepOf(1), metrics: ["loudness"] }),
      "a measure that gives no number": (model) =>
        model.sweep({ ...sweepOf(1), metrics: ["mine"] }, { measures: { mine: () => "much" as unknown as number } }),
      "a budget of nothing": (model) => model.sweep(sweepOf(1), { memoryBudget: 0 }),
    };

    it.each(Object.entries(wrong))("of %s are the local model's, word for word", async (_, work) => {
      const [ours, theirs] = await both(GPT2);
      const [mine, other] = [await thrownBy(() => work(ours)), await thrownBy(() => work(theirs))];
      expect(other).toBeInstanceOf(Error);
      expect(told(mine)).toEqual(told(other));
      expect(mine.constructor).toBe(other.constructor);
    });

    it("say what does not fit into the memory", async () => {
      const model = await open(fixture(GPT2), { memoryLimit: 1_000_000 });
      const error = await thrownBy(() => model.forward({ tokens: rowsOf(60, 60, 60), read: ["all"] }));
      expect(error).toMatchObject({ kind: "memory", refusal: { instead: expect.stringContaining("read fewer points") as string } });
      await model.close();
    });

    it("of a folder that is no model come from loading", async () => {
      const error = await thrownBy(() => open(fixture("no-such-model")));
      const theirs = await thrownBy(() => loadModel(fixture("no-such-model")));
      expect(told(error)).toEqual(told(theirs));
    });
  });

  describe("the caller's functions", () => {
    it("hear of each token and of the progress, in order, before the result is there", async () => {
      await same(GPT2, async (model) => {
        const heard: unknown[] = [];
        const [onToken, onProgress] = [(token: unknown) => heard.push(token), (progress: Progress) => heard.push(progress)];
        const { tokens: made } = await model.generate({ tokens, maxNew: 5, stopTokens: [] }, { onToken, onProgress });
        expect(heard).toHaveLength(tokens.length * 5 + 5);
        return [made, heard];
      });
      await same(GPT2, async (model) => {
        const heard: unknown[] = [];
        await model.forward({ tokens }, { onProgress: (progress) => heard.push(progress) });
        return heard;
      });
    });

    it("decode, at once or with a promise", async () => {
      const letters = (ids: readonly number[]): string => ids.map((id) => String.fromCharCode(97 + (id % 26))).join("");
      const later = async (ids: readonly number[]): Promise<string> => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return letters(ids);
      };
      const plain = await (await one()).generate({ tokens, maxNew: 8, stopTokens: [] });
      const stop = letters(plain.tokens[0]!.slice(3, 5));
      for (const decode of [letters, later]) {
        await same(GPT2, async (model) => {
          const made = await model.generate({ tokens, maxNew: 8, stopTokens: [], stopStrings: [stop] }, { decode });
          expect(made.finish[0]).toBe("stop_string");
          expect(letters(made.tokens[0]!)).toContain(stop);
          return made;
        });
      }
    });

    it("measure, at once or with a promise, and may keep the logits that they are given", async () => {
      const kept: Float32Array[] = [];
      const measures: SweepOptions["measures"] = {
        largest: (logits) => Math.max(...logits),
        place: async (logits, { pair, counterfactual = -1 }) => {
          kept.push(logits.slice());
          return 100 * counterfactual + pair + (await Promise.resolve(logits.indexOf(Math.max(...logits)))) / 100;
        },
      };
      const request = { ...sweepOf(5), metrics: ["kl", "largest", "place", "log_prob"] };
      await same(GPT2, (model) => model.sweep(request, { measures }));
      expect(kept.every((logits) => logits.length === 61)).toBe(true);
    });

    it("get a sweep's parts, from which it can be gone on with", async () => {
      await same(GPT2, async (model) => {
        const request = sweepOf(40);
        const parts: SweepPart[] = [];
        const whole = await model.sweep(request, { memoryBudget: 1, onPart: (part) => parts.push(part) });
        expect(parts.length).toBeGreaterThan(2);
        const told: number[] = [];
        const again = await model.sweep(request, { memoryBudget: 1, done: parts.slice(1), onPart: ({ index }) => told.push(index) });
        expect(told).toEqual([0]);
        expect(bitsOf(again)).toEqual(bitsOf(whole));
        return [parts, whole];
      });
    });

    it("end their own call when they throw, with what they threw, and no other", async () => {
      const model = await one();
      const mine = new Error("mine");
      const thrower = (): never => {
        throw mine;
      };
      const generation = { tokens, maxNew: 5, stopTokens: [], stopStrings: ["x"] };
      const decode = (): string => "";
      expect(await thrownBy(() => model.generate(generation, { decode, onToken: thrower }))).toBe(mine);
      expect(await thrownBy(() => model.generate(generation, { decode: thrower }))).toBe(mine);
      expect(await thrownBy(() => model.generate(generation, { decode: () => Promise.reject(mine) }))).toBe(mine);
      expect(await thrownBy(() => model.forward({ tokens }, { onProgress: thrower }))).toBe(mine);
      expect(await thrownBy(() => model.sweep(sweepOf(9), { memoryBudget: 1, onPart: thrower }))).toBe(mine);
      expect(await thrownBy(() => model.sweep({ ...sweepOf(9), metrics: ["it"] }, { measures: { it: thrower } }))).toBe(mine);
      await same(GPT2, (other) => other.forward({ tokens }));
    });
  });

  describe("a signal", () => {
    it("ends a generation of many tokens early, and the model goes on", async () => {
      const model = await one();
      const controller = new AbortController();
      let made = 0;
      const onToken = (): void => {
        if (++made === 3) controller.abort(new Error("enough"));
      };
      const request = { tokens: rowsOf(4), maxNew: 20_000, stopTokens: [], beyondContext: true };
      const long = await one("gemma3-old-style");
      const error = await thrownBy(() => long.generate(request, { onToken, signal: controller.signal }));
      expect(error).toMatchObject({ kind: "interrupted", cause: expect.objectContaining({ message: "enough" }) as unknown });
      expect(made).toBeLessThan(10_000);
      await same("gemma3-old-style", (other) => other.forward({ tokens }));
      await same(GPT2, () => model.forward({ tokens }));
    });

    it("ends a run right behind its beginning, and one that waits for its turn", async () => {
      const model = await one();
      const [first, second] = [new AbortController(), new AbortController()];
      const running = thrownBy(() => model.forward({ tokens: rowsOf(60), read: ["all"] }, { signal: first.signal }));
      const waiting = thrownBy(() => model.gradient({ tokens, of: "logits[-1,5]", at: ["z.0"] }, { signal: second.signal }));
      const other = model.forward({ tokens });
      second.abort();
      first.abort();
      expect([await running, await waiting]).toEqual([expect.objectContaining(INTERRUPTED), expect.objectContaining(INTERRUPTED)]);
      expect((await other).lengths).toEqual([7, 4, 9]);
    });

    it("ends a sweep between parts", async () => {
      const controller = new AbortController();
      const parts: number[] = [];
      const onPart = ({ index }: SweepPart): void => {
        parts.push(index);
        controller.abort();
      };
      const model = await one();
      const request = sweepOf(4000);
      const error = await thrownBy(() => model.sweep(request, { memoryBudget: 1, onPart, signal: controller.signal }));
      expect(error).toMatchObject(INTERRUPTED);
      expect(parts.length).toBeLessThan(model.forecastSweep(request, { memoryBudget: 1 }).parts / 2);
    });

    it("that was aborted before lets nothing begin, in any method", async () => {
      const model = await one();
      const signal = AbortSignal.abort("too late");
      const rows = rowsOf(4);
      const mlp = tensor(new Float32Array(4 * model.spec.dModel), [1, 4, model.spec.dModel]);
      const paused = await model.runUntil("z.0", { tokens });
      const calls = [
        () => model.forward({ tokens }, { signal }),
        () => model.generate({ tokens, maxNew: 2 }, { signal }),
        () => model.runUntil("z.0", { tokens }, { signal }),
        () => model.runFrom(paused, paused.value, { signal }),
        () => model.gradient({ tokens, of: "logits[-1,5]", at: ["z.0"] }, { signal }),
        () => model.runNode({ tokens: rows, layer: 0, mlp }, { signal }),
        () => model.pullNode({ tokens: rows, layer: 0, mlp, by: mlp }, { signal }),
        () => model.sweep(sweepOf(2), { signal }),
      ];
      for (const call of calls) expect(await thrownBy(call)).toMatchObject({ ...INTERRUPTED, cause: "too late" });
    });
  });

  describe("arrays", () => {
    it("of requests stay the caller's: as they were, and not the result's", async () => {
      const model = await one();
      const { activations } = await model.forward({ tokens, read: ["resid_post.0", "z.1"], logits: false });
      const [resid, value] = [activations["resid_post.0"] as Tensor<Float32Array>, activations["z.1"] as Tensor<Float32Array>];
      const edits = [
        { at: "z.1", op: "set", value },
        { at: "resid_post.1", op: "add", vector: tensor(Float32Array.from(vector(32)), [32]) },
      ] as const;
      const request: ForwardRequest = { tokens, edits, resume: { layer: 1, resid }, read: ["z.1", "resid_post.1"] };
      const before = bitsOf(request);
      const first = bitsOf(await model.forward(request));
      const again = await model.forward(request);
      expect(bitsOf(again)).toEqual(first);
      for (const array of arraysIn(again)) new Uint8Array(array.buffer, array.byteOffset, array.byteLength).fill(7);
      expect(bitsOf(request)).toEqual(before);
      expect(bitsOf(await model.forward(request))).toEqual(first);
    });

    it("of a stopped run stay, too, and its request is the one that was given", async () => {
      const model = await one();
      const request = { tokens, read: ["resid_post.1"] };
      const paused: PausedRun = await model.runUntil("z.1", request);
      expect(paused.request).toBe(request);
      const before = bitsOf(paused);
      const result = await model.runFrom(paused, paused.value);
      for (const array of arraysIn(result)) new Uint8Array(array.buffer, array.byteOffset, array.byteLength).fill(7);
      expect(bitsOf(paused)).toEqual(before);
    });

    it("may be views of others, may stand in several places, and may be on shared memory", async () => {
      const [, { spec }] = await both(GPT2);
      const many = Float32Array.from(vector(3 * spec.dModel));
      const shared = new Float32Array(new SharedArrayBuffer(many.byteLength));
      shared.set(many);
      await same(GPT2, async (model) => {
        const results: unknown[] = [];
        for (const all of [many, shared]) {
          const middle = tensor(all.subarray(spec.dModel, 2 * spec.dModel), [spec.dModel]);
          const edits = ["resid_post.0", "mlp_out.1"].map((at) => ({ at, op: "add", vector: middle }) as const);
          results.push(await model.forward({ tokens, edits }));
          const resid = tensor(all, [1, 3, spec.dModel]);
          results.push(await model.forward({ tokens: rowsOf(3), resume: { layer: 1, resid } }));
        }
        expect(bitsOf(results.slice(2))).toEqual(bitsOf(results.slice(0, 2)));
        return results;
      });
    });

    it("of results are each on memory of their own", async () => {
      const model = await one();
      const result = await model.forward({ tokens, read: ["all"], logits: everywhere });
      const buffers = arraysIn(result).map(({ buffer }) => buffer);
      expect(new Set(buffers).size).toBe(buffers.length);
    });
  });

  describe("requests", () => {
    it("are answered each with its own, in the order in which they came", async () => {
      const model = await one();
      const lengths = [9, 2, 30, 5, 1, 12];
      const ended: number[] = [];
      const results = await Promise.all(
        lengths.map(async (length) => {
          const result = await model.forward({ tokens: rowsOf(length), read: ["resid_post.0"] });
          ended.push(length);
          return result;
        }),
      );
      expect(ended).toEqual(lengths);
      for (const [i, length] of lengths.entries()) {
        const [, local] = await both(GPT2);
        expect(bitsOf(results[i])).toEqual(bitsOf(await local.forward({ tokens: rowsOf(length), read: ["resid_post.0"] })));
      }
    });

    it("of several kinds mix, and one that fails spoils no other", async () => {
      await same(GPT2, (model) =>
        Promise.all([
          model.generate({ tokens, maxNew: 3, stopTokens: [] }),
          thrownBy(() => model.forward({ tokens: [[99]] })).then(told),
          model.sweep(sweepOf(3)),
          thrownBy(() => model.runUntil("nowhere.0", { tokens })).then(told),
          model.gradient({ tokens, of: "logits[-1,5]", at: ["z.0"] }),
        ]),
      );
    });

    it("under way when the model is closed are answered, later ones are refused, and closing twice is closing", async () => {
      const model = await open(fixture(GPT2));
      const running = [model.forward({ tokens }), model.forward({ tokens: rowsOf(3) })] as const;
      const closing = model.close();
      const late = await thrownBy(() => model.forward({ tokens }));
      expect((await running[0]).lengths).toEqual([7, 4, 9]);
      expect((await running[1]).lengths).toEqual([3]);
      await closing;
      await model.close();
      expect(told(late)).toMatchObject({ kind: "usage", message: "the model is closed; load it again" });
      for (const call of [
        () => model.generate({ tokens, maxNew: 1 }),
        () => model.runUntil("z.0", { tokens }),
        () => model.sweep(sweepOf(1)),
      ])
        expect(told(await thrownBy(call))).toEqual(told(late));
    });

    it("to a model are not disturbed when another is closed", async () => {
      const [model, other] = await Promise.all([one(), open(fixture(GPT2))]);
      const running = model.generate({ tokens, maxNew: 12, stopTokens: [] });
      await other.forward({ tokens });
      await other.close();
      expect((await running).tokens.map((row) => row.length)).toEqual([12, 12, 12]);
      await same(GPT2, (each) => each.forward({ tokens, read: ["all"] }));
    });
  });
}

const INTERRUPTED = { kind: "interrupted", message: "the run was interrupted" } as const;

/** Points whose values are numbers that a gradient can be taken by. */
function isDifferentiable(address: string): boolean {
  return !address.startsWith("experts");
}

/** Switches heads and single units off, as many times as asked for. */
function sweepOf(count: number): SweepRequest {
  const counterfactuals = Array.from({ length: count }, (_, i) => ({
    edits: [{ at: `z.${i % 2}`, op: "scale", by: i / count, heads: [i % 2], positions: [i % 5] } as const],
  }));
  const pairs = [
    { clean: rowsOf(8)[0]!, answer: 5, wrong: 9 },
    { clean: rowsOf(1, 6)[1]!, answer: 2, wrong: [3, 4] },
  ];
  return { pairs, counterfactuals, metrics: ["logit_diff", "prob"] };
}

/** What is thrown, now or later; nothing thrown is an error. */
async function thrownBy(work: () => Promise<unknown>): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

/** What an error says, causes included. */
function told(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, cause } = error;
  const { kind, refusal } = error instanceof SextantError ? error : {};
  return { name, message, kind, refusal, cause: told(cause) };
}
