/**
 * @file The settings of the study: the paper's where they can be carried over as they are, and scaled by depth and width where they count layers or
 * units. Qwen2.5-3B, the paper's model, has 36 layers of 11008 units.
 */
import { refuse, SextantError } from "../../base/errors.js";
import { describeJson, isJsonObject, type JsonObject } from "../../formats/json.js";
import type { ModelSpec } from "../../models/spec.js";
import { fileRecord } from "../../store/file-record.js";
import { FORMAT_NAMES } from "./formats/table.js";

/** How the probe of later steps is fitted. */
const PROBE_METHODS = ["softmax", "softmax_adamw"] as const;

/** The scores that heads are ranked by. */
export const HEAD_ORDERS = ["diagonal", "composition", "effect"] as const;

export type HeadOrder = (typeof HEAD_ORDERS)[number];

export interface SelfVerificationParameters {
  /** How searches are asked for and read: a name of the table of formats. */
  readonly format: string;
  readonly searches: {
    /** Tasks that are asked. */
    readonly prompts: number;
    /** Worked examples in front of each. */
    readonly examples: number;
    /** A JSONL file of searches to use instead of writing some: `{"prompt": …, "response": …}` a line. Null: the model writes. */
    readonly file: string | null;
    /** Of that file: found when a run begins, so that going on and verifying notice another one. */
    readonly sha256: string | null;
    /** Only searches with both verdicts are probed, as in the paper. */
    readonly bothVerdicts: boolean;
  };
  readonly probe: {
    /** A probe to use instead of a fitted one: a file as the paper's authors released it, or safetensors. Null: it is fitted. */
    readonly file: string | null;
    readonly sha256: string | null;
    /**
     * `softmax_adamw`, as in the paper: from a random start, which stays in the rows where the classes are parted long before it is forgotten. `softmax`: the one answer of a
     * penalised fit, whose strength the validation side chooses.
     */
    readonly method: (typeof PROBE_METHODS)[number];
    /** Of AdamW. */
    readonly learningRate: number;
    readonly maxSteps: number;
    /** Seeds with which the probe is fitted anew. */
    readonly seeds: number;
    /** Draws of each control. */
    readonly controls: number;
    /** The most time steps that are used, evenly over searches. */
    readonly most: number;
  };
  readonly lens: { readonly top: number };
  readonly steer: {
    /** Layers whose output is moved. */
    readonly layers: readonly number[];
    /** Lengths of the step, as multiples of the mean norm of the stream at each layer's judgements. */
    readonly strengths: readonly number[];
    readonly cases: number;
    /** From which judgement of a search on a steered search is steered. */
    readonly fromJudgement: number;
    readonly placebos: number;
  };
  readonly units: {
    /** Layers that are looked through. */
    readonly layers: readonly number[];
    /** Units of each layer, by class, that are switched off: the intervention pool. */
    readonly perLayer: number;
    /** Units of the first class that heads are ranked by: the ranking pool. */
    readonly ranking: number;
  };
  readonly heads: {
    /** Least mean attention to mentions of the target. */
    readonly threshold: number;
    /** The most heads that the threshold is put to. */
    readonly most: number;
    /** The position that looks back: the result's last digit as in the paper, the token in front of the verdict, or whichever looks more. */
    readonly lookFrom: "result" | "open" | "either";
    /** 0: means over all cases. Else over the last so many only, as in the released code. */
    readonly lastCases: number;
    /** Which score ranks heads: of weights, as released or in full, or the measured effect on the units. */
    readonly rankBy: HeadOrder;
    /** Heads that are called the verification heads. */
    readonly top: number;
  };
  readonly ablation: {
    /** Right attempts that are gone on from. */
    readonly cases: number;
    /** Rows a pass. */
    readonly batch: number;
    /** Draws of random heads. */
    readonly randomDraws: number;
    /** Longest curve over numbers of heads. */
    readonly curve: number;
    /** Larger pools of units that are switched off too, as multiples of `units.perLayer`. */
    readonly pools: readonly number[];
  };
  /** The task with worked examples in front. */
  readonly inContext: { readonly examples: number; readonly prompts: number };
  /** The probe carried to another model. */
  readonly transfer: {
    readonly prompts: number;
    /** Worked examples in front of the other model's tasks, for a model that was not trained on them. */
    readonly examples: number;
    /** Weight of the squared length of the map, in units of the mean squared length of a token's row. */
    readonly ridge: number;
  };
}

