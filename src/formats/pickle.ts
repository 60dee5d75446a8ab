/**
 * @file Python pickles from strangers, of plain data: a machine with a stack, of whose operations only those are known that make numbers, texts, lists,
 * tuples and dictionaries. A pickle may name functions and classes and have them called; here a name stands for what the caller's table holds under it, and
 * any other name is refused. Nothing is ever looked up or run.
 */
import { refuse, SextantError } from "../base/errors.js";
import { quote } from "./json.js";

/** What a pickle may hold. Whole numbers are bigint, floats are number, None is undefined. */
export type PickleValue =
  | undefined
  | boolean
  | bigint
  | number
  | string
  | PickleList
  | PickleTuple
  | PickleDict
  | PickleGlobal
  | PickleObject;

/** A list; it may hold itself. */
export interface PickleList {
  readonly kind: "list";
  readonly items: PickleValue[];
}

export interface PickleTuple {
  readonly kind: "tuple";
  readonly items: readonly PickleValue[];
}

/** A dictionary, in its order. */
export interface PickleDict {
  readonly kind: "dict";
  readonly entries: Map<string | bigint | boolean | number, PickleValue>;
}

/** A name of the caller's table. */
export interface PickleGlobal {
  readonly kind: "global";
  readonly name: string;
}

/** What a call or a persistent id gave: the caller's own business. */
export interface PickleObject {
  readonly kind: "object";
  readonly content: unknown;
}

/** Whether a value is of a kind that has parts. */
export function isPickle<K extends PickleKind["kind"]>(value: PickleValue, kind: K): value is Extract<PickleKind, { kind: K }> {
  return typeof value === "object" && value.kind === kind;
}

type PickleKind = Extract<PickleValue, { readonly kind: string }>;

/** What the caller makes of names and persistent ids. */
export interface PickleHost {
  /** What an error calls the pickle. */
  readonly source: string;
  /** Full names, such as `collections.OrderedDict`, and what a call with these arguments gives; undefined for names that are not called. */
  readonly globals: ReadonlyMap<string, ((args: readonly PickleValue[]) => PickleValue) | undefined>;
  /** What a persistent id stands for. */
  readonly persistent: (id: PickleValue) => PickleValue;
  /** What to do instead of reading a pickle that holds more. */
  readonly instead: string;
}

const MOST_OPERATIONS = 1 << 21;
const MOST_TEXT = 1 << 16;
const STOP = 0x2e;
const MARK = Symbol("mark");

type Slot = PickleValue | typeof MARK;

/** The value of a pickle of protocol 2 to 5; one of more than 2²¹ operations is refused, which bounds time and memory. */
export function readPickle(bytes: Uint8Array, host: PickleHost): PickleValue {
  const machine: Machine = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    at: 0,
    stack: [],
    memo: new Map(),
    host,
  };
  for (let done = 0; done < MOST_OPERATIONS; done++) {
    const code = byte(machine);
    if (code === STOP) return end(machine);
    const operation = OPERATIONS.get(code);
    if (!operation) throw unknown(machine, code);
    operation(machine);
  }
  throw failure(machine, `more than ${MOST_OPERATIONS} operations`);
}

interface Machine {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
  readonly stack: Slot[];
  readonly memo: Map<number, PickleValue>;
  readonly host: PickleHost;
}

type Operation = (machine: Machine) => void;

