/** @file A spec whose linear maps are multiplied in blocks of whole numbers: which of them, under which names, in which shapes. */
import type {
  ExpertSpec,
  GatedMlpSpec,
  LayerSpec,
  LinearSpec,
  MlpSpec,
  ModelSpec,
  PackedLinearSpec,
  QkvSpec,
  QuantisedRef,
} from "./spec.js";

/** What a map is for, where that decides how it is stored: routers stay floats, since a few of their numbers say which experts run. */
export type MapRole = "projection" | "router" | "unembedding";

/** How a map's blocks are stored. */
export type Blocks = Pick<QuantisedRef, "bits" | "block">;

/** The spec with the maps quantised for which `blocksOf` says how; those that hold four-bit floats already stay as they are. */
export function withQuantised(spec: ModelSpec, blocksOf: (linear: LinearSpec, role: MapRole) => Blocks | undefined): ModelSpec {
  return mapLinears(spec, (linear, role) => {
    const blocks = blocksOf(linear, role);
    return blocks ? { ...linear, quantised: refsOf(linear, blocks) } : linear;
  });
}

/** The linear maps of a spec, in forward order; without those in four-bit floats. */
export function linearsOf(spec: ModelSpec): LinearSpec[] {
  const found: LinearSpec[] = [];
  mapLinears(spec, (linear) => {
    found.push(linear);
    return linear;
  });
  return found;
}

/** Whether some map of the model is quantised. */
export function isQuantised(spec: ModelSpec): boolean {
  return linearsOf(spec).some(({ quantised }) => quantised !== undefined);
}

function refsOf({ weight, in: input, out }: LinearSpec, { bits, block }: Blocks): QuantisedRef {
  const name = `${weight.name}${weight.offset === undefined ? "" : `+${weight.offset}`}:int${bits}`;
  const blocks = Math.ceil(input / block);
  return {
    bits,
    block,
    packed: { name, shape: [out, blocks, (block * bits) / 8], holds: "packed" },
    scales: { name: `${name}:scales`, shape: [out, blocks] },
  };
}

type Change = (linear: LinearSpec, role: MapRole) => LinearSpec;

function mapLinears(spec: ModelSpec, change: Change): ModelSpec {
  const { embedding, layers, head } = spec;
  const project = <T extends { readonly project?: LinearSpec }>(part: T): T =>
    part.project ? { ...part, project: change(part.project, "projection") } : part;
  const before = project(embedding);
  const blocks = layers.map((layer) => mapLayer(layer, change));
  return { ...spec, embedding: before, layers: blocks, head: { ...project(head), unembed: change(head.unembed, "unembedding") } };
}

function mapLayer({ attention, mlp, ...rest }: LayerSpec, change: Change): LayerSpec {
  const mapped = { ...attention, qkv: mapQkv(attention.qkv, change), out: change(attention.out, "projection") };
  return { ...rest, attention: mapped, ...(mlp && { mlp: mapMlp(mlp, change) }) };
}

function mapQkv(qkv: QkvSpec, change: Change): QkvSpec {
  if (qkv.kind === "packed") return { ...qkv, linear: change(qkv.linear, "projection") };
  return { ...qkv, q: change(qkv.q, "projection"), k: change(qkv.k, "projection"), v: change(qkv.v, "projection") };
}

function mapMlp(mlp: MlpSpec, change: Change): MlpSpec {
  if (mlp.kind === "plain") return { ...mlp, in: change(mlp.in, "projection"), out: change(mlp.out, "projection") };
  if (mlp.kind === "gated") return mapGated(mlp, change);
  return { ...mlp, router: change(mlp.router, "router"), experts: mlp.experts.map((expert) => mapExpert(expert, change)) };
}

function mapGated(mlp: GatedMlpSpec, change: Change): GatedMlpSpec {
  return { ...mlp, gate: change(mlp.gate, "projection"), up: change(mlp.up, "projection"), down: change(mlp.down, "projection") };
}

function mapExpert(expert: ExpertSpec, change: Change): ExpertSpec {
  if (expert.kind === "gated") return mapGated(expert, change);
  const floats = (linear: LinearSpec | PackedLinearSpec): LinearSpec | PackedLinearSpec =>
    linear.layout === "mxfp4" ? linear : change(linear, "projection");
  return { ...expert, gateUp: floats(expert.gateUp), down: floats(expert.down) };
}
