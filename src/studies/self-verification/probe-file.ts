/**
 * @file A verification probe from a file, such as the one that Lee et al. released (`probe.pt`: float32, axes layer, d_model, class; class 0 is `not`, 1 is
 * `this`; no bias, no normalisation), or one that a run of this study kept.
 */
import { refuse } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { quote } from "../../formats/json.js";
import { readSafetensors } from "../../formats/safetensors.js";
import { readTorchFile } from "../../formats/torch-file.js";
import type { ModelSpec } from "../../models/spec.js";

const NAME = "probe";

/**
 * The probe's rows, axes `layer, class, d_model`, of a file of `torch.save` or, by its ending, a safetensors file: its one tensor, or the one called `probe`, as released or in
 * these axes. Refused where it is not of the model's layers and width, or not of finite fractions.
 */
export function readProbeFile(path: string, spec: Pick<ModelSpec, "layers" | "dModel">): Tensor<Float32Array> {
  const tensors = path.endsWith(".safetensors") ? readSafetensors(path) : readTorchFile(path);
  const found = tensors.size === 1 ? [...tensors.values()][0]! : tensors.get(NAME);
  const refusal = (why: string): Error => {
    const instead = `give the tensor [${spec.layers.length}, ${spec.dModel}, 2] alone: a direction for \`not\` and one for \`this\`, by layer`;
    return refuse({ what: `cannot take ${path} as a verification probe`, why, instead }, "request");
  };
  if (!found) throw refusal(`it has ${tensors.size} tensors, none of which is called ${quote(NAME)}`);
  if (!(found.data instanceof Float32Array)) throw refusal("its tensor holds whole numbers");
  if (!found.data.every(Number.isFinite)) throw refusal("not all its values are finite");
  const layers = spec.layers.length;
  const isOf = (...shape: number[]): boolean => found.shape.length === 3 && shape.every((length, axis) => found.shape[axis] === length);
  const axes = ["layer", "class", "d_model"];
  if (isOf(layers, spec.dModel, 2)) return tensor(classesFirst(found.data, spec.dModel), [layers, 2, spec.dModel], axes);
  if (isOf(layers, 2, spec.dModel)) return tensor(found.data, found.shape, axes);
  throw refusal(`its tensor has the shape [${found.shape.join(", ")}]`);
}

/** `layer, d_model, class` as `layer, class, d_model`. */
function classesFirst(data: Float32Array, width: number): Float32Array {
  return Float32Array.from(data, (_, at) => {
    const [layer, label, element] = [Math.floor(at / (2 * width)), Math.floor(at / width) % 2, at % width];
    return data[(layer * width + element) * 2 + label]!;
  });
}
