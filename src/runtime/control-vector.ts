/**
 * @file Vectors from files, and control vectors as edits. A direction of layer N is added to the residual stream behind block N (0 is the first) at every position,
 * which is `resid_post.N`. That is what both programs do that use such files:
 *
 * - repeng 0.4: `ControlModel` wraps `layers[N]` and adds to its output; `read_representations` takes layer N from `hidden_states[N + 1]`.
 * - llama.cpp: `common_control_vector_load_one` puts `direction.N` at row N − 1 of a table that begins with layer 1, `llama_adapter_cvec::apply` gives
 *   layer `il` row `il − 1`, and `build_cvec(cur, il)` adds it behind block `il`'s MLP. Layer 0 has none there: such a file is refused.
 *
 * (`llama-cvector-generator` measures behind block N − 1 what it calls `direction.N`; it is applied behind block N all the same.)
 */
import { refuse, SextantError } from "../base/errors.js";
import { tensor, type Tensor } from "../base/tensor.js";
import { writeControlVector } from "../formats/gguf/control-vector.js";
import { quote } from "../formats/json.js";
import { describeShape } from "../formats/safetensors-header.js";
import { readTensorFile, writeTensors, type TensorFile } from "../formats/tensor-file.js";
import { addressOfName, withAxes } from "../models/tensor-names.js";
import type { Edit } from "./edit.js";

/** Directions by layer, ascending. */
export type Directions = ReadonlyMap<number, Tensor<Float32Array>>;

/** How a control vector is applied. */
export interface ControlOptions {
  /** What the directions are multiplied by, as they are: repeng's have length 1. Default 1. */
  readonly strength?: number;
  /** Only these layers, each of which the file must have; by default all that it has. */
  readonly layers?: readonly number[];
}

/** What a file of vectors or activations holds; axes are named where the tensors' names say which they are. */
export function readVectors(path: string): TensorFile {
  const file = readTensorFile(path);
  return { ...file, tensors: new Map([...file.tensors].map(([name, value]) => [name, withAxes(name, value)])) };
}

/** Writes tensors: a control vector for llama.cpp and repeng where the path ends in `.gguf`, whose model `modelHint` names, else as `writeTensors`. */
export function writeVectors(path: string, tensors: ReadonlyMap<string, Tensor>, modelHint?: string): void {
  if (!/\.gguf$/i.test(path)) return writeTensors(path, Object.fromEntries(tensors));
  const directions = directionsOf(tensors, `cannot write ${path}`);
  if (modelHint === undefined)
    throw refuse(
      { what: `cannot write ${path}`, why: "a control vector names its model", instead: "give the model, or its model_type" },
      "usage",
    );
  writeControlVector(path, modelHint, new Map([...directions].map(([layer, { data }]) => [layer, data])));
}

/** The directions of some layers, under their names; each layer must be there. */
export function onlyLayers(tensors: ReadonlyMap<string, Tensor>, layers: readonly number[], source: string): Map<string, Tensor> {
  const kept = new Map([...tensors].filter(([name]) => layers.includes(layerOfName(name) ?? -1)));
  const there = [...kept.keys()].map(layerOfName);
  const missing = layers.find((layer) => !there.includes(layer));
  if (missing !== undefined) throw new SextantError("request", `${source} has no direction of layer ${missing}`);
  return kept;
}

/** The edits that apply the control vector in a file, or of tensors that were read. */
export function controlVectorEdits(from: string | ReadonlyMap<string, Tensor>, options: ControlOptions = {}): Edit[] {
  const { strength = 1, layers } = options;
  const source = typeof from === "string" ? from : "the control vector";
  if (!Number.isFinite(strength)) throw new SextantError("request", `the strength of a control vector must be a number, got ${strength}`);
  const directions = directionsOf(typeof from === "string" ? readVectors(from).tensors : from, source);
  const chosen = layers ?? [...directions.keys()];
  const missing = chosen.find((layer) => !directions.has(layer));
  if (missing !== undefined)
    throw new SextantError("request", `${source} has no direction of layer ${missing}; it has layers ${[...directions.keys()].join(", ")}`);
  return [...directions]
    .filter(([layer]) => chosen.includes(layer))
    .map(([layer, vector]): Edit => ({ at: `resid_post.${layer}`, op: "add", vector, strength }));
}

/**
 * The directions among tensors: `direction.N`, `resid_post.N`, another framework's name of that, or a layer's number alone, as in a dictionary of repeng or
 * steering-vectors. Vectors of one length; a tensor that is no direction is refused. `source` is what an error calls them.
 */
export function directionsOf(tensors: ReadonlyMap<string, Tensor>, source: string): Directions {
  const found = new Map<number, Tensor<Float32Array>>();
  for (const [name, value] of tensors) {
    const layer = layerOfName(name);
    const fail = (what: string): SextantError => new SextantError("request", `${source}: ${quote(name)} ${what}`);
    if (layer === undefined) throw fail("is no direction of a layer; those are called direction.N, resid_post.N or N");
    if (found.has(layer)) throw fail(`is a second direction of layer ${layer}`);
    found.set(layer, vectorOf(value, fail));
  }
  const widths = new Set([...found.values()].map(({ data }) => data.length));
  if (widths.size > 1) throw new SextantError("request", `${source}: its directions have different lengths, ${[...widths].join(" and ")}`);
  if (found.size === 0) throw new SextantError("request", `${source} has no directions`);
  return new Map([...found].toSorted(([a], [b]) => a - b));
}

/** The layer behind whose block a direction of this name is added; undefined where it names none. */
function layerOfName(name: string): number | undefined {
  const layer = /^(?:resid_post\.)?(\d{1,6})$/.exec(addressOfName(name) ?? name)?.[1];
  return layer === undefined ? undefined : Number(layer);
}

function vectorOf({ data, shape }: Tensor, fail: (what: string) => SextantError): Tensor<Float32Array> {
  const width = shape.at(-1) ?? 0;
  if (!(data instanceof Float32Array)) throw fail("holds whole numbers, a direction is of floats");
  if (width === 0 || width !== data.length) throw fail(`has shape ${describeShape(shape)}, a direction is one vector`);
  if (!data.every(Number.isFinite)) throw fail("holds values that are not finite");
  return tensor(data, [width], ["d_model"]);
}
