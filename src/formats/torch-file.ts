/**
 * @file PyTorch's files (`torch.save` since 1.6): a zip archive of one pickle and the bytes of each storage. Read without Python and without running anything: of what a
 * pickle may name only storages, tensors, parameters and ordered dictionaries are known. Counts, strides and offsets are held against the storages before memory is taken.
 */
import { refuse, SextantError } from "../base/errors.js";
import { sizeOf, tensor, type Tensor, type TensorData } from "../base/tensor.js";
import { DTYPES, isIntegerDtype, toFloat32, toInt32, type Dtype } from "./dtype.js";
import { readFileBounded } from "./files.js";
import { describeJson, quote } from "./json.js";
import { isPickle, readPickle, type PickleHost, type PickleValue } from "./pickle.js";
import { readZip } from "./zip.js";

const GIBIBYTE = 2 ** 30;
const MAX_RANK = 32;
/** The most that an axis has, and the longest step along one. With at most 32 axes their product stays finite. */
const MAX_LENGTH = 2 ** 31;
const MAX_DEPTH = 32;
/** The most values, however nested, and the most elements that all tensors together may have. */
const MOST_VALUES = 100_000;
const MOST_ELEMENTS = 2 ** 28;

// oxfmt-ignore
const DTYPE_OF: Readonly<Record<string, Dtype>> = {
  "torch.DoubleStorage": "F64", "torch.FloatStorage": "F32", "torch.HalfStorage": "F16", "torch.BFloat16Storage": "BF16",
  "torch.LongStorage": "I64", "torch.IntStorage": "I32", "torch.ShortStorage": "I16", "torch.CharStorage": "I8",
  "torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL",
};

const INSTEAD = "save plain tensors, as torch.save({name: tensor.detach().cpu().contiguous()}, path), or as safetensors";

/**
 * The tensors of a file by name, without axes: floats as float32 (float64 is rounded), whole numbers and truth values as int32, refused beyond it. A tensor alone has the name
 * ""; of dictionaries, lists and tuples the keys and indices are joined by dots; numbers are tensors without axes. Anything else in it is refused.
 */
export function readTorchFile(path: string): Map<string, Tensor> {
  return parseTorchFile(readFileBounded(path, 2 * GIBIBYTE), path);
}

/** As `readTorchFile`, of bytes in memory; `source` is what an error calls them. */
export function parseTorchFile(bytes: Uint8Array, source: string): Map<string, Tensor> {
  const archive = openArchive(bytes, source);
  const { value, tensorOf } = unpickle(archive, source);
  const leaves = new Map<string, Tensor>();
  collect(value, { path: [], leaves, visits: { count: 0 }, source, tensorOf });
  return leaves;
}

// ── the archive ──

interface Archive {
  readonly pickle: Uint8Array;
  readonly storage: (key: string) => Uint8Array | undefined;
}

function openArchive(bytes: Uint8Array, source: string): Archive {
  if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) throw notZip(bytes, source);
  const entries = readZip(bytes, source, { maxEntryBytes: GIBIBYTE, maxTotalBytes: 2 * GIBIBYTE });
  const name = [...entries.keys()].find((entry) => /^[^/]+\/data\.pkl$/.test(entry));
  if (name === undefined) throw new SextantError("format", `${source}: not a file of torch.save: the archive has no data.pkl`);
  const folder = name.slice(0, -"data.pkl".length);
  const order = entries.get(`${folder}byteorder`);
  if (order && new TextDecoder().decode(order).trim() !== "little")
    throw refuse(
      { what: `cannot read ${source}`, why: "its numbers are not little-endian", instead: "save it on a machine that is" },
      "format",
    );
  return { pickle: entries.get(name)!, storage: (key) => entries.get(`${folder}data/${key}`) };
}

function notZip(bytes: Uint8Array, source: string): SextantError {
  if (bytes[0] !== 0x80) return new SextantError("format", `${source}: not a file of torch.save: it does not begin as a zip archive`);
  const why = "it is in the format that torch.save wrote before 1.6";
  return refuse(
    { what: `cannot read ${source}`, why, instead: "write it anew: torch.save(torch.load(path, weights_only=True), path)" },
    "format",
  );
}