// oxfmt-ignore
/** What is known, by opcode; names are pickletools'. Numbers in the text form of protocol 0 and whatever builds objects by class are not. */
const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x80, (m) => checkProtocol(m, byte(m))],                                       // PROTO
  [0x95, (m) => void take(m, 8)],                                                 // FRAME
  [0x28, (m) => void m.stack.push(MARK)],                                         // MARK
  [0x30, (m) => void pop(m)],                                                     // POP
  [0x4e, (m) => push(m, undefined)],                                              // NONE
  [0x88, (m) => push(m, true)],                                                   // NEWTRUE
  [0x89, (m) => push(m, false)],                                                  // NEWFALSE
  [0x4b, (m) => push(m, BigInt(byte(m)))],                                        // BININT1
  [0x4d, (m) => push(m, BigInt(fixed(m, 2, (at) => m.view.getUint16(at, true))))], // BININT2
  [0x4a, (m) => push(m, BigInt(fixed(m, 4, (at) => m.view.getInt32(at, true))))],  // BININT
  [0x8a, (m) => push(m, long(take(m, byte(m))))],                                 // LONG1
  [0x47, (m) => push(m, fixed(m, 8, (at) => m.view.getFloat64(at)))],             // BINFLOAT
  [0x58, (m) => push(m, text(m, fixed(m, 4, (at) => m.view.getUint32(at, true))))], // BINUNICODE
  [0x8c, (m) => push(m, text(m, byte(m)))],                                       // SHORT_BINUNICODE
  [0x29, (m) => push(m, { kind: "tuple", items: [] })],                                    // EMPTY_TUPLE
  [0x85, (m) => push(m, { kind: "tuple", items: popMany(m, 1) })],                         // TUPLE1
  [0x86, (m) => push(m, { kind: "tuple", items: popMany(m, 2) })],                         // TUPLE2
  [0x87, (m) => push(m, { kind: "tuple", items: popMany(m, 3) })],                         // TUPLE3
  [0x74, (m) => push(m, { kind: "tuple", items: popMarked(m) })],                          // TUPLE
  [0x5d, (m) => push(m, { kind: "list", items: [] })],                                                     // EMPTY_LIST
  [0x61, (m) => append(m, popMany(m, 1))],                                        // APPEND
  [0x65, (m) => append(m, popMarked(m))],                                         // APPENDS
  [0x7d, (m) => push(m, { kind: "dict", entries: new Map() })],                                       // EMPTY_DICT
  [0x73, (m) => setItems(m, popMany(m, 2))],                                      // SETITEM
  [0x75, (m) => setItems(m, popMarked(m))],                                       // SETITEMS
  [0x71, (m) => void m.memo.set(byte(m), top(m))],                                // BINPUT
  [0x72, (m) => void m.memo.set(fixed(m, 4, (at) => m.view.getUint32(at, true)), top(m))], // LONG_BINPUT
  [0x94, (m) => void m.memo.set(m.memo.size, top(m))],                            // MEMOIZE
  [0x68, (m) => push(m, recall(m, byte(m)))],                                     // BINGET
  [0x6a, (m) => push(m, recall(m, fixed(m, 4, (at) => m.view.getUint32(at, true))))], // LONG_BINGET
  [0x63, (m) => push(m, globalOf(m, line(m), line(m)))],                          // GLOBAL
  [0x93, (m) => stackGlobal(m)],                                                  // STACK_GLOBAL
  [0x52, (m) => call(m)],                                                         // REDUCE
  [0x62, (m) => build(m)],                                                        // BUILD
  [0x51, (m) => push(m, m.host.persistent(pop(m)))],                              // BINPERSID
]);

// ── bytes ──

function failure({ host, at }: Machine, what: string): SextantError {
  return new SextantError("format", `${host.source}: the pickle is damaged near byte ${at}: ${what}`);
}

function unknown(machine: Machine, code: number): SextantError {
  const why = `its byte ${machine.at - 1} asks for the operation 0x${code.toString(16).padStart(2, "0")}, which plain data does not need`;
  return refuse({ what: `cannot read ${machine.host.source}`, why, instead: machine.host.instead }, "format");
}

function take(machine: Machine, length: number): Uint8Array {
  const { bytes, at } = machine;
  if (length > bytes.length - at) throw failure(machine, `it ends there, ${length} more bytes are needed`);
  machine.at += length;
  return bytes.subarray(at, at + length);
}

function byte(machine: Machine): number {
  return take(machine, 1)[0]!;
}

/** A number of so many bytes. */
function fixed(machine: Machine, length: number, read: (at: number) => number): number {
  const { at } = machine;
  take(machine, length);
  return read(at);
}

function text(machine: Machine, length: number): string {
  if (length > MOST_TEXT) throw failure(machine, `a text of ${length} bytes, allowed are ${MOST_TEXT}`);
  const bytes = take(machine, length);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw failure(machine, "a text is not UTF-8");
  }
}

