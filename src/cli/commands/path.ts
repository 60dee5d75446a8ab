/** @file `sextant path`: path patching, what a sender says to a receiver directly. */
import { sweepPaths, type GridPathRequest } from "../../analyses/sweeps/grid-sweep.js";
import { makeGrid } from "../../analyses/sweeps/grid.js";
import type { Receiver } from "../../analyses/sweeps/path.js";
import { refuse } from "../../base/errors.js";
import type { PointName } from "../../models/points.js";
import type { ModelSpec } from "../../models/spec.js";
import { defineCommand } from "../command.js";
import { MODEL_ARGUMENT, RUN_OPTIONS, withModel } from "../inputs.js";
import { usage } from "../parse.js";
import { layersInFront, parseReceivers } from "../receivers.js";
import { everyPosition, told } from "../sweep-command.js";
import {
  askedOf,
  axesBy,
  GRID_OPTIONS,
  hasEdges,
  MEASURE_OPTIONS,
  MEMORY_OPTIONS,
  PAIR_CHOICES,
  PAIR_OPTIONS,
  PICTURE_OPTIONS,
  pointOf,
} from "../sweep-options.js";
import { resolvePairs, writtenPairs } from "../sweep-pairs.js";
import { memoryOf } from "../sweep-run.js";
import { counted, indexRanges } from "../wording.js";

const OPTIONS = {
  ...PAIR_OPTIONS,
  from: { type: "text", placeholder: "POINT", meaning: "who speaks: a point inside the layers, such as z, attn_out, mlp_out or resid_pre" },
  by: {
    type: "text",
    placeholder: "LIST",
    meaning: "axes of the senders behind the layer: pos, head, unit; by default the head of points with heads, else pos",
  },
  to: {
    type: "text",
    placeholder: "LIST",
    meaning:
      "who is told: q.LAYER.HEAD, k.LAYER.HEAD, v.LAYER.HEAD, k.LAYER.gGROUP or v.LAYER.gGROUP for all heads that share a key head, mlp.LAYER; or end, the last norm; several of them are told together",
  },
  through: {
    type: "text",
    placeholder: "WHAT",
    choices: ["residual", "mlps"],
    default: "residual",
    meaning: "what may carry the message: the residual stream, or MLPs in between as well",
  },
  noise: { type: "flag", meaning: "let senders say in the clean run what they say in the corrupted one, instead of the other way" },
  ...MEASURE_OPTIONS,
  ...GRID_OPTIONS,
  ...PICTURE_OPTIONS,
  ...MEMORY_OPTIONS,
  ...RUN_OPTIONS,
} as const;

const TOKENS = '--clean-tokens "[0,1,33,11,17,49,58,29,1,34,9,49]" --corrupted-tokens "[0,1,33,11,17,49,57,29,1,34,9,49]"';

export const pathCommand = defineCommand({
  name: "path",
  summary: "Patches paths: what each sender says to a receiver directly (path patching).",
  arguments: [MODEL_ARGUMENT],
  options: OPTIONS,
  oneOf: [["clean", "clean-tokens", "pairs"], ["from"], ["to"]],
  atMostOneOf: PAIR_CHOICES,
  examples: [
    `path models/induction ${TOKENS} --answer-token 58 --wrong-token 57 --from z --to v.1.2`,
    "path MODEL --pairs pairs.jsonl --from attn_out --by pos --positions subject,end --to q.9.6,q.9.9 --through mlps",
  ],
  run(call) {
    const { options } = call;
    const point = pointOf(options.from!, "--from");
    if (hasEdges(point)) throw usage(`--from ${point}: a sender is a value at a position; z is what its edges lead to`);
    const receivers = parseReceivers(options.to!);
    const asked = askedOf(options);
    const by = axesBy(options.by, point);
    const written = writtenPairs(options, { metrics: asked.metrics, corrupted: "senders say what they say in the other run" });
    return withModel(call, async (opened) => {
      const pairs = await resolvePairs(written, opened);
      const { layers, left } = senderLayers(opened.model.spec, { point, receivers, asked: asked.layers });
      const request: GridPathRequest = {
        ...asked,
        ...everyPosition({ ...asked, by }, pairs),
        pairs,
        point,
        by,
        layers,
        receivers,
        through: options.through as "residual" | "mlps",
        direction: options.noise ? "noise" : "denoise",
        beyondContext: options["beyond-context"],
      };
      const { counterfactuals } = makeGrid(opened.model.spec, pairs, request);
      call.say(`${counted(counterfactuals.length, "sender")} in ${counted(pairs.length, "pair")}\n`);
      const start = performance.now();
      const finding = await sweepPaths(opened.model, request, { ...memoryOf(call), signal: call.signal, onProgress: call.onProgress });
      const { edited, effects, raw, grid } = finding;
      const cost = { ...finding.cost, ms: performance.now() - start };
      const out =
        left.length > 0
          ? [`${left.length === 1 ? "layer" : "layers"} ${indexRanges(left)} left out: ${point} is not in front of the receiver there`]
          : [];
      return told(call, {
        found: { grid, edited, effects, raw, cost },
        operation: "path",
        point,
        metrics: asked.metrics,
        pairs,
        tokenizer: await opened.tokenizer(),
        window: asked.window ?? 1,
        more: { json: { to: options.to!.split(",").map((word) => word.trim()), through: options.through, leftOut: left }, lines: out },
      });
    });
  },
});

/** The layers that senders are in, and those asked for in which they are not in front of the receivers. */
function senderLayers(
  spec: ModelSpec,
  { point, receivers, asked }: { point: PointName; receivers: readonly Receiver[]; asked: readonly number[] | undefined },
): { layers: number[]; left: number[] } {
  const { inFront, behind } = layersInFront(spec, { point, receivers });
  const wanted = asked?.map((layer) => (layer < 0 ? layer + spec.layers.length : layer));
  const [layers, left] = wanted
    ? [wanted.filter((layer) => !behind.includes(layer)), wanted.filter((layer) => behind.includes(layer))]
    : [inFront, behind];
  if (layers.length > 0) return { layers, left };
  const instead = "name a receiver in a later layer, or end";
  throw refuse({ what: "there are no such paths", why: `no ${point} is in front of the receiver`, instead }, "request");
}
