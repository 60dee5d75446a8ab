/**
 * @file Pairs of prompts and counterfactuals of every kind for any model: patches at every point that can be edited, in the first, middle
 * and last layer; edges; every operation; several edits together; held sublayers. Made with a seeded generator; operations are as large
 * as the activations they change. Positions go by name, so that one counterfactual serves pairs of other lengths.
 */
import { must } from "../../../src/base/errors.js";
import { orthonormalRows } from "../../../src/base/linear-algebra.js";
import { seededRandom, type Random } from "../../../src/base/random.js";
import { sizeOf, tensor, type Tensor } from "../../../src/base/tensor.js";
import { allPlaces, parseAddress, type Place } from "../../../src/models/address.js";
import { pointRow, type PointName } from "../../../src/models/points.js";
import { axisSizes } from "../../../src/models/sizes.js";
import type { ModelSpec } from "../../../src/models/spec.js";
import type { Model } from "../../../src/runtime/model.js";
import type { Counterfactual, SweepEdit, SweepPair, SweepSelector } from "../../../src/runtime/sweep/request.js";

/**
 * A pair of prompts of that length that differ at `diff` and here and there behind it; `seed` also chooses the answers. Positions with
 * names: the first that differs, one in the middle, the last but one.
 */
export function randomPair({ vocab, vocabOut }: ModelSpec, made: { length: number; diff: number; seed: number }): Required<SweepPair> {
  const { length, diff, seed } = made;
  const random = seededRandom(seed, 7);
  const draw = (below: number): number => Math.floor(random() * below);
  const clean = Array.from({ length }, () => draw(vocab));
  const other = (token: number): number => (token + 1 + draw(vocab - 1)) % vocab;
  const corrupted = clean.map((token, i) => (i === diff || (i > diff && random() < 0.4) ? other(token) : token));
  const answer = draw(vocabOut);
  const wrong = vocabOut > 3 ? [(answer + 1) % vocabOut, (answer + 3) % vocabOut] : [(answer + 1) % vocabOut];
  return { clean, corrupted, answer, wrong, positions: { diff, mid: Math.floor(length / 2), prev: length - 2 } };
}

/** Two pairs of other lengths, as long as the model allows: one shares a prefix, the other differs from its first token on. */
export function pairsFor(spec: ModelSpec, seed: number): Required<SweepPair>[] {
  const most = Math.min(spec.context?.length ?? Infinity, 11);
  const lengths = [Math.min(most, 8 + (seed % 4)), Math.min(most, 7 + (seed % 3))] as const;
  return [
    randomPair(spec, { length: lengths[0], diff: Math.min(3, lengths[0] - 2), seed }),
    randomPair(spec, { length: lengths[1], diff: 0, seed: seed + 1000 }),
  ];
}

/** The layers that are tested: first, middle, last. */
function layersOf({ layers }: ModelSpec): number[] {
  const last = layers.length - 1;
  return [...new Set([0, Math.floor(last / 2 + 0.5), last])];
}

/** The places that can be edited, in those layers and outside of all. */
function placesOf(spec: ModelSpec): Place[] {
  const layers = layersOf(spec);
  return allPlaces(spec).filter(({ point, layer }) => !pointRow(point).readOnly && (layer === undefined || layers.includes(layer)));
}

const isEdges = ({ point }: Place): boolean => pointRow(point).axes.includes("key");

/**
 * Patches at every place: where the prompts first differ, everywhere, in the middle or at the end, by heads, by units; half of these
 * between the ends.
 */
function patches(spec: ModelSpec): Counterfactual[] {
  return placesOf(spec)
    .filter((place) => !isEdges(place))
    .flatMap((place, i) => {
      const { heads, last } = axisSizes(spec, place);
      const selections: SweepSelector[] = [
        { positions: ["diff"] },
        {},
        i % 2 === 0 ? { positions: ["mid"] } : { positions: ["end", 1] },
        ...(heads === undefined ? [] : [{ heads: [heads - 1], positions: ["diff", "end"] }]),
        ...(last > 1 && pointRow(place.point).dtype !== "int32"
          ? [{ units: [0, last - 1], ...(heads !== undefined && { heads: [0] }) }]
          : []),
      ];
      const isBetween = (place.layer ?? 0) % (spec.layers.length - 1 || 1) !== 0;
      return selections
        .filter((_, which) => !isBetween || (which + i) % 2 === 0)
        .map((where) => single({ at: place.address, op: "patch", ...where }));
    });
}

