/**
 * @file A model whose linear maps are multiplied as whole numbers of 8 or 4 bits (`com.microsoft.MatMulNBits`). Their blocks are made once, in a file of the cache
 * folder; everything that reads weights by role goes on reading what they were made from.
 */
import { must, SextantError } from "../base/errors.js";
import { sizeOf } from "../base/tensor.js";
import { DTYPES } from "../formats/dtype.js";
import { contentHash, fillCache, madePath, sha256 } from "../formats/made-files.js";
import { quantiseRows, type BlockForm } from "../formats/quantise.js";
import { quote } from "../formats/json.js";
import type { CheckpointPart } from "../formats/checkpoint.js";
import { Checkpoint, DiskRanges, type StoredTensor } from "../formats/safetensors.js";
import { inFileOrder, streamedBytes, streamedLayout, type DescribedTensor, type StreamedTensor } from "../formats/safetensors-writer.js";
import { computedWeights } from "../models/check-weights.js";
import { linearsOf, withQuantised } from "../models/quantised.js";
import type { LinearSpec, ModelSpec, QuantisedRef } from "../models/spec.js";
import { cacheFolder } from "./cache-folder.js";
import { areFinite } from "./diagnose.js";
import type { ModelOnDisk } from "./join-adapter.js";
import { storedMatrices, type MatrixSource, type OpenMatrices } from "./matrices.js";
import type { WeightForm } from "./weight-forms.js";

/** Counts up when the same weights would become other blocks, or the same blocks lie elsewhere. */
const VERSION = 1;

/**
 * The model with quantised maps: of at most 8 or 4 bits, the unembedding of at most 8. It takes the place of `model`, whose checkpoint is closed. Names the files by their
 * content, which takes a second a GB once.
 */
export function quantiseModel(model: ModelOnDisk, weights: WeightForm): ModelOnDisk {
  if (weights === "float32") return model;
  const { checkpoint } = model;
  try {
    const source = model.matrices ?? storedMatrices(checkpoint);
    const spec = quantisedSpec(model, weights);
    return { spec, checkpoint: new Checkpoint(checkpoint.folder, [checkpoint, quantisedPart(spec, source, weights)], new DiskRanges()) };
  } finally {
    checkpoint.close();
  }
}

/** The spec of the quantised model; no file is made or read. */
export function quantisedSpec({ spec, checkpoint, matrices = storedMatrices(checkpoint) }: ModelOnDisk, weights: WeightForm): ModelSpec {
  if (weights === "float32") return spec;
  return withQuantised(spec, ({ weight }, role) => {
    if (role === "router") return undefined;
    return matrices.formOf(weight.name, weights === "int8" || role === "unembedding" ? 8 : 4);
  });
}

type Quantised = LinearSpec & { readonly quantised: QuantisedRef };

function quantisedPart(spec: ModelSpec, source: MatrixSource, weights: WeightForm): CheckpointPart {
  const linears = quantisedOf(spec);
  const loose = looseOf(spec, source);
  const layout: DescribedTensor[] = [...linears.flatMap(({ quantised }) => described(quantised)), ...loose];
  const { offsets, bytes } = streamedLayout(layout);
  const hashes = source.files(linears.map(({ weight }) => weight.name)).map((file) => contentHash(file, cacheFolder("hashes")));
  const recipe = `${weights}-${VERSION}-${sha256(JSON.stringify(layout)).slice(0, 16)}`;
  const file = madePath(cacheFolder("quantised"), hashes, recipe);
  const tensors = layout.map(({ name, dtype, shape }): [string, StoredTensor] => {
    const place = { file, offset: must(offsets.get(name), name), bytes: sizeOf(shape) * DTYPES[dtype].bytes };
    return [name, { name, dtype, shape, ...place }];
  });
  const prepare = (): ReturnType<typeof fillCache> => fillCache({ path: file, bytes }, () => contentOf(linears, loose, source));
  return { tensors: new Map(tensors), metadata: new Map(), prepare };
}

/** The quantised maps of a spec, those with the same blocks once. */
function quantisedOf(spec: ModelSpec): Quantised[] {
  const found = linearsOf(spec).flatMap((linear) =>
    linear.quantised ? [[linear.quantised.packed.name, linear as Quantised] as const] : [],
  );
  return [...new Map(found).values()];
}

/** What else the model computes with and the source has in no file that graphs could read. */
function looseOf(spec: ModelSpec, source: MatrixSource): DescribedTensor[] {
  const names = new Set(computedWeights(spec).map(({ name }) => name));
  return inFileOrder([...names].flatMap((name) => source.loose(name) ?? []));
}

/** Blocks in front of their scales: these are known when the blocks are written. */
function described({ packed, scales }: QuantisedRef): DescribedTensor[] {
  return [
    { name: packed.name, dtype: "U8", shape: packed.shape },
    { name: scales.name, dtype: "F32", shape: scales.shape },
  ];
}

function* contentOf(linears: readonly Quantised[], loose: readonly DescribedTensor[], source: MatrixSource): Generator<Uint8Array> {
  const open = source.open();
  try {
    const pairs = linears.flatMap((linear) => pairOf(linear, open));
    yield* streamedBytes([...pairs, ...loose.map((one) => ({ ...one, pieces: () => open.bytes(one.name) }))]);
  } finally {
    open.close();
  }
}

/** A map's blocks and scales; the scales are had once the blocks were read. */
function pairOf(linear: Quantised, open: OpenMatrices): StreamedTensor[] {
  const { quantised } = linear;
  const found: Float32Array[] = [];
  const pieces = [() => packedPieces(linear, open, found), () => found.map((scales) => new Uint8Array(scales.buffer))];
  return described(quantised).map((one, place) => ({ ...one, pieces: must(pieces[place], "pieces") }));
}

function* packedPieces(linear: Quantised, open: OpenMatrices, found: Float32Array[]): Generator<Uint8Array> {
  const form: BlockForm = linear.quantised;
  for (const piece of open.rows(linear, form)) {
    if (!areFinite(piece.values))
      throw new SextantError("weights", `cannot quantise tensor ${quote(linear.weight.name)}: it holds values that are not finite`);
    const { packed, scales } = quantiseRows(piece, linear.in, form);
    found.push(scales);
    yield packed;
  }
}
