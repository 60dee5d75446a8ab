/**
 * @file Grids of counterfactuals: one for each layer and, as wanted, each position, head, unit, query or key. What is done there is
 * one of a few things:
 *
 * - `patch`: the value of the other run of the pair (activation patching; Vig et al. 2020, Meng et al. 2022), whole or in a subspace
 *   (interchange intervention; Geiger et al. 2021),
 * - `zero`, `mean`: ablation; the mean over a data set is closer to what the model has seen than zero is (Wang et al. 2022),
 * - `knockout`: attention edges are cut before softmax (Geva et al. 2023).
 *
 * When grids mislead: cells are single components, and components back each other up (McGrath et al. 2023), so that neither
 * small effects nor their sum say what a set of them does; a patched value is off the model's usual path where the prompts differ in
 * more than what is studied; and of many cells some look large by chance (`effects.ts`).
 */
import { SextantError } from "../../base/errors.js";
import type { Tensor } from "../../base/tensor.js";
import { allPlaces, type Place } from "../../models/address.js";
import { isPointName, pointRow, type PointName } from "../../models/points.js";
import { axisSizes } from "../../models/sizes.js";
import type { ModelSpec } from "../../models/spec.js";
import type { Values } from "../../runtime/edit.js";
import type { Counterfactual, SweepEdit, SweepPair, SweepSelector } from "../../runtime/sweep/request.js";

/** What a grid has an axis for, besides the layer. */
export type GridAxis = "pos" | "head" | "unit" | "query" | "key";

/** What is done at each place of a grid. */
export type GridOperation =
  | { readonly op: "patch"; readonly basis?: Values | Readonly<Record<string, Values>> }
  | { readonly op: "zero" }
  /** Means by address, as `meanActivations` gives them. */
  | { readonly op: "mean"; readonly means: Readonly<Record<string, Tensor>> }
  | { readonly op: "knockout" };

/** A position, its name, or a named group of several that are changed together. */
export type GridPosition = number | string | { readonly name: string; readonly positions: readonly (number | string)[] };

export interface GridRequest {
  readonly point: PointName;
  /** Axes behind the layer, in their order; what has no axis is changed all at once. */
  readonly by: readonly GridAxis[];
  /** Default: patch. */
  readonly operation?: GridOperation;
  /** Layers (negative from the last); default: all that have the point. */
  readonly layers?: readonly number[];
  /** Layers changed together: each cell reaches from its layer over so many. Default 1. */
  readonly window?: number;
  /** Default: every position, where all prompts have equally many. */
  readonly positions?: readonly GridPosition[];
  readonly heads?: readonly number[];
  readonly units?: readonly number[];
  /** Default: the measured position; where they are an axis, every position as above. */
  readonly queries?: readonly GridPosition[];
  readonly keys?: readonly GridPosition[];
}

/** Counterfactuals that fill a grid, row-major, and what its axes are. */
export interface Grid {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  /** What stands at each index of each axis: a layer, a position or its name, a head … */
  readonly ticks: readonly (readonly (number | string)[])[];
  readonly counterfactuals: readonly Counterfactual[];
}

/** The grid for prompts of these pairs. */
export function makeGrid(spec: ModelSpec, pairs: readonly SweepPair[], request: GridRequest): Grid {
  const { point, by, window = 1 } = request;
  const layers = layersOf(spec, request);
  if (!Number.isInteger(window) || window < 1 || window > layers.length)
    throw new SextantError("request", `window must be a whole number from 1 to ${layers.length}, got ${window}`);
  const starts = layers.slice(0, layers.length - window + 1);
  const axes = axesOf(spec, pairs, { ...request, layers });
  const spots = axes.reduce<SweepSelector[]>(
    (made, axis) => made.flatMap((one) => axis.choices.map((choice) => ({ ...one, ...choice.selector }))),
    [fixedSelector(request)],
  );
  const counterfactuals = starts.flatMap((_, start) =>
    spots.map((selector): Counterfactual => {
      const edits = layers
        .slice(start, start + window)
        .map((layer) => editAt(`${point}.${layer}`, selector, request.operation ?? { op: "patch" }));
      return { edits };
    }),
  );
  return {
    axes: ["layer", ...by],
    shape: [starts.length, ...axes.map(({ choices }) => choices.length)],
    ticks: [starts, ...axes.map(({ choices }) => choices.map(({ tick }) => tick))],
    counterfactuals,
  };
}

/** The layers that have the point, or those of them that are asked for. */
function layersOf(spec: ModelSpec, { point, layers }: GridRequest): number[] {
  if (!isPointName(point))
    throw new SextantError("request", `a grid needs the name of a point such as resid_pre, got ${JSON.stringify(point)}`);
  if (pointRow(point).scope !== "layer")
    throw new SextantError("request", `a grid needs a point inside the layers, ${point} stands outside`);
  const having = allPlaces(spec).flatMap((place: Place) => (place.point === point && place.layer !== undefined ? [place.layer] : []));
  const wanted = layers?.map((layer) => (layer < 0 ? layer + spec.layers.length : layer)) ?? having;
  const stray = wanted.find((layer) => !having.includes(layer));
  if (stray !== undefined || wanted.length === 0)
    throw new SextantError(
      "request",
      `the grid cannot have layer ${stray ?? "none"}: ${point} is in ${having.length > 0 ? `layers ${having.join(", ")}` : "no layer"}`,
    );
  return wanted;
}

interface Choice {
  readonly tick: number | string;
  readonly selector: SweepSelector;
}

