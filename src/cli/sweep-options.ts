/** @file The options of the commands that sweep counterfactuals, in one table each, and what they say once they are read. */
import type { GridAxis, GridPosition } from "../analyses/sweeps/grid.js";
import { isPointName, POINT_NAMES, pointRow, type PointName } from "../models/points.js";
import { METRIC_NAMES } from "../runtime/sweep/metrics.js";
import type { MetricName } from "../runtime/sweep/request.js";
import type { OptionTable, OptionValues } from "./command.js";
import { parseIndices, parsePositions, parseWords } from "./lists.js";
import { nearest, usage } from "./parse.js";

/** The prompts, and the tokens that tell what is measured. */
export const PAIR_OPTIONS = {
  clean: { type: "text", placeholder: "STRING", meaning: "the prompt with the behaviour, encoded as any text is" },
  "clean-tokens": { type: "text", placeholder: "JSON", meaning: "the same as token ids: [1,2,3], or @FILE" },
  corrupted: { type: "text", placeholder: "STRING", meaning: "the prompt without it, best with as many tokens" },
  "corrupted-tokens": { type: "text", placeholder: "JSON", meaning: "the same as token ids: [1,2,3], or @FILE" },
  pairs: {
    type: "text",
    placeholder: "FILE",
    meaning:
      "many pairs instead, one JSON object a line: clean and corrupted (text or ids), answer and wrong (tokens as text or id, or lists of them), positions (by name: an index, a list, the text of a token that occurs once, or one of these each for clean and corrupted)",
  },
  answer: {
    type: "text",
    placeholder: "TOKEN",
    meaning: "the token that the clean prompt should be followed by, set off by a space as one writes it, or #ID",
  },
  "answer-token": { type: "integer", placeholder: "N", meaning: "the same by its id" },
  wrong: { type: "text", placeholder: "TOKEN", meaning: "the token that the corrupted prompt should be followed by, or #ID" },
  "wrong-token": { type: "integer", placeholder: "N", meaning: "the same by its id" },
} as const satisfies OptionTable;

/** Of each group at most one. */
export const PAIR_CHOICES = [
  ["corrupted", "corrupted-tokens"],
  ["answer", "answer-token"],
  ["wrong", "wrong-token"],
] as const;

/** What is measured, and where. */
export const MEASURE_OPTIONS = {
  metric: {
    type: "text",
    placeholder: "LIST",
    default: "logit_diff",
    meaning: `what to measure, the first of them drawn: ${METRIC_NAMES.join(", ")}`,
  },
  at: { type: "text", placeholder: "POSITION", meaning: "the position whose logits are measured, or its name; the last one by default" },
} as const satisfies OptionTable;

/** Which cells a grid has. */
export const GRID_OPTIONS = {
  layers: { type: "text", placeholder: "LIST", meaning: "layers such as 0,3..5,-1; all by default" },
  positions: {
    type: "text",
    placeholder: "LIST",
    meaning: "positions such as 0,-1,3..6 or names of them; all by default, which needs prompts of equal length",
  },
  heads: { type: "text", placeholder: "LIST", meaning: "heads such as 0,3..5; all by default" },
  units: { type: "text", placeholder: "LIST", meaning: "units of the point's last axis; all by default" },
  window: { type: "integer", placeholder: "N", meaning: "change so many layers together, from each layer on" },
} as const satisfies OptionTable;

/** Which edges of attention. */
export const EDGE_OPTIONS = {
  queries: { type: "text", placeholder: "LIST", meaning: "of edges: positions that attend, or their names; the measured one by default" },
  keys: { type: "text", placeholder: "LIST", meaning: "of edges: positions attended to, or their names; all by default" },
} as const satisfies OptionTable;

/** Pictures of what was found. */
export const PICTURE_OPTIONS = {
  svg: { type: "text", placeholder: "FILE", meaning: "also write the map as SVG" },
  png: { type: "text", placeholder: "FILE", meaning: "also write the map as PNG" },
} as const satisfies OptionTable;

