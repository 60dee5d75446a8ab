/** @file Channel scores: both forms against matrices multiplied out, planted heads found, shared value heads, and heads that feed nothing. */
import { describe, expect, test } from "vitest";
import { activationOf } from "../../../src/analyses/mechanism/activation.js";
import { channelScores, type ChannelRequest } from "../../../src/analyses/mechanism/channel-scores.js";
import { activation as reference } from "../../reference/activations.js";
import { numbers, plant, row, SIZES, smallModel, sumOf, type SmallModel } from "./small-weights.js";

const { dModel, dHead } = SIZES;
const UNITS = [{ layer: 1, unit: 3 }, { layer: 1, unit: 4 }, { layer: 3, unit: 39 }] as const; // prettier-ignore
const REQUEST: ChannelRequest = { units: UNITS, seed: 1, draws: 50 };

/** W_V W_O, multiplied out. */
function ovOf({ weights }: SmallModel, layer: number, head: number): number[][] {
  const [value, output] = [weights.value(layer, head), weights.output(layer, head)];
  return Array.from({ length: dModel }, (_, a) =>
    Array.from({ length: dModel }, (_unused, b) =>
      Array.from({ length: dHead }, (_h, h) => value.data[a * dHead + h]! * output.data[h * dModel + b]!).reduce((x, y) => x + y, 0),
    ),
  );
}

function norm(values: readonly number[]): number {
  return Math.sqrt(sumOf(values, values));
}

