/** @file Names of tensors in files of vectors and activations: the addresses that they stand for in every model, and the axes that follow. */
import { isSextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { parseAddress } from "./address.js";
import { fixedForeignName } from "./foreign-names.js";
import { isPointName, pointRow } from "./points.js";
import type { ModelSpec } from "./spec.js";

/**
 * The address that a name stands for whatever the model: our own addresses, names of TransformerLens and nnterp that are one point everywhere,
 * and `direction.N` of a control vector, which is added at `resid_post.N`. Undefined for all others.
 */
export function addressOfName(name: string): string | undefined {
  const [, point = "", layer] = /^([a-z0-9_]+)(?:\.(\d{1,6}))?$/.exec(name) ?? [];
  if (point === "direction" && layer !== undefined) return `resid_post.${Number(layer)}`;
  if (!isPointName(point)) return fixedForeignName(name);
  return (pointRow(point).scope === "layer") === (layer !== undefined) ? name : undefined;
}

/** The address that a name stands for in a model, or why there is none. */
export function addressIn(spec: ModelSpec, name: string): { readonly address: string } | { readonly why: string } {
  try {
    return { address: parseAddress(spec, addressOfName(name) ?? name).address };
  } catch (error) {
    if (!isSextantError(error)) throw error;
    const { refusal, message } = error;
    return {
      why: refusal ? `${refusal.why}${refusal.instead ? `; instead: ${refusal.instead}` : ""}` : message.split("; the points are")[0]!,
    };
  }
}

/** The tensor with the names of its axes, where its name is an address and its rank the point's, one less (no batch), or one (a vector). */
export function withAxes(name: string, value: Tensor): Tensor {
  const point = addressOfName(name)?.split(".")[0] ?? "";
  if (value.axes.length > 0 || !isPointName(point)) return value;
  const { axes } = pointRow(point);
  const rank = value.shape.length;
  const known = rank === axes.length ? axes : rank === axes.length - 1 ? axes.slice(1) : rank === 1 ? axes.slice(-1) : undefined;
  return known ? { ...value, axes: known } : value;
}
