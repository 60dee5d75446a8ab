/** @file Results to the last bit, as text that can be compared: arrays as their kind and bytes. What a run took is left out, since no two take the same. */

/** The value with each typed array as `KIND BYTES`, without costs. */
export function bitsOf(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return `${value.constructor.name} ${Buffer.from(buffer, byteOffset, byteLength).toString("base64")}`;
  }
  if (Array.isArray(value)) return value.map(bitsOf);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== "cost")
      .map(([name, member]) => [name, bitsOf(member)]),
  );
}

/** Every typed array in a value. */
export function arraysIn(value: unknown): ArrayBufferView[] {
  if (ArrayBuffer.isView(value)) return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(arraysIn) : [];
}
