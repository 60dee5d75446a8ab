/**
 * @file Integrated gradients (Sundararajan et al. 2017): the gradient along the straight way from a baseline to the value that a run has, times the difference. The parts
 * add up to what the metric gains on that way, but for the error of the sum that stands for the integral, which every result states.
 */
import { must, refuse, SextantError } from "../../base/errors.js";
import { sizeOf, tensor, type Tensor } from "../../base/tensor.js";
import { parseAddress } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import type { Edit } from "../../runtime/edit.js";
import type { Model, RunOptions } from "../../runtime/model.js";
import { repeatMetric, type RowMetric } from "./repeat-metric.js";

export interface IntegratedRequest {
  readonly tokens: readonly (readonly number[])[];
  readonly of: RowMetric;
  /** The address whose value goes along the way. Default `embed`. */
  readonly at?: string;
  /**
   * Where the way begins: zeros, or a value with the axes of the point, such as that of another prompt. Default zeros. In front of a norm zeros are a bad
   * beginning: the norm makes the first piece of the way steep without bound, and the gap says so.
   */
  readonly baseline?: "zero" | Tensor<Float32Array>;
  /** Points on the way. Default 32. */
  readonly steps?: number;
  /** `midpoint`: equal weights in the middle of equal parts. `gauss`: Gauss and Legendre's points, exact for polynomials of degree 2 · steps − 1. Default `gauss`. */
  readonly rule?: "midpoint" | "gauss";
  /** Edits of the run, at other addresses. */
  readonly edits?: readonly Edit[];
  /** Most rows in one run. Default 64. */
  readonly rows?: number;
}

export interface IntegratedResult {
  readonly at: string;
  /** What each element adds; axes of the point. */
  readonly attributions: Tensor<Float32Array>;
  /** The metric of each row with its own value, and at the baseline. */
  readonly values: readonly number[];
  readonly baselines: readonly number[];
  /** Of each row: the sum of its attributions less what the metric gained. 0 for an exact integral. */
  readonly gaps: readonly number[];
}

/** The integrated gradients of a metric at one address. */
export async function integratedGradients(model: Model, request: IntegratedRequest, options: RunOptions = {}): Promise<IntegratedResult> {
  const { tokens, at = "embed", baseline = "zero", edits = [] } = request;
  const nodes = [...nodesOf(request), { place: 0, weight: 0 }, { place: 1, weight: 0 }];
  const { address } = placeOf(model, at);
  const read = await model.forward({ tokens, read: [address], edits, logits: false }, options);
  const own = must(read.activations[address], address) as Tensor<Float32Array>;
  const from = baseline === "zero" ? new Float32Array(own.data.length) : sameShape(baseline, own).data;
  const { sum, ends } = await alongTheWay(model, request, { address, own, from, nodes }, options);
  const data = Float32Array.from(sum, (slope, unit) => slope * (own.data[unit]! - from[unit]!));
  const [values, baselines] = [must(ends.get(1), "the end"), must(ends.get(0), "the beginning")];
  const size = data.length / tokens.length;
  const added = values.map((_, row) => data.subarray(row * size, (row + 1) * size).reduce((total, part) => total + part, 0));
  const gaps = added.map((total, row) => total - (values[row]! - baselines[row]!));
  return { at: address, attributions: tensor(data, own.shape, own.axes), values, baselines, gaps };
}

function nodesOf({ steps = 32, rule = "gauss" }: IntegratedRequest): Node[] {
  if (!Number.isInteger(steps) || steps < 1 || steps > 1024)
    throw new SextantError("request", `steps must be a whole number from 1 to 1024, got ${steps}`);
  return rule === "gauss" ? gaussNodes(steps) : midpoints(steps);
}

interface Way {
  readonly address: string;
  readonly own: Tensor<Float32Array>;
  readonly from: Float32Array;
  readonly nodes: readonly Node[];
}

