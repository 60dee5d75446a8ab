/**
 * @file The pool of open sessions: who is closed when there is no room, who never is, and that a model whose memory holds its weights
 * once computes what it computes with room for everything.
 */
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { must } from "../../src/base/errors.js";
import { makeGrid } from "../../src/analyses/sweeps/grid.js";
import { weightBytes } from "../../src/runtime/forecast.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";
import { SessionPool, type Wanted } from "../../src/runtime/session-pool.js";
import type { Session } from "../../src/runtime/session.js";
import type { Edit } from "../../src/runtime/edit.js";
import type { SweepRequest } from "../../src/runtime/sweep/request.js";
import { fixture, rowsOf } from "./support.js";

/** Sessions that compute nothing, and what happened to them. */
class Log {
  readonly made: string[] = [];
  readonly closed: string[] = [];
  readonly owner = {};

  want(key: string, held: number, options: { owner?: object; fail?: boolean; making?: number; stays?: boolean } = {}): Wanted {
    const { owner = this.owner, making = held, stays = false } = options;
    const session: Session = {
      run: () => Promise.reject(new Error("nothing to run")),
      close: async () => void this.closed.push(key),
    };
    const make = async (): Promise<Session> => {
      this.made.push(key);
      await Promise.resolve();
      if (options.fail) throw new Error(`cannot make ${key}`);
      return session;
    };
    return { owner, key, bytes: { held, making }, stays, make };
  }
}

async function opened(
  limit: number,
  ...wanted: readonly (readonly [key: string, bytes: number])[]
): Promise<{ pool: SessionPool; log: Log }> {
  const [pool, log] = [new SessionPool(limit), new Log()];
  for (const [key, bytes] of wanted) await pool.open(log.want(key, bytes));
  return { pool, log };
}

