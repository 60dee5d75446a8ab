/** @file Gradients by tensors of the checkpoint: pieces that graphs read are summed into the tensors that they are pieces of. */
import { must, SextantError } from "../../base/errors.js";
import { nearestNames } from "../../base/nearest.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { quote } from "../../formats/json.js";
import type { Checkpoint } from "../../formats/checkpoint.js";
import type { Weight } from "../../graph/graph.js";
import { weightsOf } from "../../models/check-weights.js";
import { linearsOf } from "../../models/quantised.js";
import type { ModelSpec } from "../../models/spec.js";

export class ParameterSums {
  readonly #names: ReadonlySet<string>;
  readonly #checkpoint: Checkpoint;
  readonly #sums = new Map<string, Float32Array>();

  /** `asked`: names of tensors, or true for all that the model computes with. */
  constructor(spec: ModelSpec, checkpoint: Checkpoint, asked: readonly string[] | true | undefined) {
    const used = new Map(weightsOf(spec).map((weight) => [weight.name, weight.holds] as const));
    const quantised = new Set(linearsOf(spec).flatMap((linear) => (linear.quantised ? [linear.weight.name] : [])));
    const all = [...used].filter(([name, holds]) => holds !== "bytes" && !quantised.has(name));
    this.#checkpoint = checkpoint;
    this.#names = new Set(asked === true ? all.map(([name]) => name) : (asked ?? []));
    for (const name of this.#names) {
      if (!used.has(name)) {
        const near = nearestNames(name, [...used.keys()]);
        throw new SextantError(
          "request",
          `parameters: the model computes with no tensor ${quote(name)}${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`,
        );
      }
      if (quantised.has(name))
        throw new SextantError(
          "request",
          `parameters: ${quote(name)} is quantised and has no gradient; load the model with float32 weights`,
        );
      if (used.get(name) === "bytes")
        throw new SextantError("request", `parameters: ${quote(name)} holds packed bytes, which have no gradient`);
    }
  }

  get isWanted(): boolean {
    return this.#names.size > 0;
  }

  /** Whether a weight of a graph belongs to a tensor that is wanted. */
  wants(weight: Weight | undefined): boolean {
    return weight !== undefined && this.#names.has(weight.name);
  }

  /** Adds the gradient by a weight to its place in its tensor. */
  add({ name, offset = 0 }: Weight, grad: Float32Array | undefined): void {
    if (!grad) return;
    const known = this.#sums.get(name);
    const sum = known ?? new Float32Array(sizeOf(this.#checkpoint.stored(name).shape));
    if (!known) this.#sums.set(name, sum);
    for (let i = 0; i < grad.length; i++) sum[offset + i]! += grad[i]!;
  }

  /** By name; a tensor that the metric does not depend on has zeros. */
  finish(): Record<string, Tensor<Float32Array>> {
    const named = [...this.#names].map((name) => {
      const { shape } = must(this.#checkpoint.stored(name), name);
      return [name, tensor(this.#sums.get(name) ?? new Float32Array(sizeOf(shape)), shape)] as const;
    });
    return Object.fromEntries(named);
  }
}