/** How much memory to work in, beside the model's weights. */
export const MEMORY_OPTIONS = {
  "work-memory": {
    type: "text",
    placeholder: "SIZE",
    meaning: "work in so much memory, such as 256MiB, beside the weights; less of it makes more and smaller parts",
  },
} as const satisfies OptionTable;

/** Work that can be interrupted. */
export const STATE_OPTIONS = {
  state: {
    type: "text",
    placeholder: "FILE",
    meaning: "keep finished parts here; the same command goes on with them after it was interrupted",
  },
} as const satisfies OptionTable;

/** The options that say what every sweep asks. */
export type AskingValues = OptionValues<typeof MEASURE_OPTIONS & typeof GRID_OPTIONS>;

/** What a sweep measures and which cells it has, as `GridSweepRequest` has it. */
export interface Asked {
  readonly metrics: readonly MetricName[];
  readonly at?: number | string;
  readonly layers?: readonly number[];
  readonly positions?: readonly GridPosition[];
  readonly heads?: readonly number[];
  readonly units?: readonly number[];
  readonly window?: number;
}

/** What those options say. */
export function askedOf(options: AskingValues): Asked {
  const [layers, heads, units] = (["layers", "heads", "units"] as const).map((name) => parseIndices(options[name], `--${name}`));
  const positions = parsePositions(options.positions, "--positions");
  const at = options.at === undefined ? undefined : parsePositions(options.at, "--at");
  if (at && at.length !== 1) throw usage(`--at must be one position, got ${JSON.stringify(options.at)}`);
  return {
    metrics: parseWords(options.metric, "--metric", METRIC_NAMES),
    ...(at && { at: at[0]! }),
    ...(layers && { layers }),
    ...(positions && { positions }),
    ...(heads && { heads }),
    ...(units && { units }),
    ...(options.window !== undefined && { window: options.window }),
  };
}

/** Points that have layers, in forward order. */
const LAYER_POINTS = POINT_NAMES.filter((name) => pointRow(name).scope === "layer");

/** The point that an option names; `more` are other words that it takes. */
export function pointOf(text: string, option: string, more: readonly string[] = []): PointName {
  if (isPointName(text) && pointRow(text).scope === "layer") return text;
  const near = nearest(text, [...more, ...LAYER_POINTS]);
  throw usage(
    `${option} must be one of ${[...more, ...LAYER_POINTS].join(", ")}; got ${JSON.stringify(text)}${near ? `; did you mean ${near}?` : ""}`,
  );
}

/** Whether a point is of edges between a query and a key. */
export function hasEdges(point: PointName): boolean {
  return pointRow(point).axes.includes("key");
}

const AXES = ["layer", "pos", "head", "unit", "query", "key"] as const;

/**
 * The axes behind the layer that `--by` names, `layer` in front being understood and `pos` of edges being the key. By default what the point
 * has: head and key of edges, the head where there are heads, else the position.
 */
export function axesBy(text: string | undefined, point: PointName): GridAxis[] {
  const isEdges = hasEdges(point);
  if (text === undefined) {
    if (isEdges) return ["head", "key"];
    return pointRow(point).axes.some((axis) => axis === "head" || axis === "kv_head") ? ["head"] : ["pos"];
  }
  const words = parseWords(text, "--by", AXES);
  if (words.indexOf("layer") > 0) throw usage(`--by: the layer comes first, got ${JSON.stringify(text)}`);
  const axes = words.filter((word) => word !== "layer").map((word) => (isEdges && word === "pos" ? "key" : word));
  if (new Set(axes).size < axes.length) throw usage(`--by: pos of edges is the key, which is there already, got ${JSON.stringify(text)}`);
  const own: readonly GridAxis[] = isEdges ? ["head", "query", "key"] : ["pos", "head", "unit"];
  const stray = axes.find((axis) => !own.includes(axis));
  if (stray) throw usage(`--by of ${isEdges ? "edges" : point} takes layer, ${own.join(", ")}, got ${JSON.stringify(text)}`);
  return axes;
}
