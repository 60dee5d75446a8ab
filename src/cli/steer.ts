/** @file `--steer FILE@layer×strength`: a vector from a file, added to the residual stream after a layer. */
import { SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import type { ScheduledEdit } from "../runtime/edit.js";
import { readVectors } from "./inputs.js";
import { usage } from "./parse.js";

/** Where the vector is and how it is added. */
interface Steering {
  readonly file: string;
  /** The tensor's name, where the file has several. */
  readonly name?: string;
  readonly layer: number;
  readonly strength: number;
}

/** The parts of `FILE[#NAME]@LAYER[×STRENGTH]`; `x` and `*` do for `×`, the strength is 1 when it is not given. */
function parseSteering(text: string): Steering {
  const [, where = "", layer = "", strength = "1"] = /^(.+)@(\d+)(?:[×x*]([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))?$/i.exec(text) ?? [];
  if (where === "") throw usage(`--steer must be FILE@LAYER×STRENGTH or FILE#NAME@LAYER×STRENGTH, got ${JSON.stringify(text)}`);
  const hash = where.lastIndexOf("#");
  const place = { layer: Number(layer), strength: Number(strength) };
  return hash > 0 ? { file: where.slice(0, hash), name: where.slice(hash + 1), ...place } : { file: where, ...place };
}

/** The edit that adds the vector. */
export async function steeringEdit(text: string): Promise<ScheduledEdit> {
  const { file, name, layer, strength } = parseSteering(text);
  const vector = await readVector(file, name);
  if (vector.data instanceof Int32Array)
    throw new SextantError("request", `${file} holds whole numbers, steering needs a vector of floats`);
  return { at: `resid_post.${layer}`, op: "add", vector: vector as Tensor<Float32Array>, strength };
}

async function readVector(file: string, name: string | undefined): Promise<Tensor> {
  const vectors = await readVectors(file);
  const chosen = name ?? (vectors.size === 1 ? [...vectors.keys()][0]! : undefined);
  const found = chosen === undefined ? undefined : vectors.get(chosen);
  if (found) return found;
  const names = [...vectors.keys()].join(", ");
  throw new SextantError(
    "request",
    `${file} has ${chosen === undefined ? "several tensors" : `no tensor ${JSON.stringify(chosen)}`}: name one of ${names} with ${file}#NAME@…`,
  );
}