// ── what the pickle names ──

interface Storage {
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly key: string;
}

/** A tensor that was named, not read yet. */
interface View {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

type Fail = (what: string) => SextantError;

function unpickle(archive: Archive, source: string): { value: PickleValue; tensorOf: (view: View) => Tensor } {
  const fail: Fail = (what) => new SextantError("format", `${source}: ${what}`);
  const host: PickleHost = {
    source,
    instead: INSTEAD,
    persistent: (id) => ({ kind: "object", content: storageOf(id, archive, fail) }),
    globals: new Map<string, ((args: readonly PickleValue[]) => PickleValue) | undefined>([
      ...Object.keys(DTYPE_OF).map((name) => [name, undefined] as const),
      ["torch._utils._rebuild_tensor_v2", (args) => ({ kind: "object", content: viewOf(args, source) })],
      ["torch._utils._rebuild_parameter", (args) => firstView(args, fail)],
      ["torch.Size", ([items]) => items],
      ["collections.OrderedDict", (args) => emptyDict(args, fail)],
    ]),
  };
  const value = readPickle(archive.pickle, host);
  let elements = 0;
  const tensorOf = (view: View): Tensor => {
    elements += sizeOf(view.shape);
    if (elements > MOST_ELEMENTS) throw fail(`its tensors have more than ${MOST_ELEMENTS} elements together`);
    return readView(view, source);
  };
  return { value, tensorOf };
}

function storageOf(id: PickleValue, archive: Archive, fail: Fail): Storage {
  const [kind, type, key, , count] = isPickle(id, "tuple") ? id.items : [];
  const dtype = isPickle(type, "global") ? DTYPE_OF[type.name] : undefined;
  if (kind !== "storage" || !dtype || typeof key !== "string") throw fail("a storage is not described as torch does");
  const bytes = archive.storage(key);
  if (!bytes) throw fail(`the storage ${quote(key)} is not in the archive`);
  const length = toCount(count);
  if (length === undefined || length * DTYPES[dtype].bytes !== bytes.length)
    throw fail(
      `the storage ${quote(key)} has ${bytes.length} bytes, which are not the ${length ?? "many"} elements of ${dtype} that are claimed`,
    );
  return { dtype, bytes, count: length, key };
}

function viewOf([content, offset, shape, strides]: readonly PickleValue[], source: string): View {
  const storage = isPickle(content, "object") && isStorage(content.content) ? content.content : undefined;
  const [start, sizes, steps] = [toCount(offset), toCounts(shape), toCounts(strides)];
  if (!storage || start === undefined || !sizes || !steps || sizes.length !== steps.length || sizes.length > MAX_RANK)
    throw new SextantError("format", `${source}: a tensor is not described as torch does`);
  const view = { storage, offset: start, shape: sizes, strides: steps };
  checkView(view, source);
  return view;
}

function checkView({ storage, offset, shape, strides }: View, source: string): void {
  const size = sizeOf(shape);
  if (size === 0) return;
  const last = offset + shape.reduce((total, length, axis) => total + (length - 1) * strides[axis]!, 0);
  const named = `a tensor of shape [${shape.join(", ")}]`;
  if (!(last < storage.count))
    throw new SextantError(
      "format",
      `${source}: ${named} reaches to element ${last} of the storage ${quote(storage.key)}, which has ${storage.count}`,
    );
  if (size <= storage.count) return;
  const why = `${named} repeats the ${storage.count} elements of its storage, as expand does`;
  throw refuse({ what: `cannot read ${source}`, why, instead: INSTEAD }, "format");
}

function firstView([first]: readonly PickleValue[], fail: Fail): PickleValue {
  if (isPickle(first, "object") && !isStorage(first.content)) return first;
  throw fail("a parameter is not described as torch does");
}

function emptyDict(args: readonly PickleValue[], fail: Fail): PickleValue {
  if (args.length > 0) throw fail("an ordered dictionary is made of what is not known");
  return { kind: "dict", entries: new Map() };
}

function isStorage(content: unknown): content is Storage {
  return typeof content === "object" && content !== null && "bytes" in content;
}

/** A whole number from 0 on that is exact. */
function toCount(value: PickleValue): number | undefined {
  return typeof value === "bigint" && value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

function toCounts(value: PickleValue): number[] | undefined {
  if (!isPickle(value, "tuple")) return undefined;
  const counts = value.items.map(toCount);
  return counts.every((count) => count !== undefined && count <= MAX_LENGTH) ? (counts as number[]) : undefined;
}

// ── values ──

/** The elements in row-major order. */
function readView({ storage, offset, shape, strides }: View, source: string): Tensor {
  const size = sizeOf(shape);
  const bytes = DTYPES[storage.dtype].bytes;
  const where = `${source}: a tensor in the storage ${quote(storage.key)}`;
  if (isContiguous(shape, strides) || size === 0)
    return tensor(widened(storage.bytes.subarray(offset * bytes, (offset + size) * bytes), storage.dtype, where), shape);
  const out = new Uint8Array(size * bytes);
  const index = shape.map(() => 0);
  let from = offset;
  for (let to = 0; to < size; to++) {
    for (let i = 0; i < bytes; i++) out[to * bytes + i] = storage.bytes[from * bytes + i]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return tensor(widened(out, storage.dtype, where), shape);
}

/** Whether the strides are row-major; those of axes of length 1 say nothing. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

function widened(bytes: Uint8Array, dtype: Dtype, where: string): TensorData {
  if (!isIntegerDtype(dtype)) return toFloat32(bytes, dtype);
  try {
    return toInt32(bytes, dtype);
  } catch (error) {
    throw new SextantError("format", `${where}: ${(error as Error).message}`, { cause: error });
  }
}

interface Collecting {
  readonly path: readonly string[];
  readonly leaves: Map<string, Tensor>;
  /** How many values were come by, each as often as it is met. */
  readonly visits: { count: number };
  readonly source: string;
  readonly tensorOf: (view: View) => Tensor;
}

/** The leaves of nested dictionaries, lists and tuples. What holds itself, or the same thing very often, meets a bound. */
function collect(value: PickleValue, at: Collecting): void {
  const { path, leaves, visits, source, tensorOf } = at;
  if (++visits.count > MOST_VALUES) throw new SextantError("format", `${source}: more than ${MOST_VALUES} values`);
  const name = path.join(".");
  const members = membersOf(value);
  if (members) {
    if (path.length >= MAX_DEPTH)
      throw new SextantError("format", `${source}: ${quote(name.slice(0, 80))} lies more than ${MAX_DEPTH} deep`);
    for (const [key, member] of members) collect(member, { ...at, path: [...path, key] });
    return;
  }
  if (leaves.has(name)) throw new SextantError("format", `${source}: two values have the name ${quote(name)}`);
  leaves.set(name, leafOf(value, { name, source, tensorOf }));
}

function membersOf(value: PickleValue): Iterable<readonly [string, PickleValue]> | undefined {
  if (isPickle(value, "list") || isPickle(value, "tuple")) return value.items.map((item, i) => [String(i), item] as const);
  if (isPickle(value, "dict")) return [...value.entries].map(([key, item]) => [String(key), item] as const);
  return undefined;
}

function leafOf(value: PickleValue, { name, source, tensorOf }: { name: string } & Pick<Collecting, "source" | "tensorOf">): Tensor {
  if (isPickle(value, "object") && !isStorage(value.content)) return tensorOf(value.content as View);
  if (typeof value === "number") return tensor(Float32Array.of(value), []);
  if (typeof value === "boolean") return tensor(Int32Array.of(Number(value)), []);
  if (typeof value === "bigint" && BigInt.asIntN(32, value) === value) return tensor(Int32Array.of(Number(value)), []);
  const what = `cannot read ${quote(name)} of ${source}`;
  throw refuse({ what, why: `it is ${describe(value)}, neither a tensor nor a number that int32 holds`, instead: INSTEAD }, "format");
}

function describe(value: PickleValue): string {
  if (value === undefined) return "None";
  if (typeof value === "bigint") return String(value).slice(0, 40);
  if (isPickle(value, "global")) return value.name;
  return isPickle(value, "object") ? "a storage" : describeJson(value);
}
