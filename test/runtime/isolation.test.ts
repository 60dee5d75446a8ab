/**
 * @file Nothing leaks: an edit of one row does not touch another, and results belong to the caller: they do not change when the model
 * runs on, when other results or the inputs are written to, and no two of them share memory.
 */
import { afterAll, describe, expect, it } from "vitest";
import type { Tensor } from "../../src/base/tensor.js";
import type { Edit } from "../../src/runtime/edit.js";
import type { ForwardRequest, Model } from "../../src/runtime/model.js";
import { editCases } from "../../src/runtime/verify/edit-cases.js";
import { FIXTURE_FOLDERS, modelShelf } from "../parity/subjects.js";
import { addressesOf, apart, at, differing, fixture, rowsOf } from "./support.js";

/** Relative: a block cut at an edit fuses other operations than a whole one; seen are up to 1e-6. */
const TOLERANCE = 1e-5;

const shelf = modelShelf();
afterAll(shelf.close);

const tokens = rowsOf(6, 8, 5);
const everywhere = { positions: "all" } as const;
const open = (): Promise<Model> => shelf.open(fixture("gpt2-hub-names"));

type Values = Readonly<Record<string, Tensor>>;

/** The places where another row than `row` has other bits. */
function touched(ours: Values, theirs: Values, row: number): string[] {
  return Object.entries(theirs).flatMap(([address, value]) => {
    const others = tokens.map((_, index) => index).filter((index) => index !== row);
    return others.some((index) => !sameBits(at(ours[address]!, index), at(value, index))) ? [address] : [];
  });
}

function sameBits(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

async function run(model: Model, request: Partial<ForwardRequest>): Promise<Record<string, Tensor>> {
  const { activations, logits } = await model.forward({ tokens, read: addressesOf(model), logits: everywhere, ...request });
  return { ...activations, logits: logits! };
}

describe.each(FIXTURE_FOLDERS)("$name", ({ folder }) => {
  it("an edit of one row changes no bit of another, at any point, whatever its kind", async () => {
    const model = await shelf.open(folder);
    const row = 1;
    for (const { name, edits } of await editCases({ model, tokens, options: {} })) {
      if (name === "unedited") continue;
      const edited = await run(model, { edits: edits.map((edit) => ({ ...edit, rows: [row] })) });
      // The same places changed by nothing, so that blocks are cut alike and only the other row's values could tell the two apart.
      const idle = edits.map(({ at: address }): Edit => ({ at: address, op: "scale", by: 1, rows: [row] }));
      expect(touched(edited, await run(model, { edits: idle }), row), name).toEqual([]);
      expect(touched(edited, edited, row)).toEqual([]);
      const plain = await run(model, {});
      expect(at(edited["logits"]!, row), name).not.toEqual(at(plain["logits"]!, row));
      for (const other of [0, 2]) {
        const [ours, theirs] = [edited, plain].map((values) => rowOnly(values, other));
        expect(differing(ours!, theirs!, TOLERANCE), `${name}, against the run without edits`).toEqual([]);
      }
    }
  });

  it("rows with edits of their own are as they are alone with them", async () => {
    const model = await shelf.open(folder);
    const cases = (await editCases({ model, tokens, options: {} })).slice(1, 1 + tokens.length);
    const read = addressesOf(model);
    const edits = cases.flatMap((one, row) => one.edits.map((edit) => ({ ...edit, rows: [row] })));
    const together = await model.forward({ tokens, edits, read });
    for (const [row, prompt] of tokens.entries()) {
      const alone = await model.forward({ tokens: [prompt], edits: cases[row]!.edits, read });
      const ours = at(together.logits!, row);
      const theirs = at(alone.logits!, 0);
      const largest = Math.max(...theirs.map(Math.abs));
      expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!))) / largest).toBeLessThan(TOLERANCE);
    }
  });
});

function rowOnly(values: Values, row: number): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(values).map(([address, { data, shape, axes }]) => {
      const size = data.length / shape[0]!;
      return [address, { data: data.slice(row * size, (row + 1) * size), shape: [1, ...shape.slice(1)], axes }];
    }),
  );
}