/** Patches of scores and patterns: whole, by head, by query, by key; and scaled and set ones. */
function edgePatches(spec: ModelSpec): Counterfactual[] {
  return placesOf(spec)
    .filter(isEdges)
    .flatMap(({ address: at, layer, point }) => {
      const head = must(spec.layers[must(layer, "a layer")], "the layer").attention.heads - 1;
      const wheres: SweepSelector[] = [
        {},
        { heads: [head] },
        { queries: ["end"] },
        { heads: [0], queries: ["mid"] },
        { keys: ["diff"] },
        { heads: [head], queries: ["end", "prev"], keys: ["end", "prev"] },
      ];
      const size = point === "pattern" ? 0.25 : 0.5;
      return [
        ...wheres.map((where) => single({ at, op: "patch", ...where })),
        single({ at, op: "scale", by: -0.5, queries: ["mid", "end"] }),
        single({ at, op: "set", value: size, heads: [0], keys: ["diff", "end"] }),
      ];
    });
}

/** Edges cut: of the last query, of an earlier one, of all queries of a head, of one key. */
function knockouts(spec: ModelSpec): Counterfactual[] {
  return layersOf(spec).flatMap((layer) => {
    const at = `attn_scores.${layer}`;
    const head = must(spec.layers[layer], "the layer").attention.heads - 1;
    const wheres: SweepSelector[] = [
      { heads: [0], queries: ["end"], keys: ["prev"] },
      { queries: ["end"], keys: ["diff", "prev"] },
      { heads: [head], queries: ["mid"], keys: ["mid"] },
      { heads: [head], keys: [1] },
      { queries: ["end"], keys: [0, 1, "prev"] },
      { queries: ["mid", "end"], keys: ["mid"] },
    ];
    return wheres.map((where) => single({ at, op: "knockout", ...where }));
  });
}

function single(edit: SweepEdit): Counterfactual {
  return { edits: [edit] };
}

/** Random tensors that fit a model's addresses. */
interface Drawer {
  /** Whether the model has a place, by its address. */
  readonly has: (at: string) => boolean;
  /** The first of the points that a layer has, with the layer. */
  readonly point: (layer: number, ...names: readonly PointName[]) => string;
  /** A direction as long as the place's vectors are on average. */
  readonly vector: (at: string) => Tensor<Float32Array>;
  /** Two orthonormal rows. */
  readonly basis: (at: string) => Tensor<Float32Array>;
  /** Noise as large as the place's values, in the shape given. */
  readonly noise: (at: string, shape: readonly number[]) => Tensor<Float32Array>;
}

/** A drawer for a model, which measures lengths on one prompt. */
async function drawerFor(model: Model, prompt: readonly number[], seed: number): Promise<Drawer> {
  const { spec } = model;
  const random = seededRandom(seed, 3);
  const places = allPlaces(spec).filter(({ point }) => point !== "logits" && !pointRow(point).axes.includes("key"));
  const { activations } = await model.forward({ tokens: [prompt], read: places.map(({ address }) => address), logits: false });
  const has = new Set<string>(allPlaces(spec).map(({ address }) => address));
  const widthOf = (at: string): number => axisSizes(spec, parseAddress(spec, at)).last;
  const sizeAt = (at: string): number => rootMeanSquare(must(activations[at], at));
  return {
    has: (at) => has.has(at),
    point: (layer, ...names) =>
      must(
        names.map((name) => `${name}.${layer}`).find((at) => has.has(at)),
        names.join(" or "),
      ),
    vector(at) {
      const width = widthOf(at);
      const [unit] = orthonormal(random, 1, width);
      const length = sizeAt(at) * Math.sqrt(width);
      return tensor(
        Float32Array.from(must(unit, "a direction"), (value) => value * length),
        [width],
      );
    },
    basis: (at) => tensor(Float32Array.from(orthonormal(random, 2, widthOf(at)).flatMap((row) => [...row])), [2, widthOf(at)]),
    noise: (at, shape) =>
      tensor(
        Float32Array.from({ length: sizeOf(shape) }, () => (random() * 2 - 1) * sizeAt(at)),
        shape,
      ),
  };
}

function rootMeanSquare({ data }: Tensor): number {
  let total = 0;
  for (const value of data) total += value * value;
  return Math.sqrt(total / data.length) || 1;
}

function orthonormal(random: Random, count: number, width: number): Float64Array[] {
  return must(orthonormalRows(Array.from({ length: count }, () => Float64Array.from({ length: width }, () => random() - 0.5))), "rows");
}

/**
 * Every operation, on the stream and inside attention, and patches in a subspace, in one layer that the seed chooses. `pairs`: how many
 * there are.
 */
