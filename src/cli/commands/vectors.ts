/** @file `sextant vectors`: what a file of vectors or activations holds, and the same in another format. */
import type { Tensor } from "../../base/tensor.js";
import { table } from "../../charts/terminal.js";
import type { TensorFile } from "../../formats/tensor-file.js";
import type { ModelSpec } from "../../models/spec.js";
import { plainLine } from "../../store/plain-line.js";
import { defineCommand, type Call } from "../command.js";
import { parseIndices } from "../lists.js";
import { modelFolder } from "../model-folder.js";
import { usage } from "../parse.js";
import { counted } from "../wording.js";

const OPTIONS = {
  layers: { type: "text", placeholder: "LIST", meaning: "only the directions of these layers, such as 1..30" },
  out: {
    type: "text",
    placeholder: "FILE",
    meaning: "write the tensors there: .npz, .safetensors, or .gguf, a control vector for llama.cpp and repeng",
  },
  "model-hint": {
    type: "text",
    placeholder: "TEXT",
    meaning: "the model that a control vector is written for; by default what the file says, or MODEL's family",
  },
} as const;

export const vectorsCommand = defineCommand({
  name: "vectors",
  summary: "Lists the tensors of a file of vectors or activations; writes them in another format.",
  arguments: [
    { name: "FILE", meaning: "safetensors, .npz, .npy, .pt or a control vector in GGUF, known by its content" },
    { name: "MODEL", meaning: "a model, for names that stand for its points", optional: true },
  ],
  options: OPTIONS,
  examples: [
    "vectors joy.gguf --out joy.npz",
    "vectors cache.npz MODEL",
    "vectors joy.pt --layers 1..30 --out joy.gguf --model-hint llama",
  ],
  async run(call) {
    const { layers, out, "model-hint": hint } = call.options;
    const path = call.arguments[0]!;
    checkHint(hint, out);
    const wanted = parseIndices(layers, "--layers");
    const { onlyLayers, readVectors, writeVectors } = await import("../../runtime/control-vector.js");
    const file = readVectors(path);
    const tensors = wanted ? onlyLayers(file.tensors, wanted, path) : file.tensors;
    const spec = await specOf(call);
    const rows = await rowsOf(tensors, spec);
    if (out !== undefined) writeVectors(out, tensors, hint ?? file.modelHint ?? spec?.family);
    const { format, modelHint } = file;
    return {
      json: { format, ...(modelHint !== undefined && { modelHint }), tensors: rows, ...(out !== undefined && { out }) },
      text: [describeRows(rows, file, call), ...(out === undefined ? [] : [`written to ${out}`])].join("\n\n"),
    };
  },
});

function checkHint(hint: string | undefined, out = ""): void {
  if (hint !== undefined && !/\.gguf$/i.test(out)) throw usage("--model-hint without --out FILE.gguf");
}

async function specOf(call: Call<typeof OPTIONS>): Promise<ModelSpec | undefined> {
  const named = call.arguments[1];
  if (named === undefined) return undefined;
  const [{ readSpec }, folder] = await Promise.all([import("../../runtime/load.js"), modelFolder(call, named)]);
  const { spec, checkpoint } = readSpec(folder);
  checkpoint.close();
  return spec;
}

/** One tensor of a file. */
interface Row {
  readonly name: string;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
  readonly address?: string;
  /** Why the name is no address of the model. */
  readonly why?: string;
  /** Euclidean, of the vectors along the last axis, on average. */
  readonly length: number;
}

async function rowsOf(tensors: ReadonlyMap<string, Tensor>, spec: ModelSpec | undefined): Promise<Row[]> {
  const { addressIn, addressOfName, withAxes } = await import("../../models/tensor-names.js");
  return [...tensors].map(([name, value]): Row => {
    const place = spec ? addressIn(spec, name) : knownPlace(addressOfName(name));
    const { axes } = "address" in place ? withAxes(place.address, value) : value;
    return { name, shape: value.shape, axes, ...place, length: meanLength(value) };
  });
}

function knownPlace(address: string | undefined): Pick<Row, "why"> | { readonly address: string } {
  return address === undefined ? {} : { address };
}

function meanLength({ data, shape }: Tensor): number {
  const width = shape.at(-1) ?? 1;
  const squares = new Float64Array(width === 0 ? 0 : data.length / width);
  data.forEach((value, at) => (squares[Math.floor(at / width)]! += value * value));
  return squares.length === 0 ? 0 : squares.reduce((sum, square) => sum + Math.sqrt(square), 0) / squares.length;
}

function describeRows(rows: readonly Row[], { format, modelHint }: TensorFile, { colour }: { colour: boolean }): string {
  const made = modelHint === undefined ? "" : `, made for ${modelHint}`;
  const title = `${format}${made}: ${counted(rows.length, "tensor")}`;
  const cells = rows.map(({ name, shape, axes, address = "", why = "", length }) =>
    [name, `[${shape.join(", ")}]`, axes.join(", "), address, length.toPrecision(4), why].map((text) => ({ text: plainLine(text) })),
  );
  const header = ["name", "shape", "axes", "address", "length", rows.some(({ why }) => why !== undefined) ? "no address, since" : ""];
  const align = ["left", "left", "left", "left", "right", "left"] as const;
  const drawn = table(cells, { header, align, colour, columns: Infinity, widest: 100 });
  return rows.length === 0 ? plainLine(title) : `${plainLine(title)}\n\n${drawn}`;
}
