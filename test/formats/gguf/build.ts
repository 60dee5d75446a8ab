/** @file GGUF files made by hand, so that each field can lie. */

/** A value with the number of its kind: 4 uint32, 5 int32, 6 float32, 7 bool, 8 text, 9 list, 10 uint64. */
export type Pair = readonly [key: string, kind: number, value: unknown];

/** A tensor as the header describes it: lengths in ggml's order, the offset from where the weights begin. */
export interface Claim {
  readonly name: string;
  readonly lengths: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
  readonly rank?: number;
}

export interface Parts {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly pairCount?: number | bigint;
  readonly pairs?: readonly Pair[];
  readonly claims?: readonly Claim[];
  readonly alignment?: number;
  readonly data?: Uint8Array;
}

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
};

/** A list: the kind of its elements, their count, and their bytes. */
export const list = (kind: number, items: readonly unknown[]): Buffer =>
  Buffer.concat([u32(kind), u64(items.length), ...items.map((item) => valueBytes(kind, item))]);

/** The bytes of a file; `data` comes at the next multiple of the alignment. */
export function ggufBytes(parts: Parts): Buffer {
  const { magic = "GGUF", version = 3, pairs = [], claims = [], alignment = 32, data = new Uint8Array(0) } = parts;
  const head = Buffer.concat([
    Buffer.from(magic, "latin1"),
    u32(version),
    u64(parts.tensorCount ?? claims.length),
    u64(parts.pairCount ?? pairs.length),
    ...pairs.map(([key, kind, value]) => Buffer.concat([text(key), u32(kind), valueBytes(kind, value)])),
    ...claims.map(({ name, lengths, type, offset, rank = lengths.length }) =>
      Buffer.concat([text(name), u32(rank), ...lengths.map(u64), u32(type), u64(offset)]),
    ),
  ]);
  return Buffer.concat([head, Buffer.alloc(-head.length & (alignment - 1)), data]);
}

function valueBytes(kind: number, value: unknown): Buffer {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (kind === 8) return text(value as string);
  if (kind === 9) return value as Buffer;
  if (kind === 10) return u64(value as bigint);
  if (kind === 7 || kind === 0) return Buffer.of(Number(value));
  const bytes = Buffer.alloc(4);
  if (kind === 6) bytes.writeFloatLE(value as number);
  else bytes.writeUInt32LE((value as number) >>> 0);
  return bytes;
}
