/**
 * @file The files of a model from a web server, by name, as Blobs that the browser may keep on its disk. Only what a model needs is asked for. An
 * address such as `https://huggingface.co/ORG/NAME/resolve/main/` is one of the hub's.
 */
import { refuse, SextantError } from "../base/errors.js";
import { heed } from "../base/interruption.js";
import { decodeText, parseJsonObject, quote } from "../formats/json.js";
import { INDEX, readWeightMap, WHOLE } from "../formats/shards.js";
import type { RunOptions } from "../runtime/model.js";

/** Files that a model may do without. */
const OPTIONAL = ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "chat_template.jinja"];
/** No file is larger: WebAssembly could not hold it. */
const MOST_BYTES = 2 ** 32;
const MOST_SHARDS = 1024;

/**
 * The files of the model below `base`, an address of a folder. `onProgress` hears of the bytes of each file; where the server does not say how many
 * there are, `total` is what has come so far.
 */
export async function fetchModelFiles(base: string | URL, options: RunOptions = {}): Promise<Map<string, Blob>> {
  const folder = folderOf(base);
  const files = new Map<string, Blob>();
  const take = async (name: string): Promise<Blob | undefined> => {
    const blob = await fetchFile(new URL(encodeURIComponent(name), folder), options);
    if (blob) files.set(name, blob);
    return blob;
  };
  const lacking = (names: string): SextantError =>
    refuse(
      { what: `cannot load a model from ${folder.href}`, why: `it has no ${names}`, instead: "give the address of a model's folder" },
      "file",
    );
  if (!(await take("config.json"))) throw lacking("config.json");
  for (const name of OPTIONAL) await take(name);
  if (await take(WHOLE)) return files;
  const index = await take(INDEX);
  if (!index) throw lacking(`${WHOLE} or ${INDEX}`);
  for (const shard of await shardsOf(index)) if (!(await take(shard))) throw lacking(`${shard}, which ${INDEX} names`);
  return files;
}

function folderOf(base: string | URL): URL {
  const text = String(base);
  const page = (globalThis as { readonly location?: { readonly href: string } }).location?.href;
  if (!URL.canParse(text, page)) throw new SextantError("usage", `${quote(text)} is not the address of a folder`);
  const url = new URL(text, page);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

async function shardsOf(index: Blob): Promise<Set<string>> {
  const text = decodeText(new Uint8Array(await index.arrayBuffer()), INDEX);
  const shards = new Set(readWeightMap(parseJsonObject(text, INDEX), INDEX).values());
  if (shards.size <= MOST_SHARDS) return shards;
  throw new SextantError("format", `${INDEX} names ${shards.size} files; at most ${MOST_SHARDS} are read`);
}

/** The file, or undefined where the server has none. */
async function fetchFile(url: URL, options: RunOptions): Promise<Blob | undefined> {
  const { signal } = options;
  try {
    const response = await fetch(url, signal ? { signal } : {});
    if (response.ok && response.body) return await bodyOf(response, response.body, url, options);
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new SextantError("file", `cannot load ${url.href}: the server answered with status ${response.status}`);
  } catch (error) {
    if (error instanceof SextantError) throw error;
    heed(signal, "loading");
    const why = error instanceof Error ? error.message : String(error);
    const instead = "check the address, and whether its server lets pages of other servers read it (CORS)";
    throw refuse({ what: `cannot load ${url.href}`, why, instead }, "file");
  }
}

/** The whole body; one that is shorter than the server said is refused. */
async function bodyOf({ headers }: Response, body: ReadableStream<Uint8Array>, url: URL, { onProgress }: RunOptions): Promise<Blob> {
  const name = decodeURIComponent(url.pathname.split("/").at(-1) ?? "");
  const stated = headers.has("content-encoding") ? 0 : Number(headers.get("content-length"));
  const counted = body.pipeThrough(counter(name, (done) => onProgress?.({ stage: name, done, total: Math.max(stated, done) })));
  const blob = await new Response(counted).blob();
  if (stated > 0 && blob.size !== stated) throw new SextantError("file", `cannot load ${url.href}: ${blob.size} of ${stated} bytes came`);
  return blob;
}

/** Passes bytes on, and stops at a file that is too large. */
function counter(name: string, onBytes: (done: number) => void): TransformStream<Uint8Array, Uint8Array> {
  let done = 0;
  return new TransformStream({
    transform(chunk: Uint8Array, controller): void {
      done += chunk.length;
      if (done > MOST_BYTES) throw new SextantError("file", `${name} is too large: read are files up to ${MOST_BYTES} bytes`);
      onBytes(done);
      controller.enqueue(chunk);
    },
  });
}
