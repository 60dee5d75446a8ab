/**
 * @file How a sweep is done: which cells can change anything, in which parts they are marched through, and what that will cost. The
 * split depends on the request and its budget alone, so that an interrupted sweep goes on with the same parts.
 */
import { must } from "../../base/errors.js";
import { stageOf } from "../../models/address.js";
import { POINT_NAMES } from "../../models/points.js";
import type { ModelSpec } from "../../models/spec.js";
import { blockFlops, outputFlops, projectionFlops, unembedFlops } from "../forecast.js";
import type { PreparedCounterfactual } from "./cells.js";
import type { PreparedPair } from "./pairs.js";
import type { SweepForecast } from "./request.js";
import type { Cell } from "./variants.js";

/** Cells that march together. */
export interface Part {
  readonly cells: readonly Cell[];
  /** First block that any of them changes; −1 for the embedding. */
  readonly from: number;
}

/** Some pairs whose cells are marched together, in one part or, where a pair has more than fit, in several. */
export interface PairGroup {
  readonly pairs: readonly number[];
  readonly parts: readonly Part[];
}

export interface Plan {
  readonly groups: readonly PairGroup[];
  readonly forecast: Omit<SweepForecast, "ms">;
}

export interface PlanRequest {
  readonly spec: ModelSpec;
  readonly pairs: readonly PreparedPair[];
  readonly counterfactuals: readonly PreparedCounterfactual[];
  /** First block that is not run. */
  readonly until: number;
  readonly measuredOnly: boolean;
  /** Whether every logit is needed, not only those of the answers. */
  readonly allLogits: boolean;
  /** Whether cells that cannot change anything are wanted, too, since something is read in every one. */
  readonly keepsUnchanged: boolean;
  /** Bytes to work in. */
  readonly budget: number;
}

/** More rows at once make nothing faster, and parts so long that interrupting them loses much. */
const MOST_ROWS = 8192;
const FLOAT_BYTES = 4;

/** A cell with where its variant begins to differ. */
interface Extent extends Cell {
  readonly layer: number;
  /** Place of its first edit among the points. */
  readonly point: number;
  readonly position: number;
  /** Positions that it changes there. */
  readonly width: number;
  /** Rows once it has passed attention. */
  readonly rows: number;
}

/** The extent of a cell that never differs. */
const UNCHANGED = { layer: Infinity, point: 0, position: 0, width: 0, rows: 0 };

/** The parts of a sweep. */
export function planSweep(request: PlanRequest): Plan {
  const { pairs, counterfactuals } = request;
  const limit = Math.max(64, Math.min(MOST_ROWS, Math.floor(request.budget / bytesPerRow(request.spec))));
  const extents = pairs.map((pair, index) =>
    counterfactuals.flatMap((counterfactual, i) => {
      const cell = { pair: index, counterfactual: i };
      return extentOf(counterfactual, { pair, index, counterfactual: i }) ?? (request.keepsUnchanged ? { ...cell, ...UNCHANGED } : []);
    }),
  );
  const groups: PairGroup[] = [];
  let [open, rows]: [number[], number] = [[], 0];
  const close = (): void => {
    if (open.length > 0) groups.push({ pairs: open, parts: [partOf(open.flatMap((pair) => extents[pair]!))] });
    [open, rows] = [[], 0];
  };
  pairs.forEach((pair, index) => {
    const own = anchorRows(pair) + extents[index]!.reduce((total, extent) => total + extent.rows, 0);
    if (rows + own > limit) close();
    if (own > limit) groups.push({ pairs: [index], parts: split(extents[index]!, limit - anchorRows(pair)) });
    else {
      open.push(index);
      rows += own;
    }
  });
  close();
  return { groups, forecast: forecastOf(request, groups, { extents, limit }) };
}

/** The cells in an order in which those that begin alike stand together. */
function partOf(extents: readonly Extent[]): Part {
  const ordered = extents.toSorted(
    (a, b) => a.pair - b.pair || a.position - b.position || a.layer - b.layer || a.point - b.point || a.width - b.width,
  );
  const cells = ordered.map(({ pair, counterfactual }): Cell => ({ pair, counterfactual }));
  return { cells, from: Math.min(Infinity, ...extents.map(({ layer }) => layer)) };
}

/** Parts of one pair's cells, those that begin in later layers in later parts. */
function split(extents: readonly Extent[], limit: number): Part[] {
  const ordered = extents.toSorted((a, b) => a.layer - b.layer || a.point - b.point || a.position - b.position);
  const parts: Extent[][] = [[]];
  let rows = 0;
  for (const extent of ordered) {
    if (rows > 0 && rows + extent.rows > limit) {
      parts.push([]);
      rows = 0;
    }
    parts.at(-1)!.push(extent);
    rows += extent.rows;
  }
  return parts.map(partOf);
}

