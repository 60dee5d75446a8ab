/**
 * @file What a model's repository holds at a revision, as the hub's API says: the commit, and the path, size and hash of every file. The
 * answer is not believed before it is checked: paths that would lead out of a folder, sizes that no file has, hashes that are none.
 */
import { SextantError } from "../../base/errors.js";
import { describeJson, isJsonObject, quote } from "../json.js";
import { isCommit, type ModelId } from "./model-id.js";
import { tryAgain } from "./patience.js";
import { textOf, withAnswer, type Access } from "./request.js";

/** A file of a repository. */
export interface RemoteFile {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the bytes for large files, git's SHA-1 of the blob for others; also the name of the blob in the cache. */
  readonly hash: string;
  readonly hashKind: "sha256" | "git-sha1";
}

export interface Listing {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

const MOST_ANSWER_BYTES = 64 << 20;
const MOST_PAGES = 200;
const MOST_FILES = 100_000;
/** Above what any file system holds in one file; a count that large is a mistake or worse. */
const MOST_FILE_BYTES = 2 ** 44;

/** The commit that the revision is of now, and its files. */
export async function listRepository(id: ModelId, access: Access): Promise<Listing> {
  const { modelInfo, listFiles } = await import("@huggingface/hub");
  const asking = { hubUrl: access.endpoint, fetch: guardedFetch(id, access) };
  const { sha } = await modelInfo({ name: id.name, revision: id.revision, additionalFields: ["sha"], ...asking });
  const commit = checkCommit(sha, id);
  const files: RemoteFile[] = [];
  for await (const entry of listFiles({ repo: { type: "model", name: id.name }, revision: commit, recursive: true, ...asking })) {
    const file = checkEntry(entry, id);
    if (file) files.push(file);
    if (files.length > MOST_FILES) throw odd(id, `it lists more than ${MOST_FILES} files`);
  }
  return { commit, files };
}

/** `fetch` as the package wants it: with our redirects, errors, patience and bounds. The token is ours to send, not the package's. */
function guardedFetch(id: ModelId, access: Access): typeof fetch {
  const subject = { id, endpoint: access.endpoint, hasToken: access.token !== undefined };
  let pages = 0;
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    if (++pages > MOST_PAGES) throw odd(id, `it lists its files on more than ${MOST_PAGES} pages`);
    return tryAgain(
      () =>
        withAnswer(access, { url, headers: { accept: "application/json" }, subject }, async (answer) => {
          const text = await textOf(answer, url, MOST_ANSWER_BYTES);
          return new Response(JSON.stringify(checkAnswer(text, url)), { headers: nextOf(answer.headers) });
        }),
      access,
    );
  };
}

/** The header that says where the next page is. */
function nextOf(headers: Headers): Record<string, string> {
  const link = headers.get("link");
  return link === null ? {} : { link };
}

function checkAnswer(text: string, url: string): unknown {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Told below.
  }
  throw new SextantError(
    "format",
    `${url.split("?")[0]} answered ${quote(text.slice(0, 60))}, which is no answer of a hub; is HF_ENDPOINT right?`,
  );
}

function checkCommit(sha: unknown, id: ModelId): string {
  if (typeof sha !== "string" || !isCommit(sha)) throw odd(id, `its commit is ${shown(sha)}`);
  if (isCommit(id.revision) && sha !== id.revision) throw odd(id, `asked for the commit ${id.revision}, it gives ${sha}`);
  return sha;
}

/** The file; undefined for folders. */
function checkEntry(entry: unknown, id: ModelId): RemoteFile | undefined {
  if (!isJsonObject(entry)) throw odd(id, `a file of it is ${shown(entry)}`);
  const { type, path, oid, size, lfs } = entry;
  if (typeof path !== "string" || !isSafePath(path)) throw odd(id, `a file of it is called ${shown(path)}`);
  if (type !== "file") return undefined;
  const large = isJsonObject(lfs);
  const [bytes, hash] = large ? [lfs["size"], lfs["oid"]] : [size, oid];
  if (!isSize(bytes)) throw odd(id, `the size of ${quote(path)} is ${shown(bytes)}`);
  if (!isHash(hash, large ? 64 : 40)) throw odd(id, `the hash of ${quote(path)} is ${shown(hash)}`);
  return { path, bytes, hash, hashKind: large ? "sha256" : "git-sha1" };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MOST_FILE_BYTES;
}

function isHash(value: unknown, digits: number): value is string {
  return typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value);
}

/** Whether the path stays in the folder that it is joined to, on every system. */
function isSafePath(path: string): boolean {
  if (path.length > 1024 || /[\p{Cc}\\]/u.test(path)) return false;
  return path.split("/").every((part) => !/^(?:\.{0,2}|[a-z]:.*)$/i.test(part));
}

function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? quote(String(value)) : describeJson(value);
}

function odd({ name }: ModelId, what: string): SextantError {
  return new SextantError("format", `cannot download ${name}: the hub's answer is not to be trusted, ${what}`);
}
