/**
 * @file The whole table of points over every family: each point is read with the axes and lengths that the table says, or refused
 * with the reason; the graphs name exactly the points that a model is said to have; an edit at any of them does what the float64
 * reference says, and shows in the logits.
 */
import { afterAll, describe, expect, it } from "vitest";
import { isSextantError, type SextantError } from "../../src/base/errors.js";
import type { Tensor } from "../../src/base/tensor.js";
import type { Graph } from "../../src/graph/graph.js";
import { allPlaces, parseAddress, type Place } from "../../src/models/address.js";
import { buildBlock, buildEmbedding, buildFinalNorm, buildHeadOut, buildUnembedding, STREAM, type Form } from "../../src/models/block.js";
import { CACHE } from "../../src/models/parts/attention.js";
import { isPointName, POINT_NAMES, pointRow } from "../../src/models/points.js";
import { axisSizes } from "../../src/models/sizes.js";
import type { ModelSpec } from "../../src/models/spec.js";
import { readSpec } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";
import { engineEdits, engineRun, onlyLogits } from "../parity/engine-run.js";
import { FIXTURE_FOLDERS, modelShelf, SUBJECTS } from "../parity/subjects.js";
import type { Floats } from "../reference/arrays.js";
import { compareRuns, compareTensors, type Compared, type ComparedRun } from "../reference/compare.js";
import type { Edit } from "../reference/edits.js";
import { openReference } from "../reference/reference.js";

/** Rounding alone: sums of up to a few hundred float32 terms, passed on through two to four blocks. */
const LIMITS = { relative: 1e-5 };
/** An edit shows when logits, which are about ten, move by ten times what rounding may do to them. */
const SHOWS = 1e-3;

const shelf = modelShelf();
afterAll(shelf.close);

describe.each(SUBJECTS)("$name", ({ name, folder, tokens }) => {
  const rows = [tokens[0]!.slice(0, 7), tokens[1]!.slice(0, 3)];
  const reference = openReference(folder);

  it("reads each point with its axes and lengths, finite but for masked scores", async () => {
    const model = await shelf.open(folder);
    const { activations } = await model.forward({ tokens, read: ["all"] });
    expect(Object.keys(activations)).toEqual(allPlaces(model.spec).map(({ address }) => address));
    for (const place of allPlaces(model.spec)) expectRow(model.spec, place, activations[place.address]!, tokens);
  });

  it("refuses the points it lacks: what, why, and something instead that it has", async () => {
    const model = await shelf.open(folder);
    for (const address of lacking(model.spec)) {
      const error = await failureOf(() => model.forward({ tokens: rows, read: [address] }));
      expect(error.refusal?.what).toBe(`there is no ${address}`);
      expect(error.refusal?.why).toMatch(/\w/);
      for (const other of namedIn(error.refusal?.instead ?? "", address))
        expect(() => parseAddress(model.spec, other), other).not.toThrow();
      expect((await failureOf(() => model.forward({ tokens: rows, edits: [{ at: address, op: "scale", by: 2 }] }))).message).toBe(
        error.message,
      );
    }
  });

  it("names in its graphs the points it is said to have, in every form", () => {
    const spec = specOf(folder);
    for (const norms of ["fused", "steps"] as const)
      for (const heads of ["fused", "apart"] as const) expect(namesInGraphs(spec, { norms, heads, past: "fed" })).toEqual(namesSaid(spec));
  });

  it("does at every writable point what the reference does under the same edit, and it shows in the logits", async () => {
    const model = await shelf.open(folder);
    const clean = (await engineRun(model, { tokens: rows })).logits!;
    const unmoved: string[] = [];
    for (const place of toEdit(model.spec, name)) {
      const edit = editAt(model.spec, place, POINT_NAMES.indexOf(place.point) + name.length);
      const ours = (await forwardWith(model, rows, edit)).logits!;
      const theirs = withoutEnds(reference(rows, { edits: [edit], points: [] }).logits);
      const label = `${edit.op} at ${place.address}`;
      const { agrees, message } = compareRuns(onlyLogits(ours), onlyLogits(theirs), { ...LIMITS, name: `${name}/${label}` });
      expect(agrees, message).toBe(true);
      const { maxAbs } = compareTensors("logits", ours, clean);
      if (!(maxAbs > SHOWS)) unmoved.push(`${label}: ${maxAbs}`);
    }
    if (!isConstructed(name)) expect(unmoved).toEqual([]);
  });

  it("refuses to write what is read-only, and operations that do not fit", async () => {
    const model = await shelf.open(folder);
    const refused = async (edit: Edit): Promise<unknown> => (await failureOf(() => forwardWith(model, rows, edit))).refusal;
    for (const { address, point } of allPlaces(model.spec)) {
      const { readOnly, axes, dtype } = pointRow(point);
      if (readOnly) expect(await refused({ at: address, op: "set", value: 0 }), address).toMatchObject(readOnly);
      if (axes.includes("key"))
        expect(await refused({ at: address, op: "add", vector: [1] }), address).toMatchObject({
          instead: expect.stringContaining("scale"),
        });
      if (dtype === "int32") {
        expect(await refused({ at: address, op: "scale", by: 2 }), address).toMatchObject({ instead: "set" });
        for (const value of [-1, 0.5, 99]) {
          const { message } = await failureOf(() => forwardWith(model, rows, { at: address, op: "set", value }));
          expect(message).toMatch(`got ${value}`);
        }
      }
      if (point !== "attn_scores" && !readOnly) expect(await refused({ at: address, op: "knockout" }), address).toBeDefined();
    }
  });
});

