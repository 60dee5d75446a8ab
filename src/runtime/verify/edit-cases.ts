/**
 * @file Edits to check a model under: every kind, on the stream and inside attention, made from the model's spec with a seeded
 * generator and as large as the activations they change. They hold at every other position, of prompt and continuation alike.
 */
import { must } from "../../base/errors.js";
import { orthonormalRows } from "../../base/linear-algebra.js";
import { seededRandom, type Random } from "../../base/random.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { allPlaces, parseAddress } from "../../models/address.js";
import type { PointName } from "../../models/points.js";
import { axisSizes } from "../../models/sizes.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Edit, EditKind } from "../edit.js";
import type { Subject } from "./check.js";

/** Edits of one kind, or none. */
export interface EditCase {
  readonly name: "unedited" | EditKind;
  readonly edits: readonly Edit[];
}

/** The layer that the edits are in: the middle one. */
export function editedLayer({ layers }: ModelSpec): number {
  return Math.floor(layers.length / 2);
}

/** No edit, and then one case a kind. */
export async function editCases(subject: Subject): Promise<EditCase[]> {
  const draw = await drawer(subject);
  const every = { positions: { every: 2 } } as const;
  const head = { ...every, heads: [0] } as const;
  const { point } = draw;
  const middle = point("resid_mid", "attn_out");
  const out = point("mlp_out", "attn_out");
  const kinds: { readonly [K in EditKind]: readonly Edit[] } = {
    set: [
      { at: point("z"), op: "set", value: draw.vector(point("z")), ...head },
      { at: point("attn_out"), op: "set", value: 0, ...every, units: [0] },
    ],
    add: [
      { at: point("resid_post"), op: "add", vector: draw.vector(point("resid_post")), strength: 0.5, ...every },
      { at: point("k"), op: "add", vector: draw.vector(point("k")), ...head },
    ],
    scale: [
      { at: middle, op: "scale", by: -0.5, ...every },
      { at: point("pattern"), op: "scale", by: 0.5, heads: [0] },
    ],
    project_out: [
      { at: point("resid_pre"), op: "project_out", basis: draw.basis(point("resid_pre")), ...every },
      { at: point("q"), op: "project_out", basis: draw.basis(point("q")), ...head },
    ],
    clamp: [
      { at: out, op: "clamp", direction: draw.vector(out), max: -draw.element(out), ...every },
      { at: point("rot_k"), op: "clamp", direction: draw.vector(point("rot_k")), max: -draw.element(point("rot_k")), ...head },
    ],
    interchange: [
      { at: middle, op: "interchange", value: draw.vector(middle), basis: draw.basis(middle), ...every },
      { at: point("v"), op: "interchange", value: draw.vector(point("v")), basis: draw.basis(point("v")), ...head },
    ],
    rotate: [
      { at: point("resid_post"), op: "rotate", plane: draw.basis(point("resid_post")), angle: 120, ...every },
      { at: point("rot_q"), op: "rotate", plane: draw.basis(point("rot_q")), angle: 120, ...head },
    ],
    knockout: [{ at: point("attn_scores"), op: "knockout", heads: [0], keys: [1] }],
  };
  return [{ name: "unedited", edits: [] }, ...Object.entries(kinds).map(([name, edits]) => ({ name: name as EditKind, edits }))];
}

/** Addresses in the edited layer, and random tensors that fit them. */
interface Drawer {
  /** The first of the points that the layer has. */
  readonly point: (...names: readonly PointName[]) => string;
  /** A random direction, as long as the point's vectors are on average. */
  readonly vector: (at: string) => Tensor<Float32Array>;
  /** The size of one element, on average. */
  readonly element: (at: string) => number;
  /** Two orthonormal rows. */
  readonly basis: (at: string) => Tensor<Float32Array>;
}

async function drawer({ model, tokens, options }: Subject): Promise<Drawer> {
  const { spec } = model;
  const layer = editedLayer(spec);
  const random = seededRandom(1);
  const names: readonly PointName[] = ["z", "q", "k", "v", "rot_q", "rot_k", "attn_out", "resid_mid", "mlp_out", "resid_pre", "resid_post"];
  const has = new Set(allPlaces(spec).map(({ address }) => address as string));
  const read = names.map((name) => `${name}.${layer}`).filter((address) => has.has(address));
  const { activations } = await model.forward({ tokens, read, logits: false }, options);
  const widthOf = (at: string): number => axisSizes(spec, parseAddress(spec, at)).last;
  const lengthAt = (at: string): number => lengthOf(must(activations[at], at), widthOf(at));
  return {
    point: (...choices) =>
      must(
        choices.map((name) => `${name}.${layer}`).find((address) => has.has(address)),
        choices.join(" or "),
      ),
    vector(at) {
      const [unit] = orthonormal(random, 1, widthOf(at));
      const length = lengthAt(at);
      return tensor(
        Float32Array.from(must(unit, "a direction"), (value) => value * length),
        [widthOf(at)],
      );
    },
    element: (at) => lengthAt(at) / Math.sqrt(widthOf(at)),
    basis(at) {
      const rows = orthonormal(random, 2, widthOf(at));
      return tensor(Float32Array.from(rows.flatMap((row) => [...row])), [rows.length, widthOf(at)]);
    },
  };
}

/** The vectors' length, as the root of their mean square; 1 where they are all zero. */
function lengthOf({ data }: Tensor, width: number): number {
  let total = 0;
  for (const value of data) total += value * value;
  return Math.sqrt((total * width) / data.length) || 1;
}

function orthonormal(random: Random, count: number, width: number): Float64Array[] {
  const rows = Array.from({ length: count }, () => Float64Array.from({ length: width }, () => random() - 0.5));
  return must(orthonormalRows(rows), "independent rows");
}
