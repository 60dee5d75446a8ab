/**
 * @file A configuration alone → the spec of a model that is to be trained from scratch, and the shapes of all tensors that its checkpoint
 * will have. The family's own file is asked, of a checkpoint that is taken to hold whatever it asks for; then the two are held against each
 * other as for every model.
 */
import { refuse } from "../base/errors.js";
import { quote } from "../formats/json.js";
import { gemma } from "../models/architectures/gemma.js";
import { gemma2 } from "../models/architectures/gemma2.js";
import { gptNeo } from "../models/architectures/gpt-neo.js";
import { gptNeox } from "../models/architectures/gpt-neox.js";
import { gpt2 } from "../models/architectures/gpt2.js";
import { gptj } from "../models/architectures/gptj.js";
import { granite } from "../models/architectures/granite.js";
import { llama } from "../models/architectures/llama.js";
import { mistral } from "../models/architectures/mistral.js";
import { olmo2 } from "../models/architectures/olmo2.js";
import { phi } from "../models/architectures/phi.js";
import { phi3 } from "../models/architectures/phi3.js";
import { qwen2 } from "../models/architectures/qwen2.js";
import { qwen3 } from "../models/architectures/qwen3.js";
import { smollm3 } from "../models/architectures/smollm3.js";
import { Config, type Json } from "../models/config.js";
import type { Family } from "../models/family.js";
import { readModelSpec } from "../models/read-spec.js";
import { Source } from "../models/source.js";
import type { ModelSpec, WeightRef } from "../models/spec.js";

/** Dense families whose tensors follow from the configuration. */
// oxfmt-ignore
const FAMILIES: readonly Family[] = [
  gpt2, gptNeo, gptj, gptNeox, phi, llama, mistral, qwen2, qwen3, gemma, gemma2, phi3, olmo2, smollm3, granite,
];

/** All `model_type`s that can be begun from a configuration. */
export const PLANNED_MODEL_TYPES: readonly string[] = FAMILIES.flatMap((family) => family.modelTypes);

/** A model without a checkpoint. */
export interface PlannedModel {
  readonly spec: ModelSpec;
  /** By the name of the tensor, in the order in which the family asks for them. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** The model that a `config.json` describes; `where` is what errors call the file. A setting that is not understood is refused. */
export function planModel(json: Json, where = "config.json"): PlannedModel {
  const type = new Config(json, where).text("model_type", "");
  const family = FAMILIES.find(({ modelTypes }) => modelTypes.includes(type));
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
