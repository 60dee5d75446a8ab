/** @file Binary files made by hand, so that each field can lie. */

/** The bytes of an `.npy` file with that header text. */
export function npyBytes(header: string, values: ArrayBufferView, version = 1): Buffer {
  const wide = version > 1;
  const start = Buffer.alloc(wide ? 12 : 10);
  start.write("\x93NUMPY", "latin1");
  start[6] = version;
  if (wide) start.writeUInt32LE(header.length, 8);
  else start.writeUInt16LE(header.length, 8);
  return Buffer.concat([start, Buffer.from(header, "latin1"), Buffer.from(values.buffer, values.byteOffset, values.byteLength)]);
}

/** One entry of an archive, as its directory describes it. */
export interface ZipEntry {
  readonly name: string;
  readonly packed: Uint8Array;
  readonly size: number;
  readonly checksum: number;
  readonly method: number;
  readonly flags?: number;
  /** Where the directory says that it begins. */
  readonly offset?: number;
}

/** The bytes of a zip archive. */
export function zipBytes(entries: readonly ZipEntry[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, packed, size, checksum, method, flags = 0, offset = at } of entries) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    locals.push(local, Buffer.from(name), Buffer.from(packed));
    at += 30 + name.length + packed.length;
    const record = Buffer.alloc(46);
    record.writeUInt32LE(0x02014b50, 0);
    record.writeUInt16LE(flags, 8);
    record.writeUInt16LE(method, 10);
    for (const [field, value] of [
      [16, checksum],
      [20, packed.length],
      [24, size],
      [42, offset],
    ] as const)
      record.writeUInt32LE(value, field);
    record.writeUInt16LE(name.length, 28);
    directory.push(record, Buffer.from(name));
  }
  const records = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(records.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, records, end]);
}