it("meets every point of the table in some model that is always here", () => {
  const met = FIXTURE_FOLDERS.flatMap(({ folder }) => allPlaces(specOf(folder)).map(({ point }) => point));
  expect(POINT_NAMES.filter((point) => !met.includes(point))).toEqual([]);
});

function specOf(folder: string): ModelSpec {
  const { spec, checkpoint } = readSpec(folder);
  checkpoint.close();
  return spec;
}

type Rows = readonly (readonly number[])[];

function expectRow(spec: ModelSpec, { address, point, layer }: Place, value: Tensor, tokens: Rows): void {
  const { axes, dtype } = pointRow(point);
  const { heads, last } = axisSizes(spec, { address, point, ...(layer !== undefined && { layer }) });
  const length = tokens[0]!.length;
  const lengths: Record<string, number | undefined> = {
    batch: tokens.length,
    pos: length,
    query: length,
    key: length,
    head: heads,
    kv_head: heads,
  };
  expect(value.axes, address).toEqual(axes);
  expect(value.shape, address).toEqual(axes.map((axis) => lengths[axis] ?? last));
  expect(value.data, address).toBeInstanceOf(dtype === "int32" ? Int32Array : Float32Array);
  const window = spec.layers[layer ?? 0]!.attention.window ?? Infinity;
  const isSeen = (flat: number): boolean => {
    const [key, query] = [flat % length, Math.floor(flat / length) % length];
    return point !== "attn_scores" || (key <= query && query - key < window);
  };
  const odd = [...value.data].findIndex((x, flat) => !(isSeen(flat) ? Number.isFinite(x) : x === -Infinity));
  expect(odd, `${address} holds ${value.data[odd]}`).toBe(-1);
}

/** Addresses of the table that a model has no value for. */
function lacking(spec: ModelSpec): string[] {
  const has = new Set(allPlaces(spec).map(({ address }) => address as string));
  const everywhere = POINT_NAMES.flatMap((point) =>
    pointRow(point).scope === "model" ? [point] : spec.layers.map((_, layer) => `${point}.${layer}`),
  );
  return everywhere.filter((address) => !has.has(address));
}

/** The addresses that a refusal's "instead" speaks of, in the layer of the refused one where it gives none. */
function namedIn(instead: string, address: string): string[] {
  const layer = /\.\d+$/.exec(address)?.[0] ?? ".0";
  const words = [...instead.matchAll(/([a-z0-9_]+)(\.\d+)?/g)].map(([, name = "", own]) => ({ name, own }));
  return words.flatMap(({ name, own }) => (isPointName(name) ? [pointRow(name).scope === "model" ? name : name + (own ?? layer)] : []));
}

