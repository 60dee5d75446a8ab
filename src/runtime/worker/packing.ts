/**
 * @file Requests and results made ready for another thread. An array's memory goes over whole and without a copy where nobody here needs it;
 * where somebody does, it is copied once, which is less than a clone costs (into the message and out of it). Cloning a view would take along all
 * of the memory that it looks at.
 */

/** What is to be posted, and whose memory goes with it. */
export interface Packed<T> {
  readonly value: T;
  readonly transfer: readonly ArrayBuffer[];
}

const KINDS = [Float32Array, Float64Array, Int32Array, BigInt64Array] as const;
type Numbers = InstanceType<(typeof KINDS)[number]>;

/** The value with arrays of its own: those of the caller stay as they are. Arrays on shared memory are shared. */
export function withCopies<T>(value: T): Packed<T> {
  return packed(value, () => true);
}

/** The value with the arrays that it has: they are empty once it is posted. A view of a part of some memory is copied, since the rest is others'. */
export function givenAway<T>(value: T): Packed<T> {
  return packed(value, ({ byteLength, buffer }) => byteLength !== buffer.byteLength);
}

function packed<T>(value: T, mustCopy: (array: Numbers) => boolean): Packed<T> {
  const known = new Map<object, unknown>();
  const transfer = new Set<ArrayBuffer>();
  const numbers = (array: Numbers): Numbers => {
    if (array.buffer instanceof SharedArrayBuffer) return array;
    // Arrays whose memory is gone have no elements, and can neither be copied nor cloned.
    if (array.length === 0) return new (KINDS.find((Kind) => array instanceof Kind) ?? Float32Array)(0);
    const mine = mustCopy(array) ? array.slice() : array;
    transfer.add(mine.buffer as ArrayBuffer);
    return mine;
  };
  const members = (part: object): unknown => {
    if (isNumbers(part)) return numbers(part);
    if (Array.isArray(part)) return typeof part[0] === "object" ? part.map(walk) : part;
    return isPlain(part) ? Object.fromEntries(Object.entries(part).map(([name, member]) => [name, walk(member)])) : part;
  };
  const walk = (part: unknown): unknown => {
    if (typeof part !== "object" || part === null) return part;
    if (known.has(part)) return known.get(part);
    known.set(part, part); // Where it holds itself.
    const ready = members(part);
    known.set(part, ready);
    return ready;
  };
  return { value: walk(value) as T, transfer: [...transfer] };
}

function isNumbers(value: object): value is Numbers {
  return KINDS.some((Kind) => value instanceof Kind);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
