/**
 * @file A configuration alone → the spec of a model that is to be trained from scratch, and the shapes of all tensors that its checkpoint
 * will have. The family's own file is asked, of a checkpoint that is taken to hold whatever it asks for; then the two are held against each
 * other as for every model.
 */
import { refuse } from "../base/errors.js";
import { quote } from "../formats/json.js";
import { Config, type Json } from "../models/config.js";
import { FAMILIES, readModelSpec } from "../models/read-spec.js";
import { Source } from "../models/source.js";
import type { ModelSpec, WeightRef } from "../models/spec.js";

/** Families whose files look at tensors to say what a model is made of, or that are mixtures of experts, whose weights nobody begins yet. */
// oxfmt-ignore
const NEED_TENSORS: ReadonlySet<string> = new Set([
  "opt", "bloom", "gemma3", "gemma3_text", "mixtral", "qwen3_moe", "gpt_oss", "hooked_transformer",
]);

/** All `model_type`s that can be begun from a configuration. */
export const PLANNED_MODEL_TYPES: readonly string[] = FAMILIES.flatMap(({ modelTypes }) => modelTypes).filter(
  (type) => !NEED_TENSORS.has(type),
);

/** A model without a checkpoint. */
export interface PlannedModel {
  readonly spec: ModelSpec;
  /** By the name of the tensor, in the order in which the family asks for them. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** The model that a `config.json` describes; `where` is what errors call the file. A setting that is not understood is refused. */
export function planModel(json: Json, where = "config.json"): PlannedModel {
  const type = new Config(json, where).text("model_type", "");
  const family = PLANNED_MODEL_TYPES.includes(type) ? FAMILIES.find(({ modelTypes }) => modelTypes.includes(type)) : undefined;
  if (!family) {
    const what = `cannot begin a model of the family ${quote(type)} described by ${where}`;
    throw refuse({
      what,
      why: `from a configuration alone, the families are ${PLANNED_MODEL_TYPES.join(", ")}`,
      instead: "use one of these",
    });
  }
  const source = new PlannedSource(new Config(json, where));
  family.spec(source);
  const spec = readModelSpec(json, source.shapes, where);
  if (spec.notUnderstood.length > 0) {
    const what = `cannot begin a model from ${where}`;
    const why = `nothing is known of its ${spec.notUnderstood.map(quote).join(", ")}`;
    throw refuse({ what, why, instead: "correct or remove these settings" });
  }
  return { spec, shapes: source.shapes };
}

/** A checkpoint that has every tensor it is asked for, and the biases that some files of a family lack; ties are kept as ties. */
class PlannedSource extends Source {
  readonly shapes = new Map<string, readonly number[]>();

  constructor(config: Config) {
    super(config, new Map());
  }

  override has(name: string): boolean {
    return name.endsWith(".bias");
  }

  override part(ref: WeightRef): WeightRef {
    this.shapes.set(ref.name, ref.stored ?? ref.shape);
    return ref;
  }
}