/** ‖OV rᵀ‖ / (‖OV‖_F ‖r‖). */
function shareOf(ov: readonly number[][], r: readonly number[]): number {
  return norm(ov.map((line) => sumOf(line, r))) / (norm(ov.flat()) * norm(r));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

describe("channelScores", () => {
  test.each([
    { activation: "silu", foldNorm: false },
    { activation: "gelu", foldNorm: true },
    { activation: "relu2", foldNorm: false },
  ])("are what matrices multiplied out give: $activation, foldNorm $foldNorm", async ({ activation, foldNorm }) => {
    const model = smallModel(31, { activation });
    const act = reference(activation);
    const scores = await channelScores(model.weights, model.spec, { ...REQUEST, foldNorm });
    expect(scores).toHaveLength(16);
    for (const { layer, head, diagonal, composition, units } of scores) {
      const ov = ovOf(model, layer, head);
      const channel = ov.map((line, m) => line[m]!);
      const rows = UNITS.map((place) => {
        const factors = foldNorm ? [...model.weights.mlpNorm(place.layer)!.data] : Array.from({ length: dModel }, () => 1);
        const folded = (list: number[]): number[] => list.map((value, i) => value * factors[i]!);
        return {
          gate: folded(row(model.weights.gate(place.layer), place.unit)),
          up: folded(row(model.weights.up(place.layer), place.unit)),
        };
      });
      const released = meanOf(rows.map(({ gate, up }) => act(sumOf(gate, channel)) * sumOf(up, channel)));
      expect(Math.abs(diagonal! - released)).toBeLessThan(1e-9 * (1 + Math.abs(released)));
      expect(composition).toBeCloseTo(meanOf(rows.map(({ gate, up }) => Math.sqrt(shareOf(ov, gate) * shareOf(ov, up)))), 10);
      expect(units).toBe(3);
    }
  });

  test("find a planted head, which alone is far above its baseline; query heads of one group share their values", async () => {
    const model = smallModel(32);
    // Head 2.3 writes one direction, to which two units listen.
    const direction = numbers(dModel, 33);
    for (let h = 0; h < dHead; h++) plant(model.weights.output(2, 3), h, direction.map((value) => value * (h + 1))); // prettier-ignore
    for (const unit of [5, 6]) {
      plant(model.weights.gate(3), unit, direction);
      plant(model.weights.up(3), unit, direction.map((value) => -2 * value)); // prettier-ignore
    }
    const units = [5, 6].map((unit) => ({ layer: 3, unit }));
    const scores = await channelScores(model.weights, model.spec, { ...REQUEST, units });
    const [best, second] = scores.toSorted((a, b) => b.composition! - a.composition!);
    expect(best).toMatchObject({ layer: 2, head: 3 });
    expect(best!.composition).toBeCloseTo(1, 6);
    expect(best!.composition! / best!.baseline).toBeGreaterThan(4);
    expect(second!.composition! / second!.baseline).toBeLessThan(2);
    const pair = (layer: number, head: number): number =>
      scores.find((score) => score.layer === layer && score.head === head)!.composition!;
    expect(pair(0, 0)).not.toBe(pair(0, 1));
    const other = smallModel(32);
    other.weights.output(0, 1).data.set(other.weights.output(0, 0).data);
    const [zero, one] = await channelScores(other.weights, other.spec, { ...REQUEST, heads: [{ layer: 0, head: 0 }, { layer: 0, head: 1 }] }); // prettier-ignore
    expect(one).toEqual({ ...zero, head: 1 });
  });

  test("find nothing between random weights: the scores lie about their baseline, near 1/√d_model", async () => {
    const model = smallModel(34, { dModel: 64, dHead: 16 });
    const units = Array.from({ length: 40 }, (_, unit) => ({ layer: 3, unit }));
    const scores = await channelScores(model.weights, model.spec, { units, seed: 2 });
    for (const { composition, baseline } of scores) {
      expect(composition! / baseline).toBeGreaterThan(0.85);
      expect(composition! / baseline).toBeLessThan(1.15);
      expect(baseline * Math.sqrt(64)).toBeGreaterThan(0.85);
      expect(baseline * Math.sqrt(64)).toBeLessThan(1.05);
    }
  });

  test("of causal heads know only units that come after them: of their own layer too, unless attention and MLP are parallel", async () => {
    const counts = async (wiring: "sequential" | "parallel"): Promise<number[]> => {
      const { weights, spec } = smallModel(35, { wiring });
      const heads = [0, 1, 2, 3].map((layer) => ({ layer, head: 0 }));
      const scores = await channelScores(weights, spec, { ...REQUEST, heads, causal: true });
      const ofOne = await channelScores(weights, spec, { ...REQUEST, heads, units: [UNITS[2]] });
      expect(scores[2]!.diagonal).toBe(ofOne[2]!.diagonal);
      for (const { units, diagonal, composition } of scores)
        expect([diagonal !== undefined, composition !== undefined]).toEqual([units > 0, units > 0]);
      return scores.map(({ units }) => units);
    };
    expect(await counts("sequential")).toEqual([3, 3, 1, 1]);
    expect(await counts("parallel")).toEqual([3, 1, 1, 0]);
  });

  test("a turned stream changes the released score and leaves the composition as it is", async () => {
    const [plain, turned] = [smallModel(36), smallModel(36)];
    // Coordinates 0 and 1 turned by 0.7: rows of d_model coordinates, and of W_V its columns.
    const turn = (data: Float32Array, at: number, step: number): void => {
      const [x, y] = [data[at]!, data[at + step]!];
      [data[at], data[at + step]] = [Math.cos(0.7) * x - Math.sin(0.7) * y, Math.sin(0.7) * x + Math.cos(0.7) * y];
    };
    for (let h = 0; h < dHead; h++) {
      turn(turned.weights.value(1, 2).data, h, dHead);
      turn(turned.weights.output(1, 2).data, h * dModel, 1);
    }
    for (const { layer, unit } of UNITS)
      for (const { data } of [turned.weights.gate(layer), turned.weights.up(layer)]) turn(data, unit * dModel, 1);
    const score = async ({ weights, spec }: SmallModel) =>
      (await channelScores(weights, spec, { ...REQUEST, heads: [{ layer: 1, head: 2 }] }))[0]!;
    const [before, after] = [await score(plain), await score(turned)];
    expect(after.composition).toBeCloseTo(before.composition!, 6);
    expect(Math.abs(after.diagonal! / before.diagonal! - 1)).toBeGreaterThan(0.01);
  });

  test("refuses units that are none, stops when told to", async () => {
    const { weights, spec } = smallModel(37);
    await expect(channelScores(weights, spec, { ...REQUEST, units: [] })).rejects.toThrow("units must name one unit or more");
    await expect(channelScores(weights, spec, { ...REQUEST, units: [{ layer: 0, unit: 40 }] })).rejects.toThrow(
      "unit 40 is not one of the 40",
    );
    await expect(channelScores(weights, spec, { ...REQUEST, draws: 0 })).rejects.toThrow("draws must be a whole number above 0, got 0");
    const stopped = channelScores(weights, spec, REQUEST, { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ kind: "interrupted" });
    const odd = smallModel(38, { activation: "xielu" });
    await expect(channelScores(odd.weights, odd.spec, REQUEST)).rejects.toThrow("cannot compute the activation xielu of single units");
  });
});

describe("activationOf", () => {
  test.each(["silu", "swish", "gelu", "gelu_python", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu", "relu2", "relu6", "leaky_relu", "sigmoid", "tanh", "linear"])("%s is the reference's", (name) => {
    for (const x of [-9, -3, -2.2, -0.5, 0, 1e-3, 0.7, 2.6, 5, 8]) expect(activationOf(name)(x)).toBeCloseTo(reference(name)(x), 8);
  }); // prettier-ignore
});
