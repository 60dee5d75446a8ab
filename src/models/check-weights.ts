/** @file Holds a spec against a checkpoint: every weight there with its shape, and nothing left over that would matter. */
import { refuse, SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { quote } from "../formats/json.js";
import type { ModelSpec, WeightRef } from "./spec.js";

/** Buffers that old files carry beside the weights, and towers that text alone does not pass. */
const LEFT_ALONE = [
  /(^|\.)attn\.(attention\.)?(bias|masked_bias)$/,
  /(^|\.)attention\.(bias|masked_bias)$/,
  /(^|\.)attn\.embed_positions$/,
  /inv_freq$/,
  /(^|\.)(lm_head|embed_out)\.weight$/,
  /^(model\.)?(vision_tower|multi_modal_projector)\./,
  /^(blocks\.\d+\.attn\.)?(mask|IGNORE)$/,
];

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Throws when the checkpoint holds weights that the spec has no use for. */
export function checkLeftovers(spec: ModelSpec, shapes: Shapes): void {
  const used = new Set(weightsOf(spec).map(({ name }) => name));
  const left = [...shapes.keys()].filter((name) => !used.has(name) && !LEFT_ALONE.some((pattern) => pattern.test(name)));
  if (left.length === 0) return;
  const shown = left.slice(0, 4).map(quote).join(", ") + (left.length > 4 ? ` and ${left.length - 4} more` : "");
  throw refuse({
    what: `cannot use the checkpoint's ${shown}`,
    why: "config.json describes a model without these tensors, so leaving them out would compute another one",
    instead: "check that configuration and weights belong together",
  });
}

/** Throws unless the checkpoint has the tensor with the shape that is asked for; `where` is the file that asks. */
export function checkWeight({ name, shape, stored, offset = 0 }: WeightRef, shapes: Shapes, where: string): void {
  const actual = shapes.get(name);
  const expected = stored ?? shape;
  const asked = `${where} asks for`;
  if (!actual)
    throw new SextantError("weights", `the checkpoint has no tensor ${quote(name)}; ${asked} it with shape [${expected.join(", ")}]`);
  const same = expected.length === actual.length && expected.every((length, axis) => length === actual[axis]);
  if (!same || offset + sizeOf(shape) > sizeOf(actual)) {
    throw new SextantError("weights", `tensor ${quote(name)} has shape [${actual.join(", ")}], ${asked} [${expected.join(", ")}]`);
  }
}

/** Every weight of the checkpoint that a spec refers to; a tensor read in pieces appears once a piece. What is made of them by quantising is not among them. */
export function weightsOf(spec: ModelSpec): WeightRef[] {
  return refsIn(spec, (part) => ({ ...part, quantised: undefined }));
}

/** Every weight that the model computes with: of a quantised map its blocks and scales, and not what they were made from. */
export function computedWeights(spec: ModelSpec): WeightRef[] {
  return refsIn(spec, (part) => (part["quantised"] === undefined ? part : { ...part, weight: undefined }));
}

function refsIn(spec: ModelSpec, seen: (part: Readonly<Record<string, unknown>>) => object): WeightRef[] {
  const found: WeightRef[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (isWeightRef(value)) found.push(value);
    else for (const part of Object.values(Array.isArray(value) ? value : seen({ ...value }))) visit(part);
  };
  visit(spec);
  return found;
}

function isWeightRef(value: object): value is WeightRef {
  return "name" in value && "shape" in value;
}