function operations({ spec }: Model, draw: Drawer, options: { pairs: number; seed: number }): Counterfactual[] {
  const { pairs, seed } = options;
  const layers = layersOf(spec).filter((_, i, all) => i === seed % all.length);
  const { dModel } = spec;
  return layers.flatMap((layer) => {
    const point = (...names: readonly PointName[]): string => draw.point(layer, ...names);
    const { attention } = must(spec.layers[layer], "the layer");
    const [pre, post, middle, out] = [
      point("resid_pre"),
      point("resid_post"),
      point("resid_mid", "attn_out"),
      point("mlp_out", "attn_out"),
    ];
    const [q, k, v, z] = [point("q"), point("rot_k"), point("v"), point("z")];
    const heads = [attention.heads - 1];
    const edits: SweepEdit[] = [
      { at: post, op: "set", value: 0, positions: ["diff"] },
      { at: out, op: "set", value: 0 },
      { at: z, op: "set", value: 0, heads },
      { at: pre, op: "set", value: draw.vector(pre), positions: ["mid"] },
      { at: z, op: "set", value: draw.noise(z, [attention.heads, attention.dHead]), positions: ["prev", "end"] },
      { at: out, op: "set", value: draw.noise(out, [pairs, 12, dModel]), positions: { every: 2 } },
      { at: post, op: "add", vector: draw.vector(post), strength: 0.5, positions: ["end"] },
      { at: v, op: "add", vector: draw.vector(v), heads: [0], positions: ["diff", "mid"] },
      { at: middle, op: "scale", by: -0.5, positions: { every: 3, from: 1 } },
      { at: k, op: "scale", by: 2, units: [0, 3] },
      { at: pre, op: "project_out", basis: draw.basis(pre), positions: ["mid", "end"] },
      { at: q, op: "clamp", direction: draw.vector(q), min: -0.1, max: 0.1, heads },
      { at: middle, op: "interchange", value: draw.vector(middle), basis: draw.basis(middle), positions: { every: 2, from: -4 } },
      { at: v, op: "interchange", value: draw.vector(v), basis: draw.basis(v), positions: [-1, -2] },
      { at: post, op: "rotate", plane: draw.basis(post), angle: 120, positions: ["mid"] },
      { at: z, op: "rotate", plane: draw.basis(z), angle: -70, heads: [0] },
      { at: post, op: "patch", basis: draw.basis(post), positions: ["diff"] },
      { at: z, op: "patch", basis: draw.basis(z), heads },
      { at: q, op: "patch", basis: draw.basis(q), positions: ["end"] },
    ];
    return edits.map(single);
  });
}

/** Several edits in one run: in several layers, at several positions, of several points of one layer, edits of edited values, and restored ones. */
function combinations({ spec }: Model, draw: Drawer, seed: number): Counterfactual[] {
  const [first, last] = [0, spec.layers.length - 1];
  const patch = (at: string, where: Partial<SweepSelector> & { run?: "base" } = {}): SweepEdit => ({ at, op: "patch", ...where });
  const lists: SweepEdit[][] = [seed % 4 < 2 ? first : last].flatMap((layer): SweepEdit[][] => {
    const [pre, post, out] = [`resid_pre.${layer}`, `resid_post.${layer}`, draw.point(layer, "mlp_out", "attn_out")];
    const [scores, pattern, z] = [`attn_scores.${layer}`, `pattern.${layer}`, `z.${layer}`];
    return [
      [patch(`q.${layer}`, { positions: ["end"] }), patch(`v.${layer}`, { positions: ["diff"], heads: [0] })],
      [patch(scores, { heads: [0] }), patch(pattern, { queries: ["end"] })],
      [
        { at: scores, op: "knockout", queries: ["end"], keys: ["prev"] },
        patch(`k.${layer}`, { positions: ["mid"] }),
        patch(z, { positions: ["diff"] }),
      ],
      [
        patch(z, { heads: [0], positions: ["mid"] }),
        patch(`attn_out.${layer}`, { positions: ["end"] }),
        patch(out, { units: [1], positions: ["prev"] }),
      ],
      [
        patch(`head_out.${layer}`, { heads: [0] }),
        { at: z, op: "scale", by: 0.5 },
        { at: pre, op: "add", vector: draw.vector(pre), positions: ["prev"] },
      ],
      [
        { at: post, op: "add", vector: draw.vector(post), positions: ["mid"] },
        { at: post, op: "scale", by: 0.5, positions: ["mid", "end"] },
      ],
      [{ at: post, op: "scale", by: 2, positions: ["diff", "mid"] }, patch(post, { positions: ["mid", "end"] })],
    ];
  });
  const [start, end] = ["resid_pre.0", `resid_post.${last}`];
  const across: SweepEdit[][] = [
    [patch(start, { positions: ["diff"] }), patch(end, { positions: ["end"] })],
    [patch(start, { positions: ["mid"] }), patch(`attn_out.${last}`, { positions: ["end"] }), patch(`rot_q.${first}`, { heads: [0] })],
    [patch(start), patch(`attn_out.${first}`, { run: "base", positions: ["diff", "mid"] })],
    [patch(start), patch(`resid_post.${first}`, { run: "base", positions: ["diff", "prev"] })],
    [
      patch(start, { positions: ["diff"] }),
      patch(`pattern.${first}`, { run: "base", queries: ["end"] }),
      patch(`v.${last}`, { run: "base", positions: ["diff"] }),
    ],
    [patch(start), patch(`attn_scores.${last}`, { run: "base" })],
    [patch(start), patch(`z.${last}`, { run: "base", heads: [0] })],
    [patch(start), { at: `resid_post.${first}`, op: "patch", run: "base", basis: draw.basis(`resid_post.${first}`) }],
    // Where the prompts are still alike a patch restores what an earlier edit of the same run changed.
    [{ at: start, op: "scale", by: 0.5, positions: [0, 1] }, patch(`resid_post.${first}`, { positions: [0, 1] })],
    [
      { at: start, op: "add", vector: draw.vector(start), positions: [0] },
      patch(`attn_out.${last}`),
      patch(`pattern.${first}`, { heads: [0] }),
    ],
  ];
  return [...lists, ...across].map((edits) => ({ edits }));
}

