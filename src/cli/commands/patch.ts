/** @file `sextant patch`: activation patching, ablation and knock-outs over a grid of layers and positions, heads, units or edges. */
import type { PointName } from "../../models/points.js";
import { defineCommand, type OptionValues } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS } from "../inputs.js";
import { parsePositions } from "../lists.js";
import { usage } from "../parse.js";
import { answerGrid, type Question } from "../sweep-command.js";
import {
  askedOf,
  axesBy,
  EDGE_OPTIONS,
  GRID_OPTIONS,
  hasEdges,
  MEASURE_OPTIONS,
  MEMORY_OPTIONS,
  PAIR_CHOICES,
  PAIR_OPTIONS,
  PICTURE_OPTIONS,
  pointOf,
  STATE_OPTIONS,
  type Asked,
} from "../sweep-options.js";
import { writtenPairs } from "../sweep-pairs.js";

const OPTIONS = {
  ...PAIR_OPTIONS,
  point: {
    type: "text",
    placeholder: "POINT",
    meaning: "what is changed: a point inside the layers, such as resid_pre, attn_out or z; or edges, which are cut",
  },
  by: {
    type: "text",
    placeholder: "LIST",
    meaning:
      "axes of the grid behind the layer: pos, head, unit, and query or key of edges; what has no axis is changed all at once; by default head,key of edges, else head or pos",
  },
  noise: { type: "flag", meaning: "put values of the corrupted run into the clean one, instead of the other way" },
  ablate: {
    type: "text",
    placeholder: "WITH",
    choices: ["zero", "mean"],
    meaning: "put zero, or the mean over positions of all clean prompts, into the clean run",
  },
  basis: {
    type: "text",
    placeholder: "FILE",
    meaning: "patch only the subspace that these rows span: .npy, or .safetensors with one tensor, or one for each address",
  },
  ...MEASURE_OPTIONS,
  ...GRID_OPTIONS,
  ...EDGE_OPTIONS,
  ...PICTURE_OPTIONS,
  ...STATE_OPTIONS,
  ...MEMORY_OPTIONS,
  ...RUN_OPTIONS,
} as const;

const PROMPTS =
  '--clean "the cat sat near Mira Hill while the dog saw Mira" --corrupted "the cat sat near Mira Stone while the dog saw Mira"';
const ANSWERS = "--answer Hill --wrong Stone";

export const patchCommand = defineCommand({
  name: "patch",
  summary: "Patches, ablates or cuts a model place by place, and shows where a behaviour comes from.",
  arguments: [MODEL_ARGUMENT],
  options: OPTIONS,
  oneOf: [["clean", "clean-tokens", "pairs"], ["point"]],
  atMostOneOf: [...PAIR_CHOICES, ["noise", "ablate"], ["basis", "ablate"], ["positions", "keys"]],
  examples: [
    `patch models/induction ${PROMPTS} ${ANSWERS} --point resid_pre --by pos --svg map.svg`,
    `patch models/induction --clean-tokens "[0,49,58,49]" --corrupted-tokens "[0,49,57,49]" --answer-token 58 --wrong-token 57 --point z --json`,
    "patch MODEL --pairs pairs.jsonl --point z --by pos,head --positions subject,end --metric logit_diff,kl --state sweep.jsonl",
  ],
  run(call) {
    return answerGrid(call, questionOf(call.options));
  },
});

type Options = OptionValues<typeof OPTIONS>;

function questionOf(options: Options): Question {
  const isCut = options.point === "edges";
  const point: PointName = isCut ? "attn_scores" : pointOf(options.point!, "--point", ["edges"]);
  const asked = askedOf(options);
  const operation = isCut ? "knockout" : ((options.ablate as "zero" | "mean" | undefined) ?? "patch");
  refuseIdle(options, { isCut, isEdges: hasEdges(point) });
  return {
    ...(hasEdges(point) ? edgesOf(options, asked) : asked),
    name: options.point!,
    point,
    by: axesBy(options.by, point),
    operation,
    direction: operation === "patch" && !options.noise ? "denoise" : "noise",
    ...(options.basis !== undefined && { basis: options.basis }),
    pairs: writtenPairs(options, {
      metrics: asked.metrics,
      ...(operation === "patch" && { corrupted: "patching takes values from one run into the other" }),
    }),
  };
}

/** What is asked of edges, whose positions are keys. */
function edgesOf(options: Options, { positions, ...asked }: Asked): Asked & Pick<Question, "queries" | "keys"> {
  const queries = parsePositions(options.queries, "--queries");
  const keys = parsePositions(options.keys, "--keys") ?? positions;
  return { ...asked, ...(queries && { queries }), ...(keys && { keys }) };
}

/** Throws where an option has no effect on such a point. */
function refuseIdle(options: Options, { isCut, isEdges }: { isCut: boolean; isEdges: boolean }): void {
  const idle: readonly (readonly [keyof Options, boolean, string])[] = [
    ["ablate", isCut, "edges are cut, nothing is put in their place"],
    ["basis", isEdges, "edges have no subspace"],
    ["units", isEdges, "edges have no units"],
    ["queries", !isEdges, `${options.point} has positions, not queries`],
    ["keys", !isEdges, `${options.point} has positions, not keys`],
  ];
  const found = idle.find(([name, isIdle]) => isIdle && options[name] !== undefined);
  if (found) throw usage(`--${found[0]} with --point ${options.point}: ${found[2]}`);
}