function axesOf(
  spec: ModelSpec,
  pairs: readonly SweepPair[],
  request: GridRequest & { layers: readonly number[] },
): { choices: Choice[] }[] {
  const { point, by } = request;
  const isEdges = pointRow(point).axes.includes("key");
  const possible: readonly GridAxis[] = isEdges ? ["head", "query", "key"] : hasHeads(point) ? ["pos", "head", "unit"] : ["pos", "unit"];
  const stray = by.find((axis, i) => !possible.includes(axis) || by.indexOf(axis) !== i);
  if (stray) throw new SextantError("request", `a grid of ${point} can go by ${possible.join(", ")}, each once; got ${by.join(",")}`);
  const idle = (Object.keys(FIELDS) as GridAxis[]).find((axis) => !possible.includes(axis) && request[FIELDS[axis]] !== undefined);
  if (idle)
    throw new SextantError(
      "request",
      `a grid of ${point} takes ${possible.map((axis) => FIELDS[axis]).join(", ")}; it has no ${FIELDS[idle]}`,
    );
  return by.map((axis) => ({ choices: choicesOf(axis, { spec, pairs, request }) }));
}

function hasHeads(point: PointName): boolean {
  const { axes } = pointRow(point);
  return axes.includes("head") || axes.includes("kv_head");
}

function choicesOf(
  axis: GridAxis,
  from: { spec: ModelSpec; pairs: readonly SweepPair[]; request: GridRequest & { layers: readonly number[] } },
): Choice[] {
  const { spec, pairs, request } = from;
  const sizes = request.layers.map((layer) =>
    axisSizes(spec, { point: request.point, layer, address: `${request.point}.${layer}` as Place["address"] }),
  );
  switch (axis) {
    case "head":
      return numbers(
        request.heads,
        fewest(
          sizes.map(({ heads = 0 }) => heads),
          request.heads,
          "heads",
        ),
      ).map((head) => ({ tick: head, selector: { heads: [head] } }));
    case "unit":
      return numbers(
        request.units,
        fewest(
          sizes.map(({ last }) => last),
          request.units,
          "units",
        ),
      ).map((unit) => ({ tick: unit, selector: { units: [unit] } }));
    case "pos":
      return spots(request.positions ?? everyPosition(pairs), FIELDS.pos);
    case "query":
      return spots(request.queries ?? everyPosition(pairs), FIELDS.query);
    case "key":
      return spots(request.keys ?? everyPosition(pairs), FIELDS.key);
  }
}

/** The number of heads or units that all layers have. */
function fewest(counts: readonly number[], given: readonly number[] | undefined, what: string): number {
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (least !== most && !given)
    throw new SextantError("request", `the layers have from ${least} to ${most} ${what}; name those that the grid is for`);
  return least;
}

function numbers(given: readonly number[] | undefined, count: number): readonly number[] {
  return given ?? Array.from({ length: count }, (_, index) => index);
}

function spots(positions: readonly GridPosition[], field: "positions" | "queries" | "keys"): Choice[] {
  return positions.map((position) => {
    const isGroup = typeof position === "object";
    return { tick: isGroup ? position.name : position, selector: { [field]: isGroup ? position.positions : [position] } };
  });
}

function everyPosition(pairs: readonly SweepPair[]): number[] {
  const lengths = pairs.flatMap(({ clean, corrupted }) => [clean.length, ...(corrupted ? [corrupted.length] : [])]);
  const [shortest, longest] = [Math.min(...lengths), Math.max(...lengths)];
  if (shortest !== longest) {
    const why = `the prompts have from ${shortest} to ${longest} tokens, so that position 3 of one is not position 3 of another`;
    throw new SextantError("request", `a grid by position needs positions by name: ${why}`);
  }
  return Array.from({ length: longest }, (_, position) => position);
}

/** Selectors by the axis that they belong to: what a grid has no axis for is selected in every cell alike. */
const FIELDS = { pos: "positions", head: "heads", unit: "units", query: "queries", key: "keys" } as const satisfies Record<
  GridAxis,
  string
>;

function fixedSelector(request: GridRequest): SweepSelector {
  const isEdges = pointRow(request.point).axes.includes("key");
  const axes: readonly GridAxis[] = isEdges ? ["head", "query", "key"] : ["pos", "head", "unit"];
  const fixed = axes.flatMap((axis) => {
    const given: readonly GridPosition[] | undefined = request[FIELDS[axis]] ?? (axis === "query" ? ["end"] : undefined);
    if (request.by.includes(axis) || !given) return [];
    return [[FIELDS[axis], given.flatMap((one) => (typeof one === "object" ? one.positions : [one]))] as const];
  });
  return Object.fromEntries(fixed);
}

function editAt(at: string, selector: SweepSelector, operation: GridOperation): SweepEdit {
  switch (operation.op) {
    case "patch": {
      const { basis } = operation;
      const own = basis === undefined || isValues(basis) ? basis : basis[at];
      if (basis !== undefined && own === undefined) throw new SextantError("request", `the grid needs a basis for ${at}`);
      return { at, op: "patch", ...selector, ...(own && { basis: own }) };
    }
    case "zero":
      return { at, op: "set", value: 0, ...selector };
    case "mean": {
      const value = operation.means[at];
      if (!value) throw new SextantError("request", `the grid needs the mean of ${at}`);
      return { at, op: "set", value: value as Tensor<Float32Array>, ...selector };
    }
    case "knockout":
      return { at, op: "knockout", ...selector };
  }
}

function isValues(basis: Values | Readonly<Record<string, Values>>): basis is Values {
  return Array.isArray(basis) || ("data" in basis && "shape" in basis);
}
