/**
 * @file Linear probes: what can be read off a model's activations by a linear map, layer by layer, on examples that were not fitted to.
 *
 * When they mislead: that something can be read does not mean that the model uses it (Belinkov 2021, arXiv 2102.12452), so edit along
 * `directionOf` and see; with as many elements as examples anything can be fitted, so look at `probeWithControls`; and a label
 * that goes with length, position or a word is read off that. Examples of one prompt belong in one group.
 */
import { temperatureOf, calibrationOf } from "../../base/calibration.js";
import { refuse, SextantError } from "../../base/errors.js";
import { trainJointly } from "./adamw.js";
import { differenceOfMeans, ldaFits, ridgeFits } from "./closed-forms.js";
import { logisticFits, softmaxFits } from "./cross-entropy.js";
import { examplesOf, splitOf, type Examples } from "./examples.js";
import { foldBack, problemOf, scalingOf, unscaled, type LinearMap, type Problem } from "./features.js";
import { reportOn, reportOnTest, scoreSide, type ScoredSide } from "./report.js";
import type {
  Candidate,
  DeterminedMethod,
  LayerProbe,
  Probe,
  ProbeKind,
  ProbeMethod,
  ProbeRequest,
  ProbeResult,
  Strength,
} from "./request.js";
import type { ProbeSplit } from "./split.js";

/** Whether a kind's elements are brought to one deviation where the request does not say. */
const STANDARDISED = {
  logistic: true,
  softmax: true,
  softmax_adamw: false,
  ridge: true,
  difference_of_means: false,
  lda: true,
} as const satisfies Readonly<Record<ProbeKind, boolean>>;

const L2 = 0.01;

/** The fits of one problem: at each strength, or at none where there is nothing to choose. */
interface Fits {
  readonly strengths: readonly number[];
  readonly fit: (strength: number) => LinearMap;
}

/** A request that was checked. */
interface Task {
  readonly request: ProbeRequest;
  readonly examples: Examples;
  readonly split: ProbeSplit;
}

/** A probe a layer, with what it reads on each side. The same request gives the same probes. */
export function fitProbe(request: ProbeRequest): ProbeResult {
  const examples = examplesOf(request);
  const { method } = request;
  if (method.kind === "logistic" && examples.classes !== 2)
    throw new SextantError("request", `a logistic probe is of two classes, got ${examples.classes}: take softmax`);
  const task = { request, examples, split: splitOf(request, examples) };
  checkChoice(task);
  if (method.kind === "softmax_adamw") return trained(task, method);
  const layers = Array.from({ length: examples.layers }, (_, layer) => fitLayer(task, method, layer));
  return { layers, split: task.split };
}

function trained(task: Task, method: ProbeMethod & { kind: "softmax_adamw" }): ProbeResult {
  const { request, examples, split } = task;
  const isScaled = request.standardise ?? STANDARDISED.softmax_adamw;
  const scalings = Array.from({ length: examples.layers }, (_, layer) =>
    isScaled ? scalingOf(examples, layer, split.train, true) : unscaled(examples.width),
  );
  const { kind, ...options } = method;
  const { maps, step, losses } = trainJointly({ examples, split, scalings }, options, request.seed);
  const layers = maps.map((map, layer) => described(task, layer, { probe: foldBack(map, scalings[layer]!, kind), candidates: [] }));
  return { layers, split, training: { step, losses } };
}

function fitLayer(task: Task, method: DeterminedMethod, layer: number): LayerProbe {
  const { request, examples, split } = task;
  const scaling = scalingOf(examples, layer, split.train, request.standardise ?? STANDARDISED[method.kind]);
  const { strengths, fit } = fitsOf(method, problemOf(examples, layer, split.train, scaling));
  const tried = (strengths.length === 0 ? [undefined] : strengths).map((strength) => ({
    strength,
    probe: foldBack(fit(strength ?? 0), scaling, method.kind),
  }));
  if (tried.length === 1) return described(task, layer, { ...tried[0]!, candidates: [] });
  const candidates = tried.map(({ strength, probe }) => ({
    strength: strength!,
    loss: lossOf(method.kind, scoreSide(probe, examples, layer, split.validation)),
  }));
  const best = candidates.reduce((a, b) => (b.loss < a.loss || (b.loss === a.loss && b.strength > a.strength) ? b : a));
  return described(task, layer, { ...tried[candidates.indexOf(best)]!, candidates });
}

