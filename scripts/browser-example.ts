/** @file Builds `examples/browser` and serves it from this machine, with the models in the given folders. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type BuildOptions } from "esbuild";

const PAGE = fileURLToPath(new URL("../examples/browser", import.meta.url));
const RUNTIME = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** A model that the page offers, with a text and a direction to begin with. */
export interface OfferedModel {
  readonly name: string;
  readonly folder: string;
  readonly prompt: string;
  readonly steer: readonly [towards: string, from: string];
  readonly strength: number;
}

/** How everything here is bundled. */
const BUNDLING = {
  tsconfig: join(PAGE, "tsconfig.json"),
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  // ONNX Runtime's own script and its .wasm stay files of their own, which its threads load as well.
  conditions: ["onnxruntime-web-use-extern-wasm"],
  write: false,
  logLevel: "warning",
} as const satisfies BuildOptions;

/** Scripts of the page by name. */
async function buildPage(): Promise<Map<string, Uint8Array>> {
  const entryPoints = { page: join(PAGE, "page.ts"), worker: join(PAGE, "worker.ts"), sextant: join(PAGE, "../../src/browser.ts") };
  const made = await build({ ...BUNDLING, entryPoints, outdir: "/" });
  return new Map(made.outputFiles.map(({ path, contents }) => [path.replace(/^.*[/\\]/, ""), contents]));
}

/** A program that imports what pages import, as one script. */
export async function bundleText(program: string): Promise<string> {
  const made = await build({ ...BUNDLING, stdin: { contents: program, resolveDir: PAGE } });
  return made.outputFiles[0]?.text ?? "";
}

/** A server of the page on this machine alone; port 0 takes one that is free. */
export async function servePage(
  models: readonly OfferedModel[],
  port: number,
): Promise<{ readonly server: Server; readonly address: string }> {
  const scripts = await buildPage();
  const offers = models.map(({ name, prompt, steer, strength }) => ({ path: `models/${name}/`, prompt, steer, strength }));
  const made = new Map<string, Uint8Array | string>([...scripts, ["models.json", JSON.stringify(offers)]]);
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname.slice(1) || "index.html";
    const content = made.get(path);
    if (content !== undefined) send(response, path).end(content);
    else sendFile(response, fileOf(path, models));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const bound = server.address();
  return { server, address: `http://127.0.0.1:${typeof bound === "object" && bound ? bound.port : port}/` };
}

/** The file behind a path of one of these folders, none of which has folders below it. */
function fileOf(path: string, models: readonly OfferedModel[]): string | undefined {
  const folders = new Map([["", PAGE], ["ort/", RUNTIME], ...models.map(({ name, folder }) => [`models/${name}/`, folder] as const)]);
  const [, folder = "", name = ""] = /^(.*\/)?(\w[\w.-]*)$/.exec(path) ?? [];
  const root = folders.get(folder);
  const file = root && name ? join(root, name) : "";
  return existsSync(file) && statSync(file).isFile() ? file : undefined;
}

function sendFile(response: ServerResponse, file: string | undefined): void {
  if (file === undefined) return void response.writeHead(404).end();
  send(response, file, statSync(file).size);
  createReadStream(file).pipe(response);
}

/** The head of an answer. The last two lines let the page have threads that share memory. */
function send(response: ServerResponse, path: string, length?: number): ServerResponse {
  return response.writeHead(200, {
    "content-type": TYPES[extname(path)] ?? "application/octet-stream",
    ...(length !== undefined && { "content-length": length }),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
  });
}