describe("a pool of sessions", () => {
  it("makes a session once, and gives the same one again", async () => {
    const { pool, log } = await opened(100);
    const session = await pool.open(log.want("a", 10));
    expect(await pool.open(log.want("a", 10))).toBe(session);
    expect([log.made, log.closed, pool.bytes]).toEqual([["a"], [], 10]);
  });

  it("makes a session once, too, where it is wanted twice before it is there", async () => {
    const { pool, log } = await opened(100);
    const [first, second] = await Promise.all([pool.open(log.want("a", 10)), pool.open(log.want("a", 10))]);
    expect(second).toBe(first);
    expect([log.made, pool.bytes]).toEqual([["a"], 10]);
  });

  it("keeps sessions of different owners apart, whatever their keys", async () => {
    const { pool, log } = await opened(100);
    const first = await pool.open(log.want("a", 10, { owner: {} }));
    expect(await pool.open(log.want("a", 10, { owner: {} }))).not.toBe(first);
    expect([log.made, pool.bytes]).toEqual([["a", "a"], 20]);
  });

  it("closes nothing while all fit, to the last byte", async () => {
    const { pool, log } = await opened(30, ["a", 10], ["b", 10], ["c", 10]);
    expect([log.closed, pool.bytes]).toEqual([[], 30]);
  });

  it("closes the session that was made first where all were used once", async () => {
    const { pool, log } = await opened(30, ["a", 10], ["b", 10], ["c", 10], ["d", 10], ["e", 10]);
    expect([log.closed, pool.bytes]).toEqual([["a", "b"], 30]);
  });

  it("closes the session that was used least recently", async () => {
    const { pool, log } = await opened(30, ["a", 10], ["b", 10], ["c", 10], ["a", 10], ["d", 10], ["c", 10], ["e", 10]);
    expect([log.closed, pool.bytes]).toEqual([["b", "a"], 30]);
    await pool.open(log.want("a", 10));
    expect([log.made, log.closed]).toEqual([
      ["a", "b", "c", "d", "e", "a"],
      ["b", "a", "d"],
    ]);
  });

  it("closes as many as are in the way of a large one, and no more", async () => {
    const { pool, log } = await opened(30, ["a", 5], ["b", 5], ["c", 10], ["d", 10], ["large", 12]);
    expect([log.closed.toSorted(), pool.bytes]).toEqual([["a", "b", "c"], 22]);
  });

  it("holds a session that is larger than the limit, alone", async () => {
    const { pool, log } = await opened(30, ["a", 10], ["b", 10], ["huge", 50]);
    expect([log.closed.toSorted(), pool.bytes]).toEqual([["a", "b"], 50]);
    await pool.open(log.want("a", 10));
    expect([log.closed.at(-1), pool.bytes]).toEqual(["huge", 10]);
  });

  it("never closes sessions without weights for room", async () => {
    const { pool, log } = await opened(10, ["none", 0], ["a", 10], ["b", 10], ["huge", 50], ["other", 0]);
    expect([log.closed, pool.bytes]).toEqual([["a", "b"], 50]);
  });

  it("closes the sessions of an owner, and makes them anew when they are wanted again", async () => {
    const [pool, log, mine, yours] = [new SessionPool(100), new Log(), {}, {}];
    await pool.open(log.want("a", 10, { owner: mine }));
    await pool.open(log.want("b", 20, { owner: yours }));
    await pool.open(log.want("c", 0, { owner: mine }));
    await pool.close(mine);
    expect([log.closed, pool.bytes]).toEqual([["a", "c"], 20]);
    await pool.close(mine);
    await pool.open(log.want("a", 10, { owner: mine }));
    expect([log.made, log.closed, pool.bytes]).toEqual([["a", "b", "c", "a"], ["a", "c"], 30]);
  });

  it("closes a session of an owner that is still being made", async () => {
    const [pool, log] = [new SessionPool(100), new Log()];
    const opening = pool.open(log.want("a", 10));
    await pool.close(log.owner);
    await opening;
    expect([log.closed, pool.bytes]).toEqual([["a"], 0]);
  });

  it("makes a session once, too, where it is wanted twice while others are closed for it", async () => {
    const { pool, log } = await opened(100, ["a", 60]);
    const [first, second] = await Promise.all([pool.open(log.want("b", 60)), pool.open(log.want("b", 60))]);
    expect(second).toBe(first);
    expect([log.made, log.closed, pool.bytes]).toEqual([["a", "b"], ["a"], 60]);
  });

  it("keeps within its limit where two sessions are wanted at the same time", async () => {
    const { pool, log } = await opened(100, ["a", 60]);
    await Promise.all([pool.open(log.want("b", 60)), pool.open(log.want("c", 60))]);
    expect([log.closed.toSorted(), pool.bytes]).toEqual([["a", "b"], 60]);
  });

  it("closes a session that stays only where closing the others is not enough", async () => {
    const [pool, log] = [new SessionPool(30), new Log()];
    await pool.open(log.want("first", 10, { stays: true }));
    for (const key of ["a", "b", "c"]) await pool.open(log.want(key, 10));
    expect(log.closed).toEqual(["a"]);
    expect(pool.has(log.owner, "first")).toBe(true);
    await pool.open(log.want("large", 25));
    expect([log.closed.toSorted(), pool.bytes, pool.has(log.owner, "first")]).toEqual([["a", "b", "c", "first"], 25, false]);
  });

  it("where it is strict, counts what making a session takes, and refuses one that never fits", async () => {
    const [pool, log] = [new SessionPool(30, { isStrict: true }), new Log()];
    await pool.open(log.want("a", 10, { making: 15 }));
    await pool.open(log.want("b", 10, { making: 20 }));
    await pool.open(log.want("c", 10, { making: 11 }));
    expect([log.closed, pool.bytes]).toEqual([["a"], 20]);
    await expect(pool.open(log.want("d", 20, { making: 31 }))).rejects.toMatchObject({ kind: "memory" });
    expect([log.made, log.closed, pool.bytes]).toEqual([["a", "b", "c"], ["a"], 20]);
  });

  it("forgets a session that could not be made, so that it can be tried again", async () => {
    const { pool, log } = await opened(30, ["a", 10]);
    await expect(pool.open(log.want("b", 10, { fail: true }))).rejects.toThrow("cannot make b");
    expect(pool.bytes).toBe(10);
    await pool.open(log.want("b", 10));
    expect([log.made, log.closed, pool.bytes]).toEqual([["a", "b", "b"], [], 20]);
  });

  it("closes an owner's sessions although one of them could not be made", async () => {
    const [pool, log] = [new SessionPool(100), new Log()];
    await pool.open(log.want("a", 10));
    const failing = pool.open(log.want("b", 10, { fail: true }));
    const failed = expect(failing).rejects.toThrow("cannot make b");
    await pool.close(log.owner);
    await failed;
    expect([log.closed, pool.bytes]).toEqual([["a"], 0]);
  });
});

