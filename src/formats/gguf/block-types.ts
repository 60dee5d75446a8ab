/** @file The element types of GGUF files: how many weights a block has, in how many bytes, and what turns blocks into float32. */
import { refuse, SextantError } from "../../base/errors.js";
import { widenInto, type Dtype } from "../dtype.js";
import type { BlockForm } from "../quantise.js";
import { leadingScales, widenQ4_0, widenQ4_1, widenQ5_0, widenQ5_1, widenQ8_0 } from "./blocks-32.js";
import { scalesIQ2_XXS, scalesIQ4_XS, widenIQ2_XXS, widenIQ4_NL, widenIQ4_XS } from "./codebooks.js";
import { scalesQ3_K, scalesQ6_K, widenQ2_K, widenQ3_K, widenQ4_K, widenQ5_K, widenQ6_K } from "./k-quants.js";

/** Writes the weights of whole blocks over `out`. */
type Widen = (bytes: Uint8Array, out: Float32Array) => void;

interface TypeRow {
  /** ggml's number for it. */
  readonly id: number;
  readonly block: number;
  readonly bytes: number;
  /** None for types that are known by their size only. */
  readonly widen?: Widen;
  /** Where weights are whole numbers times one scale a block, as quantised weights are. */
  readonly exact?: ExactForm;
}

const plain =
  (dtype: Dtype): Widen =>
  (bytes, out) =>
    widenInto(bytes, dtype, out);

/** Blocks that lose nothing, and what writes their scales over `out`. */
type ExactForm = BlockForm & { readonly scales: Widen };

const exact = (bits: BlockForm["bits"], block: BlockForm["block"], scales: Widen): ExactForm => ({ bits, block, scales });

// oxfmt-ignore
/** One row a type. Those without `widen` are known by their size, so that a file that has them can be described and refused by name. */
export const GGUF_TYPES = {
  F32:     { id: 0,  block: 1,   bytes: 4,   widen: plain("F32") },
  F16:     { id: 1,  block: 1,   bytes: 2,   widen: plain("F16") },
  BF16:    { id: 30, block: 1,   bytes: 2,   widen: plain("BF16") },
  F64:     { id: 28, block: 1,   bytes: 8,   widen: plain("F64") },
  Q4_0:    { id: 2,  block: 32,  bytes: 18,  widen: widenQ4_0, exact: exact(4, 32, leadingScales(18)) },
  Q4_1:    { id: 3,  block: 32,  bytes: 20,  widen: widenQ4_1 },
  Q5_0:    { id: 6,  block: 32,  bytes: 22,  widen: widenQ5_0, exact: exact(8, 32, leadingScales(22)) },
  Q5_1:    { id: 7,  block: 32,  bytes: 24,  widen: widenQ5_1 },
  Q8_0:    { id: 8,  block: 32,  bytes: 34,  widen: widenQ8_0, exact: exact(8, 32, leadingScales(34)) },
  Q2_K:    { id: 10, block: 256, bytes: 84,  widen: widenQ2_K },
  Q3_K:    { id: 11, block: 256, bytes: 110, widen: widenQ3_K, exact: exact(4, 16, scalesQ3_K) },
  Q4_K:    { id: 12, block: 256, bytes: 144, widen: widenQ4_K },
  Q5_K:    { id: 13, block: 256, bytes: 176, widen: widenQ5_K },
  Q6_K:    { id: 14, block: 256, bytes: 210, widen: widenQ6_K, exact: exact(8, 16, scalesQ6_K) },
  IQ4_NL:  { id: 20, block: 32,  bytes: 18,  widen: widenIQ4_NL, exact: exact(8, 32, leadingScales(18)) },
  IQ4_XS:  { id: 23, block: 256, bytes: 136, widen: widenIQ4_XS, exact: exact(8, 32, scalesIQ4_XS) },
  IQ2_XXS: { id: 16, block: 256, bytes: 66,  widen: widenIQ2_XXS, exact: exact(8, 32, scalesIQ2_XXS) },
  Q8_1:    { id: 9,  block: 32,  bytes: 36 },
  Q8_K:    { id: 15, block: 256, bytes: 292 },
  IQ2_XS:  { id: 17, block: 256, bytes: 74 },
  IQ3_XXS: { id: 18, block: 256, bytes: 98 },
  IQ1_S:   { id: 19, block: 256, bytes: 50 },
  IQ3_S:   { id: 21, block: 256, bytes: 110 },
  IQ2_S:   { id: 22, block: 256, bytes: 82 },
  IQ1_M:   { id: 29, block: 256, bytes: 56 },
  I8:      { id: 24, block: 1,   bytes: 1 },
  I16:     { id: 25, block: 1,   bytes: 2 },
  I32:     { id: 26, block: 1,   bytes: 4 },
  I64:     { id: 27, block: 1,   bytes: 8 },
  TQ1_0:   { id: 34, block: 256, bytes: 54 },
  TQ2_0:   { id: 35, block: 256, bytes: 66 },
  MXFP4:   { id: 39, block: 32,  bytes: 17 },
} as const satisfies Readonly<Record<string, TypeRow>>;

/** The name of an element type as ggml spells it. */
export type GgufType = keyof typeof GGUF_TYPES;

const NAMES = Object.keys(GGUF_TYPES) as GgufType[];
const NAME_OF: ReadonlyMap<number, GgufType> = new Map(NAMES.map((name) => [GGUF_TYPES[name].id, name]));

/** The type that ggml gives this number, if it is in the table. */
export function ggufTypeOf(id: number): GgufType | undefined {
  return NAME_OF.get(id);
}

/** The types whose weights can be read. */
export const READABLE_TYPES: readonly GgufType[] = NAMES.filter((name) => "widen" in GGUF_TYPES[name]);

/** The weights of whole blocks as float32, written over `out`; `where` is the tensor, for an error. A type that is known by its size only is refused. */
export function widenBlocks(bytes: Uint8Array, type: GgufType, out: Float32Array, where: string): void {
  const row: TypeRow = GGUF_TYPES[type];
  if (bytes.length * row.block !== out.length * row.bytes || out.length % row.block !== 0)
    throw new SextantError("format", `${where}: ${bytes.length} bytes of ${type} are not ${out.length} weights`);
  if (row.widen) return row.widen(bytes, out);
  const why = `it is stored as ${type}; read are ${READABLE_TYPES.join(", ")}`;
  throw refuse({ what: `cannot read ${where}`, why, instead: "use the model in another quantisation" }, "weights");
}

/** How the weights of a type can be stored in blocks with nothing lost; undefined where they cannot. */
export function exactForm(type: GgufType): ExactForm | undefined {
  const row: TypeRow = GGUF_TYPES[type];
  return row.exact;
}
