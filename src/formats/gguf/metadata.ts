/** @file The key-value pairs of a GGUF file: thirteen kinds of values, read with bounds. */
import { quote } from "../json.js";
import type { HeaderReader } from "./header-reader.js";

/** A value: whole numbers of 64 bits that a number cannot hold are bigints. Float32 values are those numbers, unrounded. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Most elements that all lists of a file have together: a vocabulary of 262 144 has a million, with its merges, scores and types. */
const MOST_ELEMENTS = 1 << 23;
const DEEPEST = 4;
const LONGEST_KEY = 65_535;
/** A key of no letters with a value of one byte. */
const LEAST_PAIR = 13;

interface Kind {
  /** The least that a value takes. */
  readonly bytes: number;
  readonly read: (reader: HeaderReader, what: string) => GgufValue;
}

const number = (bytes: number, of: (view: DataView) => number | bigint): Kind => ({
  bytes,
  read: (reader, what) => plainNumber(of(reader.take(bytes, what))),
});

const ARRAY = 9;

/** By the number of the kind; lists are apart. */
const KINDS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [0, number(1, (view) => view.getUint8(0))],
  [1, number(1, (view) => view.getInt8(0))],
  [2, number(2, (view) => view.getUint16(0, true))],
  [3, number(2, (view) => view.getInt16(0, true))],
  [4, number(4, (view) => view.getUint32(0, true))],
  [5, number(4, (view) => view.getInt32(0, true))],
  [6, number(4, (view) => view.getFloat32(0, true))],
  [7, { bytes: 1, read: readBoolean }],
  [8, { bytes: 8, read: (reader, what) => reader.text(what) }],
  [10, number(8, (view) => view.getBigUint64(0, true))],
  [11, number(8, (view) => view.getBigInt64(0, true))],
  [12, number(8, (view) => view.getFloat64(0, true))],
]);

/** `count` pairs. A key that is there twice is refused. */
export function readMetadata(reader: HeaderReader, count: number): Map<string, GgufValue> {
  reader.demand(count, LEAST_PAIR, `the list of ${count} keys`);
  const metadata = new Map<string, GgufValue>();
  const budget = { left: MOST_ELEMENTS };
  for (let i = 0; i < count; i++) {
    const key = reader.name(`key ${i}`, LONGEST_KEY);
    if (metadata.has(key)) throw reader.error(`it has the key ${quote(key)} twice`);
    metadata.set(key, readValue(reader, `the value of ${quote(key)}`, { budget, depth: 0 }));
  }
  return metadata;
}

interface Bounds {
  readonly budget: { left: number };
  readonly depth: number;
}

function readValue(reader: HeaderReader, what: string, bounds: Bounds): GgufValue {
  const id = reader.uint32(`the kind of ${what}`);
  if (id === ARRAY) return readList(reader, what, bounds);
  return kindOf(reader, id, what).read(reader, what);
}

function readList(reader: HeaderReader, what: string, { budget, depth }: Bounds): GgufValue[] {
  if (depth === DEEPEST) throw reader.error(`${what} has lists within lists, deeper than ${DEEPEST}`);
  const id = reader.uint32(`the kind of the elements of ${what}`);
  const count = reader.count(`the count of elements of ${what}`);
  const kind = id === ARRAY ? undefined : kindOf(reader, id, what);
  reader.demand(count, kind?.bytes ?? 12, what);
  budget.left -= count;
  if (budget.left < 0) throw reader.error(`${what} has ${count} elements; all lists together have at most ${MOST_ELEMENTS}`);
  const list: GgufValue[] = [];
  for (let i = 0; i < count; i++) list.push(kind ? kind.read(reader, what) : readList(reader, what, { budget, depth: depth + 1 }));
  return list;
}

function kindOf(reader: HeaderReader, id: number, what: string): Kind {
  const kind = KINDS.get(id);
  if (!kind) throw reader.error(`${what} is of kind ${id}, known are 0 to 12`);
  return kind;
}

function plainNumber(value: number | bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function readBoolean(reader: HeaderReader, what: string): boolean {
  const byte = reader.take(1, what).getUint8(0);
  if (byte > 1) throw reader.error(`${what} is a truth value of ${byte}, not of 0 or 1`);
  return byte === 1;
}