describe.each(["induction", "gpt2-hub-names", "gemma3-old-style"])("with memory for the weights of %s and little more", (name) => {
  const folder = name === "induction" ? fileURLToPath(new URL("../../models/induction", import.meta.url)) : fixture(name);
  const models: Model[] = [];
  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(models.splice(0).map((model) => model.close()));
  });

  it("a model computes what it computes with room for everything: plain, edited in every layer, swept", async () => {
    const { spec, checkpoint } = readSpec(folder);
    checkpoint.close();
    const roomy = await loadModel(folder, { threads: 1 });
    models.push(roomy);
    const [clean = [], corrupted = []] = rowsOf(6, 6);
    const pairs = [{ clean, corrupted, answer: 3, wrong: 7 }];
    const counterfactuals = (["z", "resid_pre", "attn_scores", "mlp_out"] as const).flatMap(
      (point) => makeGrid(spec, pairs, { point, by: [] }).counterfactuals,
    );
    const sweep: SweepRequest = { pairs, counterfactuals, metrics: ["logit_diff", "kl"] };
    const budget = { memoryBudget: 1 };
    const weights = weightBytes(spec);
    // Sessions may have 0.7 of this, but in any case the weights once.
    const memoryLimit = Math.max(1.02 * weights, roomy.forecastSweep(sweep, budget).workingBytes);
    const limit = Math.max(0.7 * memoryLimit, weights);

    const opens = vi.spyOn(SessionPool.prototype, "open");
    const tight = await loadModel(folder, { threads: 1, memoryLimit });
    models.push(tight);
    const pool = must(opens.mock.contexts[0], "the pool of the model that was loaded last") as SessionPool;
    const within = (): void => expect(pool.bytes).toBeLessThanOrEqual(limit);
    within();

    const edits = spec.layers.flatMap((_, layer): Edit[] =>
      (["q", "z", "mlp_out"] as const).map((point) => ({ at: `${point}.${layer}`, op: "scale", by: 0.5 })),
    );
    const plain = { tokens: rowsOf(5, 3), read: ["resid_post.*"] };
    for (const request of [plain, { ...plain, edits }, plain, { ...plain, edits: edits.slice(0, 2) }, { ...plain, edits }]) {
      const [ours, theirs] = [await tight.forward(request), await roomy.forward(request)];
      expect(ours.logits).toEqual(theirs.logits);
      expect(ours.activations).toEqual(theirs.activations);
      within();
    }
    const [ours, theirs] = [await tight.sweep(sweep, budget), await roomy.sweep(sweep, budget)];
    expect(ours.metrics).toEqual(theirs.metrics);
    within();
    const longer = { tokens: [clean], maxNew: 3 };
    expect((await tight.generate(longer)).tokens).toEqual((await roomy.generate(longer)).tokens);
    within();

    const wanted = opens.mock.calls.flatMap(([one], call) => (opens.mock.contexts[call] === pool ? [one] : []));
    const different = wanted.filter(({ owner, key }, i) => wanted.findIndex((one) => one.owner === owner && one.key === key) === i);
    expect(different.reduce((total, { bytes: { held } }) => total + held, 0)).toBeGreaterThan(limit);
  });
});
