/** @file Step 2: what can be read, where and how early, of the verdict to come; with controls. */
import { collectAt } from "../../../analyses/collect.js";
import { probeWithControls, type LayerControls } from "../../../analyses/probes/controls.js";
import { fitProbe } from "../../../analyses/probes/fit.js";
import { directionOf } from "../../../analyses/probes/apply.js";
import type { LayerProbe, ProbeMethod, ProbeRequest } from "../../../analyses/probes/request.js";
import { seedFrom } from "../../../base/draws.js";
import { must } from "../../../base/errors.js";
import { tensor, type Tensor } from "../../../base/tensor.js";
import { dot } from "../../../base/vectors.js";
import type { JsonObject } from "../../../formats/json.js";
import type { Finding } from "../../../store/finding.js";
import { numberFinding } from "../../finding-of.js";
import type { Step, StepContext } from "../../study.js";
import { MOMENTS, sitesOf, stepsToProbe, type Moment } from "../judged.js";
import type { SelfVerificationParameters } from "../parameters.js";
import { readProbeFile } from "../probe-file.js";
import { cosineFinding, headFinding, layerFindings, momentFindings } from "../probe-findings.js";
import { headFigure, headTable, layerFigure, momentFigure, siteTable } from "../probe-figures.js";
import type { Probed } from "../probed.js";
import type { ProbeState, SearchesState, StepState } from "../state.js";

type Context = StepContext<SelfVerificationParameters>;

const SITES = ["resid_post", "attn_out", "mlp_out"] as const;

export const probeStep: Step<SelfVerificationParameters> = {
  name: "probe",
  title: "Linear probes for the verdict to come",
  about:
    "A linear classifier is fitted to each layer's activations at the bracket, to tell the verdicts apart; searches are divided into sides as wholes. Places (stream, attention, MLP, single heads) and moments of the attempt are compared by logistic regression, which has a bias and one answer; so are shuffled labels and random projections. Beside it other seeds and sides.",
  async run(context) {
    const searches = context.earlier<SearchesState>("searches").state;
    const used = stepsToProbe(searches, { most: context.parameters.probe.most, bothVerdicts: context.parameters.searches.bothVerdicts });
    const steps = used.map((index) => searches.steps[index]!);
    const work = { context, steps, searches };
    const streams = await streamsOf(work);
    const main = fitMain(work, streams);
    const sites = SITES.map((site) => fitSite(work, streams, site));
    const moments = [...(await earlierMoments(work)), sites[0]!];
    const heads = await headProbes(work);
    const controls = controlsOf(work, streams.get("resid_post")!);
    const given = context.parameters.probe.file;
    const weights = given === null ? stackOf(main.probes) : readProbeFile(given, context.subject.model.spec);
    const seeds = seedsOf(work, streams.get("resid_post")!, main);
    const state: ProbeState = {
      used,
      test: testOf(work, streams.get("resid_post")!),
      aurocs: given === null ? main.probes.map(({ test }) => test.auroc ?? null) : [],
      heads: heads.flat().map(({ test }) => test.auroc ?? null),
      norms: normsOf(streams.get("resid_post")!),
    };
    return {
      findings: [
        ...layerFindings(main, controls),
        ...seeds,
        ...momentFindings(moments),
        headFinding(heads),
        cosineFinding(weights, given === null ? context.parameters.probe.method : undefined),
      ],
      state: state as unknown as JsonObject,
      tensors: { probe: weights },
      tables: [siteTable([main, ...sites, ...moments.slice(0, -1)], controls), headTable(heads)],
      figures: [layerFigure(sites), momentFigure(moments), headFigure(heads)],
      notes: given === null ? [] : [`Later steps use the probe of ${given}; what is said of accuracy is of the one that was fitted here.`],
    };
  },
};

interface Work {
  readonly context: Context;
  readonly steps: readonly StepState[];
  readonly searches: SearchesState;
}

async function streamsOf(work: Work): Promise<Map<string, Tensor<Float32Array>>> {
  const found = new Map<string, Tensor<Float32Array>>();
  for (const site of SITES) found.set(site, await layersAt(work, site, "open"));
  return found;
}

/** Axes `example, layer, d_model`. */
async function layersAt({ context, steps, searches }: Work, point: string, moment: Moment): Promise<Tensor<Float32Array>> {
  const rows = searches.searches.map(({ tokens }) => tokens);
  const values = await collectAt(
    context.subject.model,
    { rows, sites: sitesOf(steps, moment), read: [`${point}.*`] },
    { signal: context.signal },
  );
  return stacked(Object.values(values));
}

function stacked(layers: readonly Tensor<Float32Array>[]): Tensor<Float32Array> {
  const [examples = 0, width = 0] = must(layers[0], "a layer").shape;
  const out = new Float32Array(examples * layers.length * width);
  for (const [layer, { data }] of layers.entries())
    for (let example = 0; example < examples; example++)
      out.set(data.subarray(example * width, (example + 1) * width), (example * layers.length + layer) * width);
  return tensor(out, [examples, layers.length, width], ["example", "layer", "d_model"]);
}

