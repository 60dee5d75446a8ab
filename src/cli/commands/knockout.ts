/** @file `sextant knockout`: cuts edges of attention in the clean run, and shows which of them a behaviour needs. */
import { defineCommand } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS } from "../inputs.js";
import { parsePositions } from "../lists.js";
import { answerGrid } from "../sweep-command.js";
import {
  askedOf,
  axesBy,
  EDGE_OPTIONS,
  GRID_OPTIONS,
  MEASURE_OPTIONS,
  MEMORY_OPTIONS,
  PAIR_CHOICES,
  PAIR_OPTIONS,
  PICTURE_OPTIONS,
  STATE_OPTIONS,
} from "../sweep-options.js";
import { writtenPairs } from "../sweep-pairs.js";

const { layers, heads, window } = GRID_OPTIONS;

export const knockoutCommand = defineCommand({
  name: "knockout",
  summary: "Cuts edges of attention one by one, and shows which of them a behaviour needs.",
  arguments: [MODEL_ARGUMENT],
  options: {
    ...PAIR_OPTIONS,
    by: {
      type: "text",
      placeholder: "LIST",
      default: "head,key",
      meaning: "axes of the grid behind the layer: head, query, key; what has no axis is cut all at once",
    },
    ...EDGE_OPTIONS,
    layers,
    heads,
    window,
    ...MEASURE_OPTIONS,
    ...PICTURE_OPTIONS,
    ...STATE_OPTIONS,
    ...MEMORY_OPTIONS,
    ...RUN_OPTIONS,
  },
  oneOf: [["clean", "clean-tokens", "pairs"]],
  atMostOneOf: PAIR_CHOICES,
  examples: [
    'knockout models/induction --clean "the cat sat near Mira Hill while the dog saw Mira" --answer Hill --wrong Stone',
    'knockout models/induction --clean "Mira Hill met Anna while Mira" --answer Hill --metric log_prob --by query,key --heads 2 --queries 1..6',
    "knockout MODEL --pairs pairs.jsonl --by key --keys subject,verb --window 5",
  ],
  run(call) {
    const { options } = call;
    const asked = askedOf({ ...options, positions: undefined, units: undefined });
    const [queries, keys] = [parsePositions(options.queries, "--queries"), parsePositions(options.keys, "--keys")];
    return answerGrid(call, {
      ...asked,
      ...(queries && { queries }),
      ...(keys && { keys }),
      name: "edges",
      point: "attn_scores",
      by: axesBy(options.by, "attn_scores"),
      operation: "knockout",
      direction: "noise",
      pairs: writtenPairs(options, { metrics: asked.metrics }),
    });
  },
});
