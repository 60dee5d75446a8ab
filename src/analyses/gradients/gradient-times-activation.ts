/** @file Gradient × activation: to first order, what each element of a value adds to a metric, measured from zero. */
import { must } from "../../base/errors.js";
import { tensor, type Tensor } from "../../base/tensor.js";
import { expandAddresses } from "../../models/address.js";
import type { GradientRequest } from "../../runtime/gradient/request.js";
import type { Model, RunOptions } from "../../runtime/model.js";

/** By address: gradient · value, element by element, in the axes of the point; masked scores, which are −∞, count 0. */
export async function gradientTimesActivation(
  model: Model,
  request: Pick<GradientRequest, "tokens" | "of" | "edits" | "beyondContext"> & { readonly at: readonly string[] },
  options: RunOptions = {},
): Promise<{ readonly values: readonly number[]; readonly attributions: Readonly<Record<string, Tensor<Float32Array>>> }> {
  const places = expandAddresses(model.spec, request.at).filter(({ point }) => point !== "logits" && point !== "experts");
  const at = places.map(({ address }) => address);
  const { gradients, activations, values } = await model.gradient({ ...request, at, read: at }, options);
  const attributions = at.map((address) => {
    const [slope, value] = [must(gradients[address], address), must(activations[address], address)];
    const data = slope.data.map((part, i) => (Number.isFinite(value.data[i]) ? part * value.data[i]! : 0));
    return [address, tensor(data, slope.shape, slope.axes)] as const;
  });
  return { values, attributions: Object.fromEntries(attributions) };
}