/** The weighted sum of the slopes, and the metric at both ends. */
async function alongTheWay(
  model: Model,
  { tokens, of, edits = [], rows = 64 }: IntegratedRequest,
  { address, own, from, nodes }: Way,
  options: RunOptions,
): Promise<{ sum: Float64Array; ends: ReadonlyMap<number, readonly number[]> }> {
  const sum = new Float64Array(own.data.length);
  const ends = new Map<number, readonly number[]>();
  const together = Math.max(1, Math.floor(rows / tokens.length));
  for (let first = 0; first < nodes.length; first += together) {
    const part = nodes.slice(first, first + together);
    const held = edits.map((edit) => repeated(edit, tokens.length, part.length));
    const set: Edit = { at: address, op: "set", value: onTheWay(own, from, part) };
    const run = await model.gradient(
      { tokens: part.flatMap(() => tokens), of: repeatMetric(of, part.length), at: [address], edits: [...held, set] },
      options,
    );
    const slopes = must(run.gradients[address], address).data;
    part.forEach(({ place, weight }, i) => {
      for (let unit = 0; unit < sum.length; unit++) sum[unit]! += weight * slopes[i * sum.length + unit]!;
      if (weight === 0) ends.set(place, run.values.slice(i * tokens.length, (i + 1) * tokens.length));
    });
    options.onProgress?.({ stage: "points", done: Math.min(first + together, nodes.length), total: nodes.length });
  }
  return { sum, ends };
}

function placeOf(model: Model, at: string): { address: string } {
  const place = parseAddress(model.spec, at);
  const { axes, dtype, readOnly } = pointRow(place.point);
  if (dtype === "int32" || readOnly || axes.includes("key"))
    throw refuse(
      {
        what: `cannot go along a way at ${place.address}`,
        why: "its values are no vectors that can be set",
        instead: "embed, resid_pre, z or mlp_post",
      },
      "request",
    );
  return place;
}

function sameShape(value: Tensor<Float32Array>, own: Tensor): Tensor<Float32Array> {
  if (value.shape.join() === own.shape.join() && sizeOf(value.shape) === value.data.length) return value;
  throw new SextantError("request", `baseline must have shape [${own.shape.join(", ")}], got [${value.shape.join(", ")}]`);
}

/** The values at some places of the way, one batch behind another. */
function onTheWay(own: Tensor<Float32Array>, from: Float32Array, nodes: readonly { place: number }[]): Tensor<Float32Array> {
  const [batch = 0, ...rest] = own.shape;
  const data = new Float32Array(own.data.length * nodes.length);
  nodes.forEach(({ place }, i) => {
    for (let unit = 0; unit < from.length; unit++) data[i * from.length + unit] = from[unit]! + place * (own.data[unit]! - from[unit]!);
  });
  return tensor(data, [batch * nodes.length, ...rest], own.axes);
}

/** An edit for all copies of the rows; its rows, and values that differ by row, are repeated. */
function repeated(edit: Edit, rows: number, times: number): Edit {
  const chosen = edit.rows?.map((row) => (row < 0 ? row + rows : row));
  const copies = chosen && Array.from({ length: times }, (_, i) => chosen.map((row) => row + i * rows)).flat();
  const value =
    "value" in edit && typeof edit.value === "object" && "axes" in edit.value && edit.value.axes[0] === "batch" ? edit.value : undefined;
  if (!value) return { ...edit, ...(copies && { rows: copies }) };
  const data = new Float32Array(value.data.length * times);
  for (let i = 0; i < times; i++) data.set(value.data, i * value.data.length);
  const [batch = 0, ...rest] = value.shape;
  return { ...edit, value: tensor(data, [batch * times, ...rest], value.axes), ...(copies && { rows: copies }) } as Edit;
}

/** A point on the way, 0 to 1, and what it counts. */
interface Node {
  readonly place: number;
  readonly weight: number;
}

function midpoints(count: number): Node[] {
  return Array.from({ length: count }, (_, i) => ({ place: (i + 0.5) / count, weight: 1 / count }));
}

/** Gauss and Legendre's points on 0 to 1: roots of the Legendre polynomial, found by Newton's method. */
export function gaussNodes(count: number): Node[] {
  return Array.from({ length: count }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let round = 0; round < 100; round++) {
      const [value, before] = legendre(count, x);
      slope = (count * (x * value - before)) / (x * x - 1);
      const step = value / slope;
      x -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    return { place: (1 - x) / 2, weight: 1 / ((1 - x * x) * slope * slope) };
  });
}

/** The Legendre polynomials of degrees n and n − 1 at x. */
function legendre(degree: number, x: number): readonly [number, number] {
  let [value, before] = [x, 1];
  for (let n = 2; n <= degree; n++) [value, before] = [((2 * n - 1) * x * value - (n - 1) * before) / n, value];
  return [value, before];
}
