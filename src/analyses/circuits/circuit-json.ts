/**
 * @file Circuits in the JSON form of EAP-IG's graphs, in which MIB takes them: `cfg`, `nodes` by name, `edges` by name with score and
 * membership. Grouped heads: the form names query heads only, so an edge into a shared key or value stands once for each head of the group; with
 * `groupedScores` each repeats the group's score. MIB's metric is a loss (−logit difference), so its scores are the opposite of a score
 * of noise here: `opposite` writes, and reads, them so.
 */
import { SextantError } from "../../base/errors.js";
import type { CircuitGraph } from "./graph.js";
import { edgeNames, nodeNames } from "./graph.js";

/** A circuit file, as it is written. */
export interface CircuitFile {
  readonly cfg: { readonly n_layers: number; readonly n_heads: number; readonly parallel_attn_mlp: boolean; readonly d_model: number };
  readonly nodes: Readonly<Record<string, { readonly in_graph: boolean }>>;
  readonly edges: Readonly<Record<string, { readonly score: number; readonly in_graph: boolean }>>;
}

/** A circuit as it was read: edges by their numbers, and all scores; 0 where the file has none. */
export interface ReadCircuit {
  readonly edges: readonly number[];
  readonly scores: Float64Array;
}

/** How scores stand in the file. */
export interface CircuitFileOptions {
  /** Scores change their sign on the way. Default false. */
  readonly opposite?: boolean;
}

/** The circuit as plain data for `JSON.stringify`. Nodes are in the circuit if an edge of theirs is; models whose layers differ in heads are refused. */
export function circuitJson(
  graph: CircuitGraph,
  circuit: { readonly scores: ArrayLike<number>; readonly edges: readonly number[] },
  { opposite = false }: CircuitFileOptions = {},
): CircuitFile {
  const { scores, edges } = circuit;
  if (scores.length !== graph.edges)
    throw new SextantError("request", `scores: there are ${graph.edges} edges, got ${scores.length} scores`);
  const cfg = cfgOf(graph);
  const chosen = new Set(edges);
  const stray = edges.find((edge) => !Number.isInteger(edge) || edge < 0 || edge >= graph.edges);
  if (stray !== undefined) throw new SextantError("request", `edges are numbered 0 to ${graph.edges - 1}, got ${String(stray)}`);
  const names = edgeNames(graph);
  const used = new Set(edges.flatMap((edge) => nodesOf(names[edge]!)));
  return {
    cfg,
    nodes: Object.fromEntries(nodeNames(graph).map((name) => [name, { in_graph: used.has(name) }])),
    edges: Object.fromEntries(
      names.map((name, edge) => [name, { score: finite(scores[edge]!, name) * (opposite ? -1 : 1) || 0, in_graph: chosen.has(edge) }]),
    ),
  };
}

function cfgOf({ blocks, layers, dModel }: CircuitGraph): CircuitFile["cfg"] {
  const [first] = blocks;
  if (!first || blocks.some(({ heads, isParallel }) => heads !== first.heads || isParallel !== first.isParallel))
    throw new SextantError(
      "unsupported",
      "circuitJson: the form has one number of heads and one wiring for all layers, and this model has several",
    );
  return { n_layers: layers, n_heads: first.heads, parallel_attn_mlp: first.isParallel, d_model: dModel };
}

function finite(score: number, name: string): number {
  if (!Number.isFinite(score)) throw new SextantError("request", `scores: ${name} has no finite number, got ${score}`);
  return score;
}

function nodesOf(edge: string): string[] {
  return edge.split("->").map((name) => name.replace(/<.>$/, ""));
}

/**
 * The circuit that a parsed file holds, held against the graph: another model's `cfg`, edges that the graph lacks or the file lacks, and
 * scores that are no numbers are refused. Fields that MIB adds (`neurons` and the like) are left alone. The file is not trusted.
 */
export function readCircuitJson(graph: CircuitGraph, file: unknown, { opposite = false }: CircuitFileOptions = {}): ReadCircuit {
  const root = objectAt(file, "the circuit");
  const cfg = objectAt(root["cfg"], "cfg");
  for (const [key, value] of Object.entries(cfgOf(graph)))
    if (cfg[key] !== value) throw wrong(`cfg.${key} is ${tell(cfg[key])}, and the model has ${tell(value)}`);
  const stored = objectAt(root["edges"], "edges");
  const names = edgeNames(graph);
  const count = Object.keys(stored).length;
  if (count !== names.length) {
    const known = new Set(names);
    const stray = Object.keys(stored).find((name) => !known.has(name));
    throw wrong(`edges holds ${count}, and the model has ${names.length}${stray === undefined ? "" : `; it lacks ${tell(stray)}`}`);
  }
  const scores = new Float64Array(names.length);
  const edges: number[] = [];
  names.forEach((name, edge) => {
    if (!Object.hasOwn(stored, name)) throw wrong(`edges lacks ${name}`);
    const { score, in_graph: isIn } = objectAt(stored[name], `edges: ${name}`);
    if (score !== undefined && score !== null && (typeof score !== "number" || !Number.isFinite(score)))
      throw wrong(`edges: ${name}: score must be a number, got ${tell(score)}`);
    if (typeof isIn !== "boolean") throw wrong(`edges: ${name}: in_graph must be true or false, got ${tell(isIn)}`);
    scores[edge] = typeof score === "number" ? (opposite ? -score : score) : 0;
    if (isIn) edges.push(edge);
  });
  return { edges, scores };
}

function objectAt(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(`${where} must be an object, got ${tell(value)}`);
  return value as Readonly<Record<string, unknown>>;
}

/** A value in few words: names in a file may be long, or meant to confuse. */
function tell(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}

function wrong(problem: string): SextantError {
  return new SextantError("format", `circuit file: ${problem}`);
}