/** Every tensor of a result. */
function tensorsOf(result: { activations: Values; logits?: Tensor; value?: Tensor; rest?: Values }): Map<string, Tensor> {
  const { activations, logits, value, rest = {} } = result;
  const kept = Object.entries(rest).map(([name, tensor]) => [`rest ${name}`, tensor] as const);
  return new Map([
    ...Object.entries(activations),
    ...kept,
    ...(logits ? [["logits", logits] as const] : []),
    ...(value ? [["value", value] as const] : []),
  ]);
}

/** Pairs of arrays that share memory. */
function sharing(...groups: readonly ReadonlyMap<string, Tensor>[]): string[] {
  const all = groups.flatMap((group, index) => [...group].map(([name, { data }]) => ({ name: `${index}: ${name}`, data })));
  return all.flatMap((a, i) =>
    all
      .slice(i + 1)
      .filter(
        (b) =>
          a.data.buffer === b.data.buffer &&
          a.data.byteOffset < b.data.byteOffset + b.data.byteLength &&
          b.data.byteOffset < a.data.byteOffset + a.data.byteLength,
      )
      .map((b) => `${a.name} and ${b.name}`),
  );
}

function copied(tensors: ReadonlyMap<string, Tensor>): Map<string, number[]> {
  return new Map([...tensors].map(([name, { data }]) => [name, [...data]]));
}

function spoil(tensors: ReadonlyMap<string, Tensor>): void {
  for (const { data } of tensors.values()) data.fill(77);
}

const edits: readonly Edit[] = [
  { at: "resid_pre.1", op: "scale", by: 1.1 },
  { at: "resid_post.0", op: "scale", by: 0.9 },
  { at: "z.1", op: "scale", by: 2 },
];

/** Requests that take different ways through the engine: full and padded rows, edited, resumed, cut short. */
const REQUESTS: readonly (readonly [string, Partial<ForwardRequest>])[] = [
  ["rows of one length", { tokens: rowsOf(6, 6) }],
  ["rows of different lengths", { tokens: rowsOf(6, 4) }],
  ["one row", { tokens: rowsOf(6) }],
  ["edits", { tokens: rowsOf(6, 6), edits }],
  [
    "logits as a point beside the same logits",
    { tokens: rowsOf(6, 6), read: ["logits", "final_normalized", "resid_post.1"], logits: everywhere },
  ],
  ["no logits", { tokens: rowsOf(6, 6), logits: false }],
];

describe("results are the caller's", () => {
  it.each(REQUESTS)("no two arrays of a result share memory: %s", async (_, request) => {
    const model = await open();
    const result = await model.forward({ tokens, read: addressesOf(model), ...request });
    expect(sharing(tensorsOf(result))).toEqual([]);
  });

  it("nor do those of a generation, a stopped and a continued run", async () => {
    const model = await open();
    const read = addressesOf(model);
    expect(sharing(tensorsOf(await model.generate({ tokens, maxNew: 4, stopTokens: [], read, logits: true })))).toEqual([]);
    for (const address of ["embed", "resid_pre.1", "q.1", "resid_post.0", "resid_post.1", "final_normalized"]) {
      const paused = await model.runUntil(address, { tokens: rowsOf(6, 6), read });
      expect(sharing(tensorsOf(paused)), address).toEqual([]);
      const [first, second] = [await model.runFrom(paused, paused.value), await model.runFrom(paused, paused.value)];
      expect(sharing(tensorsOf(paused), tensorsOf(first), tensorsOf(second)), address).toEqual([]);
    }
  });

  it.each(REQUESTS)("they do not change when the model runs on: %s", async (_, request) => {
    const model = await open();
    const asked = { tokens, read: addressesOf(model), ...request };
    const kept = tensorsOf(await model.forward(asked));
    const before = copied(kept);
    await model.forward({ ...asked, tokens: rowsOf(8, 3, 5), edits: [{ at: "embed", op: "scale", by: 3 }] });
    await model.generate({ tokens: rowsOf(5, 7), maxNew: 5, stopTokens: [], read: ["resid_post.1"], edits });
    const paused = await model.runUntil("z.0", asked);
    await model.runFrom(paused, paused.value);
    expect(copied(kept)).toEqual(before);
  });

  it.each(REQUESTS)("writing into them changes no later run: %s", async (_, request) => {
    const model = await open();
    const asked = { tokens, read: addressesOf(model), ...request };
    const first = tensorsOf(await model.forward(asked));
    const before = copied(first);
    spoil(first);
    expect(copied(tensorsOf(await model.forward(asked)))).toEqual(before);
  });

  it("writing into one of them changes none of the others", async () => {
    const model = await open();
    const result = tensorsOf(await model.forward({ tokens: rowsOf(6, 6), read: addressesOf(model), logits: everywhere, edits }));
    const before = copied(result);
    for (const [name, { data }] of result) {
      const own = data.slice();
      data.fill(77);
      const others = [...result].filter(([other, tensor]) => other !== name && String([...tensor.data]) !== String(before.get(other)));
      expect(
        others.map(([other]) => other),
        `after writing into ${name}`,
      ).toEqual([]);
      data.set(own);
    }
  });
});

