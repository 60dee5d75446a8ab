/** @file NumPy's `.npz`: a zip archive of `.npy` files, stored or deflated. */
import { zipSync } from "fflate";
import { describeBytes } from "../base/bytes.js";
import { refuse, SextantError } from "../base/errors.js";
import type { Tensor } from "../base/tensor.js";
import { writeAtomic } from "./atomic.js";
import { readFileBounded } from "./files.js";
import { quote } from "./json.js";
import { npyChunks, parseNpy } from "./npy.js";
import { readZip, type ZipLimits } from "./zip.js";

const GIBIBYTE = 2 ** 30;

/** The arrays of an `.npz` file by name; what they may unpack to is bounded: 1 GiB each, 2 GiB together. */
export function readNpz(path: string, limits: Partial<ZipLimits> = {}): Map<string, Tensor> {
  return parseNpz(readFileBounded(path, 2 * GIBIBYTE), path, limits);
}

/** As `readNpz`, of bytes in memory; `source` is what an error calls them. */
export function parseNpz(bytes: Uint8Array, source: string, limits: Partial<ZipLimits> = {}): Map<string, Tensor> {
  const entries = readZip(bytes, source, { maxEntryBytes: GIBIBYTE, maxTotalBytes: 2 * GIBIBYTE, ...limits });
  return new Map(
    [...entries].map(([name, content]) => {
      if (!name.endsWith(".npy")) throw new SextantError("format", `${source}: the entry ${quote(name)} is not an .npy file`);
      return [name.slice(0, -4), parseNpy(content, `${source}, ${quote(name)}`)];
    }),
  );
}

/** Writes the tensors as `.npz`, deflated when `compress` is set. The same tensors give the same bytes. */
export function writeNpz(path: string, tensors: Readonly<Record<string, Tensor>>, { compress = false } = {}): void {
  const bytes = Object.values(tensors).reduce((total, { data }) => total + data.byteLength, 0);
  if (bytes > 2 * GIBIBYTE)
    throw refuse(
      {
        what: `cannot write ${path}`,
        why: `an archive is made in memory, up to 2 GiB, these are ${describeBytes(bytes)}`,
        instead: "write safetensors",
      },
      "request",
    );
  const files = Object.entries(tensors).map(([name, tensor]): [string, Uint8Array] => [`${name}.npy`, Buffer.concat(npyChunks(tensor))]);
  writeAtomic(path, [zipSync(Object.fromEntries(files), { level: compress ? 6 : 0, mtime: new Date(1980, 0, 1) })]);
}
