/**
 * @file A process of its own that loads a model, runs what a user would, and says what came out and how much memory was resident at most.
 * `streamed-run.ts FOLDER [MEMORY_LIMIT]`; prints one JSON object.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Tensor } from "../../src/base/tensor.js";
import type { Edit } from "../../src/runtime/edit.js";
import { loadModel } from "../../src/runtime/load.js";
import type { Model } from "../../src/runtime/model.js";

/** What the process says: the bits of each result, hashed, and bytes. */
export interface Said {
  readonly results: Readonly<Record<string, string>>;
  readonly peak: number;
}

/** Rows of those lengths, with ids that small vocabularies have as well. */
function rowsOf(...lengths: readonly number[]): number[][] {
  return lengths.map((length, row) => Array.from({ length }, (_, i) => (row * 17 + i * i * 5 + i * 11 + 7) % 61));
}

function digest(tensors: Readonly<Record<string, Tensor | undefined>>): string {
  const hash = createHash("sha256");
  for (const [name, tensor] of Object.entries(tensors).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (!tensor) continue;
    const { buffer, byteOffset, byteLength } = tensor.data;
    hash.update(`${name} ${String(tensor.shape)} `).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

async function resultsOf(model: Model): Promise<Record<string, string>> {
  const last = model.spec.layers.length - 1;
  const edits: Edit[] = [1, last >> 1, last].flatMap((layer) => [
    { at: `z.${layer}`, op: "scale", by: 0.5 },
    { at: `mlp_out.${layer}`, op: "scale", by: 2 },
  ]);
  const read = ["resid_post.*", `pattern.${last}`];
  const plain = await model.forward({ tokens: rowsOf(24), read, logits: { positions: "all" } });
  const edited = await model.forward({ tokens: rowsOf(24), read, edits });
  const padded = await model.forward({ tokens: rowsOf(3, 17, 9, 1), read, logits: { positions: "all" } });
  const generated = await model.generate({ tokens: rowsOf(9, 4), maxNew: 4, stopTokens: [], logits: true });
  const again = await model.forward({ tokens: rowsOf(24), read, logits: { positions: "all" } });
  return {
    plain: digest({ ...plain.activations, logits: plain.logits }),
    edited: digest({ ...edited.activations, logits: edited.logits }),
    padded: digest({ ...padded.activations, logits: padded.logits }),
    generated: `${digest({ logits: generated.logits })} ${JSON.stringify(generated.tokens)}`,
    again: digest({ ...again.activations, logits: again.logits }),
  };
}

/** Bytes that were resident at most since the process began, as Linux counts them: mapped files included. */
function peakMemory(): number {
  return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

const [folder = "", limit] = process.argv.slice(2);
const model = await loadModel(folder, { threads: 2, ...(limit && { memoryLimit: Number(limit) }) });
const results = await resultsOf(model);
await model.close();
const said: Said = { results, peak: peakMemory() };
console.log(JSON.stringify(said));
