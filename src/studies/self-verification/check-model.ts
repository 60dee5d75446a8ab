/** @file Which models the study can be of. */
import { refuse } from "../../base/errors.js";
import type { ModelSpec } from "../../models/spec.js";

/** Refuses a model that has other than gated MLPs somewhere: steps after hours of work would find no gate, or no units at all. */
export function checkModel({ layers, family }: Pick<ModelSpec, "layers" | "family">): void {
  const layer = layers.findIndex(({ mlp }) => mlp?.kind !== "gated");
  if (layer < 0) return;
  const kind = layers[layer]!.mlp?.kind;
  const has = kind === undefined ? "no MLP" : kind === "experts" ? "a mixture of experts" : "an MLP without gates";
  throw refuse(
    {
      what: `cannot study self-verification in this model (${family})`,
      why: `layer ${layer} has ${has}, and the study is of units with a gate, an input and a value vector`,
      instead: "take one whose layers all have a gated MLP, or use its methods one by one (probes, steering, heads)",
    },
    "request",
  );
}
