/**
 * @file Which files of a repository a model needs to run: configuration, tokenizer, chat template, safetensors. The same weights in other
 * formats, in other precisions and for other programs stay where they are.
 */
import { posix } from "node:path";
import { refuse, SextantError } from "../../base/errors.js";
import { isJsonObject, quote } from "../json.js";
import type { RemoteFile } from "./listing.js";
import { describeModelId, type ModelId } from "./model-id.js";

/** The one file of weights, and the file that names several; as `transformers` looks for them. */
export const WEIGHTS = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";

const BESIDE_WEIGHTS =
  /^(?:config\.json|generation_config\.json|tokenizer[^/]*\.(?:json|model)|special_tokens_map\.json|added_tokens\.json|vocab\.(?:json|txt)|merges\.txt|spiece\.model|sentencepiece[^/]*\.model|chat_template\.(?:jinja|json)|additional_chat_templates\/[^/]+\.jinja|LICENSE[^/]*)$/;
const OTHER_WEIGHTS = /\.(?:bin|pth?|ckpt|gguf|ggml|onnx|h5|msgpack|npz|safetensors)$/;

/** Everything but the weights, and what `include` names: patterns in which `*` stands for any characters and `?` for one. */
export function neededBesideWeights(files: readonly RemoteFile[], include: readonly string[], id: ModelId): RemoteFile[] {
  const patterns = include.map(patternOf);
  const stray = include.find((_, index) => !files.some(({ path }) => patterns[index]!.test(path)));
  if (stray !== undefined)
    throw refuse({ what: `cannot download ${describeModelId(id)}`, why: `none of its files is called ${quote(stray)}` }, "file");
  const isIncluded = ({ path }: RemoteFile): boolean => patterns.some((pattern) => pattern.test(path));
  return files.filter((file) => BESIDE_WEIGHTS.test(file.path) || isIncluded(file));
}

/** The file of weights, or the index that names several; undefined for a repository without either, or without `config.json`. */
export function entryToWeights(files: readonly RemoteFile[]): RemoteFile | undefined {
  const find = (wanted: string): RemoteFile | undefined => files.find(({ path }) => path === wanted);
  return find("config.json") && (find(WEIGHTS) ?? find(WEIGHTS_INDEX));
}

/** The refusal of a repository that has no such files, with those that it has instead. */
export function noModel(files: readonly RemoteFile[], id: ModelId): SextantError {
  const hasConfig = files.some(({ path }) => path === "config.json");
  const others = files.filter(({ path }) => OTHER_WEIGHTS.test(path)).slice(0, 3);
  const has = others.length > 0 ? `, but has ${others.map(({ path }) => quote(path)).join(", ")}` : "";
  const why = `its repository has no ${hasConfig ? `${WEIGHTS} or ${WEIGHTS_INDEX}` : "config.json"}${has}`;
  const instead = "choose a repository of a model with weights as safetensors, or name its files with include";
  return refuse({ what: `cannot download ${describeModelId(id)}`, why, instead }, "unsupported");
}

/** The files of weights that an index names. */
export function shardsOf(index: unknown, files: readonly RemoteFile[], id: ModelId): RemoteFile[] {
  const map = isJsonObject(index) ? index["weight_map"] : undefined;
  if (!isJsonObject(map)) throw new SextantError("format", `cannot download ${describeModelId(id)}: ${WEIGHTS_INDEX} has no weight_map`);
  const byPath = new Map(files.map((file) => [file.path, file]));
  return [...new Set(Object.values(map))].map((name) => {
    const file = typeof name === "string" ? byPath.get(posix.normalize(name)) : undefined;
    if (file) return file;
    throw new SextantError(
      "format",
      `cannot download ${describeModelId(id)}: ${WEIGHTS_INDEX} names ${quote(String(name))}, which is not there`,
    );
  });
}

function patternOf(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s");
}