/** Where a cell begins to differ; undefined where it cannot differ at all. */
function extentOf(
  { edits }: PreparedCounterfactual,
  { pair, index, counterfactual }: { pair: PreparedPair; index: number; counterfactual: number },
): Extent | undefined {
  const joining = edits.filter(
    ({ change, selected }) => (change.kind === "operation" || change.run === "source") && selected[index]!.positions.length > 0,
  );
  const [first] = joining;
  if (!first) return undefined;
  const position = Math.min(...joining.map(({ selected }) => selected[index]!.positions[0]!));
  return {
    pair: index,
    counterfactual,
    layer: Math.min(...joining.map(({ place }) => stageOf(place))),
    point: POINT_NAMES.indexOf(first.place.point),
    position,
    width: first.selected[index]!.positions.length,
    rows: pair.base.length - position,
  };
}

function anchorRows({ base, source }: PreparedPair): number {
  return base.length + (source?.length ?? 0);
}

/** Layers behind the first in front of which parts of a group start. */
export function startsOf({ parts }: PairGroup, until: number): number[] {
  return parts.length === 1 ? [] : parts.map(({ from }) => from).filter((from) => from > 0 && from < until);
}

/** Bytes that one row takes between links, where most of its values are alive. */
function bytesPerRow({ dModel, layers }: ModelSpec): number {
  const widest = Math.max(
    ...layers.map(
      ({ attention: { heads, kvHeads, dHead }, mlp }) => 4 * (heads + kvHeads) * dHead + (mlp && mlp.kind !== "experts" ? 3 * mlp.dMlp : 0),
    ),
  );
  return FLOAT_BYTES * (8 * dModel + widest);
}

function forecastOf(
  request: PlanRequest,
  groups: readonly PairGroup[],
  { extents, limit }: { extents: readonly (readonly Extent[])[]; limit: number },
): Omit<SweepForecast, "ms"> {
  const { spec, pairs, counterfactuals, until, measuredOnly, allLogits } = request;
  const run = extents.flat().filter(({ rows }) => rows > 0);
  const cells = pairs.length * counterfactuals.length;
  const parts = groups.reduce((total, group) => total + group.parts.length, 0);
  const logits = measuredOnly || until === spec.layers.length ? unembedFlops(spec, allLogits ? spec.vocabOut : 2) : 0;
  const blocks = (pair: PreparedPair, from: number): number =>
    spec.layers.slice(Math.max(0, from), until).reduce((total, layer) => total + blockFlops(layer, pair.base.length / 2), 0);
  const anchors = groups.reduce((total, group) => {
    const starts = startsOf(group, until);
    const last = Math.max(0, ...starts);
    const of = (pair: PreparedPair): number => {
      const parts = group.parts.map(({ from }) => blocks(pair, starts.length === 0 ? 0 : Math.min(from, last)));
      return anchorRows(pair) * (blocks(pair, 0) - blocks(pair, last) + parts.reduce((all, one) => all + one, 0));
    };
    return total + group.pairs.reduce((sum, pair) => sum + of(pairs[pair]!), 0);
  }, 0);
  const full = pairs.map((pair) => pair.base.length * blocks(pair, 0) + logits);
  return {
    cells,
    unchanged: cells - run.length,
    parts,
    flops: anchors + run.reduce((total, extent) => total + cellFlops(request, extent) + logits, 0) + 2 * pairs.length * logits,
    naiveFlops: full.reduce((total, one) => total + one, 0) * counterfactuals.length,
    workingBytes:
      Math.min(limit, pairs.reduce((rows, pair) => rows + anchorRows(pair), 0) + run.reduce((rows, extent) => rows + extent.rows, 0)) *
      bytesPerRow(spec),
  };
}

/** What one cell takes: its rows in each block from the one on that it changes. */
function cellFlops({ spec, pairs, until, measuredOnly }: PlanRequest, extent: Extent): number {
  const keys = must(pairs[extent.pair], "a pair").base.length;
  const isInFront = extent.point < POINT_NAMES.indexOf("attn_scores");
  const isAtEdges = !isInFront && extent.point < POINT_NAMES.indexOf("z");
  let flops = 0;
  for (let layer = Math.max(0, extent.layer); layer < until; layer++) {
    const block = must(spec.layers[layer], `layer ${layer}`);
    const isFirst = layer === extent.layer;
    const isLast = measuredOnly && layer === spec.layers.length - 1;
    const before = isFirst ? (isInFront ? extent.width : 0) : extent.rows;
    const behind = isLast ? 1 : isFirst && !isInFront ? extent.width : extent.rows;
    const attends = isFirst && !isInFront && !isAtEdges ? 0 : behind;
    const { heads, dHead } = block.attention;
    flops += before * projectionFlops(block.attention) + behind * outputFlops(block) + attends * 4 * heads * dHead * keys;
  }
  return flops;
}