/** Up to the next line break, which is passed over. */
function line(machine: Machine): string {
  const length = machine.bytes.subarray(machine.at, machine.at + 256).indexOf(0x0a);
  if (length < 0) throw failure(machine, "a name of more than 256 bytes");
  const found = text(machine, length);
  machine.at++;
  return found;
}

/** A whole number, lowest byte first, in two's complement. */
function long(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const [i, part] of bytes.entries()) value |= BigInt(part) << BigInt(8 * i);
  return BigInt.asIntN(8 * bytes.length, value);
}

function checkProtocol(machine: Machine, protocol: number): void {
  if (protocol < 2 || protocol > 5) throw failure(machine, `protocol ${protocol} is not one of 2 to 5`);
}

// ── the stack ──

function push({ stack }: Machine, value: PickleValue): void {
  stack.push(value);
}

function pop(machine: Machine): PickleValue {
  const { stack } = machine;
  if (stack.length === 0) throw failure(machine, "it takes more values than there are");
  const value = stack.pop();
  if (value === MARK) throw failure(machine, "it takes a value where a list begins");
  return value;
}

function popMany(machine: Machine, count: number): PickleValue[] {
  return Array.from({ length: count }, () => pop(machine)).reverse();
}

function popMarked(machine: Machine): PickleValue[] {
  const mark = machine.stack.lastIndexOf(MARK);
  if (mark < 0) throw failure(machine, "a list ends that did not begin");
  const items = machine.stack.splice(mark) as PickleValue[];
  return items.slice(1);
}

function top(machine: Machine): PickleValue {
  const value = machine.stack.at(-1);
  if (machine.stack.length === 0 || value === MARK) throw failure(machine, "there is no value to keep");
  return value;
}

function recall(machine: Machine, index: number): PickleValue {
  if (!machine.memo.has(index)) throw failure(machine, `it has kept no value ${index}`);
  return machine.memo.get(index);
}

function append(machine: Machine, items: readonly PickleValue[]): void {
  const list = top(machine);
  if (!isPickle(list, "list")) throw failure(machine, "it appends to what is no list");
  for (const item of items) list.items.push(item);
}

function setItems(machine: Machine, items: readonly PickleValue[]): void {
  const dict = top(machine);
  if (!isPickle(dict, "dict") || items.length % 2 !== 0) throw failure(machine, "it sets keys of what is no dictionary");
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i];
    if (key === undefined || typeof key === "object") throw failure(machine, "a key is neither a text nor a number");
    dict.entries.set(key, items[i + 1]);
  }
}

function end(machine: Machine): PickleValue {
  const value = pop(machine);
  if (machine.stack.length > 0) throw failure(machine, `${machine.stack.length} values are left over`);
  return value;
}

// ── names and calls ──

function globalOf(machine: Machine, module: string, name: string): PickleGlobal {
  const { source, globals, instead } = machine.host;
  const full = `${module}.${name}`;
  if (globals.has(full)) return { kind: "global", name: full };
  throw refuse({ what: `cannot read ${source}`, why: `it wants ${quote(full)}, which is no plain data`, instead }, "format");
}

function stackGlobal(machine: Machine): void {
  const [module, name] = popMany(machine, 2);
  if (typeof module !== "string" || typeof name !== "string") throw failure(machine, "a name is no text");
  push(machine, globalOf(machine, module, name));
}

function call(machine: Machine): void {
  const [callee, args] = popMany(machine, 2);
  const does = isPickle(callee, "global") ? machine.host.globals.get(callee.name) : undefined;
  if (!does || !isPickle(args, "tuple")) throw failure(machine, "it calls what is no function");
  push(machine, does(args.items));
}

/** Attributes of a dictionary, such as the versions in a model's `state_dict`, are passed over: they are not among its members. */
function build(machine: Machine): void {
  pop(machine);
  if (!isPickle(top(machine), "dict")) throw failure(machine, "it sets attributes of what is no dictionary");
}