function requestOf({ context, steps }: Work, examples: Tensor<Float32Array>, method: ProbeMethod, seed = 0): ProbeRequest {
  return {
    examples,
    labels: steps.map(({ label }) => label),
    groups: steps.map(({ search }) => search),
    method,
    seed: seedFrom(context.random("split")) + seed,
  };
}

/** What later steps use: rows for activations as they are, without standardising. */
function mainRequest(work: Work, examples: Tensor<Float32Array>, seed = 0): ProbeRequest {
  const { method, learningRate, maxSteps } = work.context.parameters.probe;
  const chosen: ProbeMethod = method === "softmax" ? { kind: method, l2: STRENGTHS } : { kind: method, learningRate, maxSteps };
  return { ...requestOf(work, examples, chosen, seed), standardise: false };
}

/** Penalties that the validation side chooses from. */
const STRENGTHS = [1e-4, 1e-3, 1e-2, 1e-1, 1];

function fitMain(work: Work, streams: ReadonlyMap<string, Tensor<Float32Array>>): Probed {
  const { layers } = fitProbe(mainRequest(work, streams.get("resid_post")!));
  return { site: "resid_post", moment: "open", method: work.context.parameters.probe.method, probes: layers };
}

function fitSite(work: Work, streams: ReadonlyMap<string, Tensor<Float32Array>>, site: string): Probed {
  return { site, moment: "open", method: "logistic", probes: fitProbe(requestOf(work, streams.get(site)!, { kind: "logistic" })).layers };
}

async function earlierMoments(work: Work): Promise<Probed[]> {
  const found: Probed[] = [];
  for (const [moment] of MOMENTS.slice(0, -1)) {
    const examples = await layersAt(work, "resid_post", moment);
    found.push({
      site: "resid_post",
      moment,
      method: "logistic",
      probes: fitProbe(requestOf(work, examples, { kind: "logistic" })).layers,
    });
  }
  return found;
}

/** A probe of each head's z: what a linear map reads from z it can read from the head's output, which is a linear map of z. */
async function headProbes({ context, steps, searches }: Work): Promise<LayerProbe[][]> {
  const rows = searches.searches.map(({ tokens }) => tokens);
  const values = await collectAt(context.subject.model, { rows, sites: sitesOf(steps, "open"), read: ["z.*"] }, { signal: context.signal });
  return Object.values(values).map((z) => {
    const examples = tensor(z.data, z.shape, ["example", "layer", "d_model"]);
    return [...fitProbe({ ...requestOf({ context, steps, searches }, examples, { kind: "logistic" }), interval: "none" }).layers];
  });
}

function controlsOf(work: Work, examples: Tensor<Float32Array>): readonly LayerControls[] {
  const request = requestOf(work, examples, { kind: "logistic" });
  const { layers } = probeWithControls({
    ...request,
    method: { kind: "logistic" },
    repeats: work.context.parameters.probe.controls,
    interval: "none",
  });
  return layers.map(({ controls }) => controls);
}

/** The sides of the main fit: the same seed gives the same sides. */
function testOf(work: Work, examples: Tensor<Float32Array>): readonly number[] {
  return fitProbe({ ...requestOf(work, examples, { kind: "difference_of_means" }), interval: "none" }).split.test;
}

function normsOf({ data, shape: [examples = 0, layers = 0, width = 0] }: Tensor<Float32Array>): number[] {
  return Array.from({ length: layers }, (_, layer) => {
    let total = 0;
    for (let example = 0; example < examples; example++) {
      const own = data.subarray((example * layers + layer) * width, (example * layers + layer + 1) * width);
      total += Math.sqrt(dot(own, own));
    }
    return total / examples;
  });
}

/** Axes `layer, class, d_model`. */
function stackOf(probes: readonly LayerProbe[]): Tensor<Float32Array> {
  const [classes = 0, width = 0] = must(probes[0], "a probe").probe.weights.shape;
  const out = new Float32Array(probes.length * classes * width);
  for (const [layer, { probe }] of probes.entries()) out.set(probe.weights.data, layer * classes * width);
  return tensor(out, [probes.length, classes, width], ["layer", "class", "d_model"]);
}

function seedsOf(work: Work, examples: Tensor<Float32Array>, main: Probed): Finding[] {
  const { seeds } = work.context.parameters.probe;
  const others = Array.from({ length: seeds }, (_, i) => fitProbe({ ...mainRequest(work, examples, i + 1), interval: "none" }).layers);
  const last = main.probes.length - 1;
  const accuracies = others.map((layers) => layers[last]!.test.balancedAccuracy);
  const cosines = others.flatMap((layers) =>
    layers.map(({ probe }, layer) =>
      dot(directionOf(probe, { toward: 1, from: 0 }).data, directionOf(main.probes[layer]!.probe, { toward: 1, from: 0 }).data),
    ),
  );
  return [
    numberFinding("probe.seeds.balanced_accuracy_min", "least balanced accuracy of the last layer's probe under other seeds and sides", {
      value: Math.min(...accuracies),
      unit: "share",
      n: seeds,
      tolerance: { absolute: 0.02, relative: 0 },
    }),
    numberFinding("probe.seeds.cosine_min", "least cosine, over layers, between the direction and that of other seeds", {
      value: Math.min(...cosines),
      unit: "cosine",
      n: seeds,
      tolerance: { absolute: 0.05, relative: 0 },
    }),
  ];
}