/** The fits that a method makes; each makes its products of the examples once for all strengths. */
function fitsOf(method: DeterminedMethod, problem: Problem): Fits {
  switch (method.kind) {
    case "logistic":
      return { strengths: l2Of(method.l2), fit: logisticFits(problem) };
    case "softmax":
      return { strengths: l2Of(method.l2), fit: softmaxFits(problem) };
    case "ridge":
      return { strengths: l2Of(method.l2), fit: ridgeFits(problem) };
    case "difference_of_means":
      return { strengths: [], fit: () => differenceOfMeans(problem) };
    case "lda": {
      const { ledoitWolf, fit } = ldaFits(problem);
      const { shrinkage = "ledoit_wolf" } = method;
      return { strengths: shrinkage === "ledoit_wolf" ? [ledoitWolf] : shrinkagesOf(shrinkage), fit };
    }
  }
}

/** What the validation examples choose by: squared error for ridge, cross-entropy for the others. */
function lossOf(kind: ProbeKind, side: ScoredSide): number {
  if (kind !== "ridge") return calibrationOf(side).crossEntropy;
  const { scores, labels, classes } = side;
  const squares = scores.map((score, i) => (score - (labels[Math.floor(i / classes)] === i % classes ? 1 : 0)) ** 2);
  return squares.reduce((sum, square) => sum + square, 0) / labels.length;
}

interface Found {
  readonly probe: Probe;
  readonly strength?: number | undefined;
  readonly candidates: readonly Candidate[];
}

/** The probe with its temperature and its reports. */
function described({ request, examples, split }: Task, layer: number, found: Found): LayerProbe {
  const sideOf = (side: readonly number[]): ScoredSide => scoreSide(found.probe, examples, layer, side);
  const validation = split.validation.length > 0 ? sideOf(split.validation) : undefined;
  const temperature = request.temperature && validation ? temperatureOf(validation) : undefined;
  const probe = temperature === undefined ? found.probe : { ...found.probe, temperature };
  return {
    layer,
    probe,
    ...(found.strength !== undefined && { strength: found.strength }),
    candidates: found.candidates,
    train: reportOn(sideOf(split.train)),
    ...(validation && { validation: reportOn(validation) }),
    test: reportOnTest(sideOf(split.test), probe, request.interval === "none" ? undefined : { ...request.interval, seed: request.seed }),
  };
}

function l2Of(l2: Strength = L2): readonly number[] {
  const strengths = typeof l2 === "number" ? [l2] : l2;
  const wrong = strengths.find((strength) => !(strength > 0 && strength < Infinity));
  if (strengths.length === 0 || wrong !== undefined)
    throw refuse(
      {
        what: `l2 ${wrong ?? "[]"} cannot be used`,
        why: "without a penalty separable examples have no best weights",
        instead: "give one number above 0, or several",
      },
      "request",
    );
  return strengths;
}

function shrinkagesOf(shrinkage: Strength): readonly number[] {
  const strengths = typeof shrinkage === "number" ? [shrinkage] : shrinkage;
  const wrong = strengths.find((strength) => !(strength >= 0 && strength <= 1));
  if (strengths.length === 0 || wrong !== undefined)
    throw new SextantError("request", `shrinkage must be one number in 0 … 1, or several, got ${wrong ?? "[]"}`);
  return strengths;
}

/** Throws where something is to be chosen on validation examples, and there are none. */
function checkChoice({ request: { method, temperature }, split }: Task): void {
  if (split.validation.length > 0) return;
  const strengths = "l2" in method ? method.l2 : "shrinkage" in method ? method.shrinkage : undefined;
  const what = temperature
    ? "a temperature is fitted"
    : Array.isArray(strengths) && strengths.length > 1
      ? "a strength is chosen"
      : undefined;
  if (what) throw new SextantError("request", `${what} on validation examples, and the split has none: give validation a share`);
}