/** Held sublayers: direct paths, attention alone, MLPs alone, patterns, norms. */
function held({ spec }: Model, draw: Drawer): Counterfactual[] {
  const layers = [...spec.layers.keys()];
  const has = (at: string): boolean => draw.has(at);
  const behind = (point: PointName, from: number): string[] =>
    layers
      .filter((layer) => layer >= from)
      .map((layer) => `${point}.${layer}`)
      .filter(has);
  const all = (from: number): string[] => [...behind("attn_out", from), ...behind("mlp_out", from)];
  const sender = (layer: number): SweepEdit => ({ at: `z.${layer}`, op: "patch", heads: [0] });
  const start: SweepEdit = { at: "resid_pre.0", op: "patch" };
  const last = layers.length - 1;
  const scales = [...behind("ln1_scale", 0), ...behind("ln2_scale", 0), ...(has("final_scale") ? ["final_scale"] : [])];
  const list: Required<Counterfactual>[] = [
    { edits: [sender(0)], freeze: [...behind("attn_out", 1), ...behind("mlp_out", 0)] },
    { edits: [{ ...sender(0), positions: ["diff", "mid"] }], freeze: [...behind("mlp_out", 0), ...behind("attn_out", 1)] },
    { edits: [{ at: "resid_post.0", op: "patch", positions: ["mid", "end"] }], freeze: all(1) },
    { edits: [start], freeze: all(0) },
    { edits: [{ at: "resid_pre.0", op: "patch", positions: ["end"] }], freeze: all(0) },
    { edits: [start], freeze: behind("attn_out", 0) },
    { edits: [start], freeze: behind("attn_out", last) },
    { edits: [start], freeze: [...behind("attn_out", 0), ...behind("mlp_out", last)] },
    { edits: [sender(0)], freeze: behind("attn_out", 1) },
    { edits: [start], freeze: behind("pattern", 0) },
    { edits: [start, sender(last)], freeze: behind("attn_scores", 0) },
    ...(has("mlp_out.0") ? [{ edits: [start], freeze: behind("mlp_out", 0) }] : []),
    ...(scales.length > 0 ? [{ edits: [start], freeze: scales }] : []),
    // A receiver behind held sublayers: what a path patch hands on.
    { edits: [sender(0), { at: `q.${last}`, op: "patch", run: "base", heads: [0] }], freeze: all(1) },
    // Edits within what is held: it stays held.
    ...[Math.min(1, last), last].map((layer): Required<Counterfactual> => ({
      edits: [start, { at: `attn_out.${layer}`, op: "scale", by: 2, positions: ["mid", "end"] }],
      freeze: all(0),
    })),
    { edits: [start, { at: `z.${last}`, op: "set", value: 0 }], freeze: all(last) },
  ];
  return list.filter(({ freeze }) => freeze.length > 0);
}

/** Counterfactuals of every kind. */
export async function everyKind(model: Model, pairs: readonly SweepPair[], seed: number): Promise<Counterfactual[]> {
  const draw = await drawerFor(model, must(pairs[0], "a pair").clean, seed);
  const { spec } = model;
  return [
    ...patches(spec),
    ...edgePatches(spec),
    ...knockouts(spec),
    ...operations(model, draw, { pairs: pairs.length, seed }),
    ...combinations(model, draw, seed),
    ...held(model, draw),
  ];
}
