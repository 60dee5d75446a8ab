/**
 * @file Masks on components. DCM (desiderata-based component masking: De Cao et al. 2020; Davies et al. 2023; the settings of Prakash et al.
 * 2025, "Language Models use Lookbacks to Track Beliefs"): the mask itself, kept in 0 … 1, exchanged by its square. DBM (differentiable binary masks: Csordás et al.
 * 2021; the temperature as in boundless DAS, Wu et al. 2023, arXiv 2305.08809): sigmoid(θ / T), T falling.
 */
import { normalNumbers } from "../../base/draws.js";
import { seededRandom } from "../../base/random.js";
import { makeAdam } from "../../base/adam.js";
import type { Components } from "./components.js";
import type { Learner, Settled } from "./learner.js";

/** Deviation of θ / T at the start of DBM, so that masks begin near ½. */
const START = 0.01;

/** A subspace of whole components. */
export function chosenComponents(components: Components, isChosen: (i: number) => boolean): Settled {
  const weights = Float64Array.from({ length: components.count }, (_, i) => (isChosen(i) ? 1 : 0));
  const selected = components.names.filter((_, i) => weights[i] === 1);
  const rows = components.rows?.filter((_, i) => weights[i] === 1);
  return {
    rank: selected.length * components.size,
    change: (difference) => components.move(weights, difference),
    penalty: 0,
    selected,
    ...(rows && { rows }),
  };
}

/** A mask that is clamped to 0 … 1 after each step; all ones at the start. */
export function clampedMask(
  components: Components,
  { learningRate, l1, squared }: { learningRate: number; l1: number; squared: boolean },
): Learner {
  const mask = new Float64Array(components.count).fill(1);
  const gradient = new Float64Array(components.count);
  const adam = makeAdam(components.count);
  const weights = (): Float64Array => (squared ? mask.map((m) => m * m) : mask);
  return {
    change: (difference) => components.move(weights(), difference),
    add: (slope, difference) => {
      components.slopes(slope, difference).forEach((part, i) => (gradient[i]! += squared ? 2 * mask[i]! * part : part));
    },
    step: () => {
      const step = adam(gradient.map((slope) => slope + l1));
      mask.forEach((m, i) => (mask[i] = Math.min(1, Math.max(0, m - learningRate * step[i]!))));
      gradient.fill(0);
    },
    penalty: () => l1 * sum(mask),
    settle: () => settled(components, { mask, l1, isChosen: (i) => mask[i]! >= 0.5 }),
  };
}

/** A sigmoid of θ / T; T goes from `from` to `to` by equal factors, and the mask is ½ at the start but for a little noise. */
export function sigmoidMask(
  components: Components,
  options: { learningRate: number; l1: number; temperature: { readonly from: number; readonly to: number }; seed: number },
): Learner {
  const { learningRate, l1, seed } = options;
  const { from, to } = options.temperature;
  const theta = normalNumbers(components.count, seededRandom(seed)).map((value) => START * from * value);
  const gradient = new Float64Array(components.count);
  const adam = makeAdam(components.count);
  let temperature = from;
  const mask = (): Float64Array => theta.map((t) => 1 / (1 + Math.exp(-t / temperature)));
  return {
    change: (difference) => components.move(mask(), difference),
    add: (slope, difference) => components.slopes(slope, difference).forEach((part, i) => (gradient[i]! += part)),
    step: (progress) => {
      const step = adam(mask().map((m, i) => ((gradient[i]! + l1) * m * (1 - m)) / temperature));
      theta.forEach((t, i) => (theta[i] = t - learningRate * step[i]!));
      gradient.fill(0);
      temperature = from * (to / from) ** progress;
    },
    penalty: () => l1 * sum(mask()),
    temperature: () => temperature,
    settle: () => {
      const isOn = theta.map((t) => (t > 0 ? 1 : 0));
      return settled(components, { mask: mask(), l1, isChosen: (i) => isOn[i] === 1 });
    },
  };
}

function settled(
  components: Components,
  { mask, l1, isChosen }: { mask: Float64Array; l1: number; isChosen: (i: number) => boolean },
): Settled {
  const chosen = chosenComponents(components, isChosen);
  return { ...chosen, penalty: l1 * chosen.selected!.length, mask: [...mask] };
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
