/**
 * @file One small configuration a family, with every field that its class has (`test/oracle/configs.py` asks for them), and
 * the tensors that a checkpoint for a configuration must have, found out by asking: what is missing is named with its shape.
 */
import { readFileSync } from "node:fs";
import { isSextantError } from "../../src/base/errors.js";
import { sizeOf } from "../../src/base/tensor.js";
import type { Json } from "../../src/models/config.js";
import { readModelSpec } from "../../src/models/read-spec.js";
import type { ModelSpec } from "../../src/models/spec.js";

const fixture = new URL("../fixtures/configs.json", import.meta.url);

/** The configurations by family. */
export const CONFIGS = JSON.parse(readFileSync(fixture, "utf8")) as Readonly<Record<string, Json>>;

/** Tensors that a family takes when the checkpoint has them. */
const OPTIONAL: Readonly<Record<string, readonly (readonly [name: string, ...shape: number[]])[]>> = {
  gpt2: [0, 1].flatMap((layer) => [
    [`transformer.h.${layer}.attn.c_attn.bias`, 48],
    [`transformer.h.${layer}.mlp.c_proj.bias`, 16],
  ]),
};

export interface Tiny {
  readonly spec: ModelSpec;
  /** Shapes of the tensors of a checkpoint that fits. */
  readonly shapes: Map<string, readonly number[]>;
}

/** A configuration that asks for more has gone wild. */
const MOST_TENSORS = 200;
const MOST_ELEMENTS = 1e7;

/** The spec of a configuration and the checkpoint it asks for. */
export function tiny(config: Json): Tiny {
  const key = JSON.stringify(config);
  const made = known.get(key) ?? askedFor(config);
  known.set(key, made);
  return made;
}

const known = new Map<string, Tiny>();

function askedFor(config: Json): Tiny {
  const shapes = new Map<string, readonly number[]>();
  for (const [name, ...shape] of OPTIONAL[String(config["model_type"])] ?? []) shapes.set(name, shape);
  for (;;) {
    try {
      return { spec: readModelSpec(config, shapes), shapes };
    } catch (error) {
      const [, name, shape] = (isSextantError(error, "weights") && MISSING.exec(error.message)) || [];
      if (name === undefined || shape === undefined) throw error;
      const lengths = shape.split(", ").map(Number);
      if (shapes.size === MOST_TENSORS || sizeOf(lengths) > MOST_ELEMENTS) throw error;
      shapes.set(name, lengths);
    }
  }
}

const MISSING = /the checkpoint has no tensor "(.+)"; .* asks for it with shape \[(.*)\]$/;

/** A family's configuration with some fields set, or taken away where the value is undefined. */
export function changed(family: string, change: Json): Json {
  const config = { ...CONFIGS[family], ...change };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}