/** The names of all graphs, by layer, in the order of the table. */
function namesInGraphs(spec: ModelSpec, form: Form): string[] {
  const inside = (graph: Graph, suffix: string, hidden: readonly string[]): string[] =>
    [...graph.named.keys()].filter((name) => !hidden.includes(name)).map((name) => name + suffix);
  const cache = [CACHE.presentK, CACHE.presentV];
  const blocks = spec.layers.flatMap((_, layer) => {
    const heads = form.heads === "apart" ? [] : inside(buildHeadOut(spec, layer), `.${layer}`, []);
    return [`resid_pre.${layer}`, ...heads, ...inside(buildBlock(spec, layer, form), `.${layer}`, cache)];
  });
  const norm = buildFinalNorm(spec, form);
  const ends = [
    ...inside(buildEmbedding(spec), "", [STREAM.embedded]),
    ...(norm ? inside(norm, "", []) : []),
    ...inside(buildUnembedding(spec), "", []),
  ];
  return [...blocks, ...ends].toSorted();
}

function namesSaid(spec: ModelSpec): string[] {
  return allPlaces(spec)
    .map(({ address }) => address as string)
    .toSorted();
}

/** Every writable point of a model, in one of its layers; another one from model to model. */
function toEdit(spec: ModelSpec, name: string): Place[] {
  return POINT_NAMES.flatMap((point, turn) => {
    const places = allPlaces(spec).filter((place) => place.point === point && !pointRow(point).readOnly);
    return places.length === 0 ? [] : [places[(turn + name.length) % places.length]!];
  });
}

/** An edit that fits a place; operations and selectors take turns with `round`. */
function editAt(spec: ModelSpec, place: Place, round: number): Edit {
  const turn = round % 3;
  const { heads, last } = axisSizes(spec, place);
  const at = place.address;
  if (pointRow(place.point).dtype === "int32") return { at, op: "set", value: lastExperts(spec, place) };
  if (pointRow(place.point).axes.includes("key")) return edgeEdits(at, turn);
  const some = heads === undefined ? {} : { heads: [heads - 1] };
  const evens = Array.from({ length: Math.ceil(last / 2) }, (_, i) => 2 * i);
  if (turn === 0) return { at, op: "scale", by: 0.5, positions: { every: 2 }, units: evens };
  if (turn === 1) return { at, op: "add", vector: wave(last), strength: 0.7, positions: [1, -1], ...some };
  return { at, op: "set", value: 1.25, positions: [0, -2], rows: [0], units: [0, -1].slice(0, last), ...some };
}

function edgeEdits(at: string, turn: number): Edit {
  const corner = { queries: [-1], keys: [-2] };
  if (turn === 0) return { at, op: "scale", by: 0.5, keys: [0] };
  if (turn === 1) return { at, op: "set", value: 0.4, heads: [0], ...corner };
  return at.startsWith("attn_scores") ? { at, op: "knockout", ...corner } : { at, op: "scale", by: -1, heads: [0], queries: [1, -1] };
}

/** Whether a model's weights are mostly zeros by design, so that most edits have nothing to act on. */
function isConstructed(name: string): boolean {
  return name === "induction";
}

/** As many experts as are chosen, from the last one down. */
function lastExperts(spec: ModelSpec, { layer }: Place): number[] {
  const { mlp } = spec.layers[layer!]!;
  if (mlp?.kind !== "experts") throw new Error("no experts here");
  return Array.from({ length: mlp.topK }, (_, i) => mlp.experts.length - 1 - i);
}

/** A vector without symmetry: every element differs. */
function wave(length: number): number[] {
  return Array.from({ length }, (_, i) => Math.sin(1 + i * 1.7) + 0.1);
}

async function forwardWith(model: Model, tokens: Rows, edit: Edit): Promise<ComparedRun> {
  return engineRun(model, { tokens, edits: engineEdits([edit]) });
}

async function failureOf(work: () => Promise<unknown>): Promise<SextantError> {
  const error = await work().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isSextantError(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  return error;
}

/** The reference has NaN behind a row's end, the engine 0. */
function withoutEnds({ shape, data }: Floats): Compared {
  return { shape, data: data.map((value) => (Number.isNaN(value) ? 0 : value)) };
}