const PAPER = { layers: 36, units: 11_008, perLayer: 50, ranking: 200, pool: 900, steerFrom: 24, steerTo: 33, unitsFrom: 18 } as const;

/** The defaults for a model. */
export function defaultParameters(spec: Pick<ModelSpec, "layers" | "family">): SelfVerificationParameters {
  const layers = spec.layers.length;
  const scaled = (layer: number): number => Math.min(layers - 1, Math.round((layer / PAPER.layers) * layers));
  const upper = range(scaled(PAPER.unitsFrom), layers);
  const dMlp = Math.max(...spec.layers.map(({ mlp }) => (mlp && "dMlp" in mlp ? mlp.dMlp : 0)));
  const perLayer = Math.max(5, Math.round((PAPER.perLayer / PAPER.units) * dMlp));
  const isPapers = spec.family === "qwen2";
  return {
    format: isPapers ? "qwen-countdown" : "countdown",
    searches: { prompts: 256, examples: 0, file: null, sha256: null, bothVerdicts: true },
    probe: {
      file: null,
      sha256: null,
      method: isPapers ? "softmax_adamw" : "softmax",
      learningRate: isPapers ? 1e-4 : 1e-2,
      maxSteps: 2000,
      seeds: 3,
      controls: 5,
      most: 1500,
    },
    lens: { top: 10 },
    steer: {
      layers: range(scaled(PAPER.steerFrom), Math.max(scaled(PAPER.steerTo), scaled(PAPER.steerFrom) + 1)),
      strengths: [0.25, 0.5, 1, 2],
      cases: 100,
      fromJudgement: 3,
      placebos: 5,
    },
    units: { layers: upper, perLayer, ranking: Math.max(5, Math.round((PAPER.ranking / PAPER.pool) * perLayer * upper.length)) },
    heads: { threshold: 0.1, most: 50, lookFrom: "either", lastCases: 0, rankBy: isPapers ? "diagonal" : "effect", top: 3 },
    ablation: { cases: 100, batch: 32, randomDraws: 5, curve: 10, pools: [4, 16] },
    inContext: { examples: 1, prompts: 64 },
    transfer: { prompts: 64, examples: 0, ridge: 0 },
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}

/** The defaults with what was given put over them, checked. */
export function parametersFor(spec: Pick<ModelSpec, "layers" | "family">, given: JsonObject): SelfVerificationParameters {
  const merged = merge(defaultParameters(spec) as unknown as JsonObject, given, "") as unknown as SelfVerificationParameters;
  check(merged, spec.layers.length);
  return { ...merged, searches: withHash("searches", merged.searches), probe: withHash("probe", merged.probe) };
}

/** The settings of a group with the hash of the file that it names; a hash that was given must be that. */
function withHash<G extends { readonly file: string | null; readonly sha256: string | null }>(name: string, group: G): G {
  const sha256 = group.file === null ? null : fileRecord(group.file, group.file).sha256;
  if (group.sha256 === null || group.sha256 === sha256) return { ...group, sha256 };
  const why = group.file === null ? "no file is named" : "the file has another SHA-256";
  throw refuse({ what: `cannot use ${name}.file`, why, instead: `name the file whose SHA-256 is ${group.sha256}` }, "usage");
}

function merge(defaults: JsonObject, given: JsonObject, where: string): JsonObject {
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(defaults, key));
  if (unknown !== undefined) {
    const known = Object.keys(defaults).join(", ");
    throw refuse({ what: `cannot set ${where}${unknown}`, why: "there is no such setting", instead: `set one of ${known}` }, "usage");
  }
  return Object.fromEntries(Object.entries(defaults).map(([key, value]) => [key, pickValue(value, given[key], `${where}${key}`)]));
}

function pickValue(value: unknown, given: unknown, where: string): unknown {
  if (given === undefined) return value;
  if (isJsonObject(value) && isJsonObject(given)) return merge(value, given, `${where}.`);
  if (!isJsonObject(value) && isLike(value, given)) return given;
  throw new SextantError("usage", `${where} must be ${kindOf(value)}, got ${describeJson(given)}`);
}

