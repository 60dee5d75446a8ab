/**
 * @file For `peft_check.py`: writes an adapter of ours for a model, the merged model, and our logits of both.
 * Usage: npx tsx test/oracle/write-adapter.ts MODEL OUT TOKENS, where TOKENS is a JSON list of ids. Into OUT go adapter/, merged/, ours.safetensors.
 */
import { join } from "node:path";
import { seededRandom } from "../../src/base/random.js";
import { writePeft } from "../../src/formats/peft.js";
import { writeSafetensors } from "../../src/formats/safetensors-writer.js";
import { initialAdapter, withAdapters } from "../../src/models/lora.js";
import { loadModel, readSpec } from "../../src/runtime/load.js";
import { mergeAdapter } from "../../src/runtime/merge-adapter.js";

const [model = "", out = "", ids = "[]"] = process.argv.slice(2);
const tokens = [JSON.parse(ids) as number[]];
const { spec, checkpoint } = readSpec(model);
checkpoint.close();
const adapted = withAdapters(spec, { rank: 3, alpha: 5, targets: "all-linear" });
const tensors = initialAdapter(adapted.tensors, 7);
const random = seededRandom(8);
for (const [name, { data }] of Object.entries(tensors))
  if (name.includes("lora_B")) data.forEach((_, i) => (data[i] = (random() - 0.5) / 2));
const adapter = join(out, "adapter");
writePeft(adapter, adapted.config, tensors);
mergeAdapter(model, adapter, join(out, "merged"));

const logits = async (path: string, options: { adapter?: string }) => {
  const loaded = await loadModel(path, { threads: 1, lazy: true, ...options });
  const result = await loaded.forward({ tokens, logits: { positions: "all" } });
  await loaded.close();
  return result.logits!;
};
writeSafetensors(join(out, "ours.safetensors"), {
  adapted: await logits(model, { adapter }),
  merged: await logits(join(out, "merged"), {}),
  base: await logits(model, {}),
});