describe("inputs stay the caller's", () => {
  it("they are not written to", async () => {
    const model = await open();
    const { activations } = await model.forward({ tokens, read: ["resid_post.0", "z.1"], logits: false });
    const resid = activations["resid_post.0"] as Tensor<Float32Array>;
    const value = activations["z.1"] as Tensor<Float32Array>;
    const ahead: Edit[] = [
      { at: "resid_pre.1", op: "scale", by: 5 },
      { at: "z.1", op: "set", value },
      { at: "resid_post.1", op: "add", vector: Array.from({ length: 32 }, () => 1) },
    ];
    const request: ForwardRequest = { tokens, edits: ahead, resume: { layer: 1, resid }, read: ["resid_pre.1", "z.1", "resid_post.1"] };
    const before = structuredClone(request);
    const result = await model.forward(request);
    expect(request).toEqual(before);
    expect(
      sharing(
        tensorsOf(result),
        new Map([
          ["resid", resid],
          ["value", value],
        ]),
      ),
    ).toEqual([]);
    spoil(tensorsOf(result));
    expect(request).toEqual(before);
  });

  it("a value given to a stopped run is not written to, even where an edit follows at once", async () => {
    const model = await open();
    for (const [address, after] of [
      ["resid_post.0", "resid_pre.1"],
      ["resid_pre.1", "q.1"],
      ["final_scale", "final_normalized"],
    ] as const) {
      const request: ForwardRequest = { tokens: rowsOf(6, 6), edits: [{ at: after, op: "scale", by: 4 }], read: [address, after] };
      const paused = await model.runUntil(address, request);
      const before = structuredClone(paused);
      const result = await model.runFrom(paused, paused.value);
      expect(paused).toEqual(before);
      expect(apart(result.activations[address], paused.value)).toBe(0);
      spoil(tensorsOf(result));
      expect(paused).toEqual(before);
    }
  });

  it("writing to them after the run changes no result", async () => {
    const model = await open();
    const vector = Array.from({ length: 32 }, (_, i) => i / 10);
    const request = { tokens: rowsOf(6, 4), edits: [{ at: "resid_post.0", op: "add" as const, vector }], read: addressesOf(model) };
    const generation = { ...request, maxNew: 4, stopTokens: [], logits: true };
    const [forward, made] = [await model.forward(request), await model.generate(generation)];
    const before = [copied(tensorsOf(forward)), copied(tensorsOf(made)), [...forward.lengths], made.tokens.map((row) => [...row])];
    for (const row of request.tokens) row.fill(0);
    vector.fill(9);
    expect([copied(tensorsOf(forward)), copied(tensorsOf(made)), [...forward.lengths], made.tokens.map((row) => [...row])]).toEqual(before);
  });
});