/** Whether a setting with this default may be `given`. */
function isLike(value: unknown, given: unknown): boolean {
  if (value === null) return given === null || typeof given === "string";
  return Array.isArray(value) ? isNumbers(given) : typeof given === typeof value;
}

function isNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function kindOf(value: unknown): string {
  return Array.isArray(value)
    ? "a list of numbers"
    : isJsonObject(value)
      ? "an object"
      : value === null
        ? "a file's path or null"
        : `a ${typeof value}`;
}

/** Whole numbers with their bounds, by their path. */
const WHOLE: readonly (readonly [path: string, least: number, most: number])[] = [
  ["searches.prompts", 8, 100_000],
  ["searches.examples", 0, 16],
  ["probe.maxSteps", 1, 1_000_000],
  ["probe.seeds", 1, 20],
  ["probe.controls", 1, 100],
  ["probe.most", 20, 1_000_000],
  ["lens.top", 1, 100],
  ["steer.cases", 2, 100_000],
  ["steer.fromJudgement", 1, 100],
  ["steer.placebos", 1, 100],
  ["units.perLayer", 1, 1_000_000],
  ["units.ranking", 1, 1_000_000],
  ["heads.most", 1, 100_000],
  ["heads.lastCases", 0, 100_000],
  ["heads.top", 1, 1000],
  ["ablation.cases", 2, 100_000],
  ["ablation.batch", 1, 1024],
  ["ablation.randomDraws", 1, 100],
  ["ablation.curve", 1, 1000],
  ["inContext.examples", 1, 16],
  ["inContext.prompts", 8, 100_000],
  ["transfer.examples", 0, 16],
  ["transfer.prompts", 8, 100_000],
];

/** Words to choose from, by their path. */
const CHOICES: readonly (readonly [path: string, words: readonly string[]])[] = [
  ["format", FORMAT_NAMES],
  ["heads.lookFrom", ["result", "open", "either"]],
  ["heads.rankBy", HEAD_ORDERS],
  ["probe.method", PROBE_METHODS],
];

/** What a number must be, by its path. */
const NUMBERS: readonly (readonly [path: string, demand: string, isMet: (value: number) => boolean])[] = [
  ["heads.threshold", "0 to 1", (value) => value >= 0 && value <= 1],
  ["probe.learningRate", "above 0 and 1 at most", (value) => value > 0 && value <= 1],
  ["transfer.ridge", "0 or more", (value) => value >= 0 && value < Infinity],
  ...WHOLE.map(
    ([path, least, most]) =>
      [
        path,
        `a whole number from ${least} to ${most}`,
        (value: number) => Number.isInteger(value) && value >= least && value <= most,
      ] as const,
  ),
];

/** What each number of a list must be, by its path. Each stands there once. */
const LISTS: readonly (readonly [path: string, demand: (layers: number) => string, isMet: (value: number, layers: number) => boolean])[] = [
  ["steer.layers", layerDemand, isLayer],
  ["units.layers", layerDemand, isLayer],
  ["steer.strengths", () => "numbers above 0", (value) => value > 0 && value < 1e6],
  ["ablation.pools", () => "whole numbers from 2 to 1000", (value) => Number.isInteger(value) && value >= 2 && value <= 1000],
];

function layerDemand(layers: number): string {
  return `layers of 0 to ${layers - 1}`;
}

function isLayer(value: number, layers: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < layers;
}

function check(parameters: SelfVerificationParameters, layers: number): void {
  const at = (path: string): unknown => path.split(".").reduce<unknown>((value, key) => (value as JsonObject)[key], parameters);
  const refusal = (path: string, demand: string, got: string): Error => new SextantError("usage", `${path} must be ${demand}, got ${got}`);
  for (const [path, words] of CHOICES)
    if (!words.includes(at(path) as string)) throw refusal(path, words.join(" or "), JSON.stringify(at(path)));
  for (const [path, demand, isMet] of NUMBERS) if (!isMet(at(path) as number)) throw refusal(path, demand, String(at(path)));
  for (const [path, demand, isMet] of LISTS) {
    const list = at(path) as readonly number[];
    const isWhole = list.length > 0 && list.every((value) => isMet(value, layers)) && new Set(list).size === list.length;
    if (!isWhole) throw refusal(path, `one or more ${demand(layers)}, each once`, `[${list.join(", ")}]`);
  }
}
