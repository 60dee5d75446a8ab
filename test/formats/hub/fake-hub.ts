/**
 * @file A hub of our own on this machine: an API and files on one port, large files behind a redirect on another, as huggingface.co and
 * its CDN. It can be told to answer anything else.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

/** What was asked. */
export interface Asked {
  readonly host: "hub" | "cdn";
  /** With its query. */
  readonly path: string;
  readonly range: string | undefined;
  readonly token: string | undefined;
}

/** Another answer than the right one. */
export interface Odd {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is sent instead of the bytes, or of the JSON. */
  readonly body?: unknown;
  /** The connection breaks after so many bytes of the answer. */
  readonly breakAfter?: number;
  /** Nothing comes after so many bytes. */
  readonly stallAfter?: number;
  /** The answer does not say how long it is. */
  readonly noLength?: true;
  /** Ranges are not known. */
  readonly noRanges?: true;
}

export type Files = Readonly<Record<string, Buffer>>;

export interface FakeHub {
  readonly endpoint: string;
  readonly asked: Asked[];
  /** Asked for files, not for lists. */
  readonly downloads: () => Asked[];
  /** Puts a repository there, or a new commit of it; its commit. */
  readonly put: (name: string, files: Files, branch?: string) => string;
  /** Entries of the file lists are changed before they are sent. */
  list: (entry: Record<string, unknown>) => Record<string, unknown>;
  /** Asked before every answer. */
  odd: (asked: Asked) => Odd | undefined;
  /** Bytes sent by both. */
  sent: number;
}

const FIXTURE = fileURLToPath(new URL("../../fixtures/tiny-qwen2-countdown", import.meta.url));
const LARGE = /\.safetensors$|\.bin$/;
const PAGE = 5;
const MISSING: Answer = { status: 404, headers: {} };

/** The files of a tiny Qwen 2. */
export function tinyModel(): Record<string, Buffer> {
  const names = readdirSync(FIXTURE).filter((name) => !name.startsWith("golden") && statSync(join(FIXTURE, name)).isFile());
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(FIXTURE, name))]));
}

export function gitSha1(bytes: Buffer): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A hub that ends with the tests of the file. */
export async function fakeHub(): Promise<FakeHub> {
  const commits = new Map<string, Files>();
  const refs = new Map<string, string>();
  const hub: FakeHub = {
    endpoint: "",
    asked: [],
    downloads: () => hub.asked.filter(({ path }) => !path.startsWith("/api/")),
    put: (name, files, branch = "main") => {
      const commit = createHash("sha1")
        .update(JSON.stringify(Object.entries(files).map(([path, bytes]) => [path, gitSha1(bytes)])))
        .digest("hex");
      commits.set(`${name}@${commit}`, files);
      refs.set(`${name}@${branch}`, commit);
      return commit;
    },
    list: (entry) => entry,
    odd: () => undefined,
    sent: 0,
  };
  const cdn = await listening((request, response) => {
    const files = [...commits.values()].flatMap((of) => Object.values(of));
    answerOf(hub, "cdn", { request, response }, (asked) => {
      const bytes = files.find((file) => asked.path === `/${sha256(file)}`);
      return bytes ? { bytes } : MISSING;
    });
  });
  const main = await listening((request, response) => {
    answerOf(hub, "hub", { request, response }, (asked) => route(asked, { hub, commits, refs, cdn: address(cdn) }));
  });
  afterAll(() => {
    for (const server of [main, cdn]) {
      server.closeAllConnections();
      server.close();
    }
  });
  return Object.assign(hub, { endpoint: address(main) });
}

/** What the hub answers: JSON, bytes, or a status with headers. */
interface Answer {
  readonly json?: unknown;
  readonly bytes?: Buffer;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

interface State {
  readonly hub: FakeHub;
  readonly commits: ReadonlyMap<string, Files>;
  readonly refs: ReadonlyMap<string, string>;
  readonly cdn: string;
}

function route({ path }: Asked, state: State): Answer {
  const url = new URL(path, "http://hub");
  const info = /^\/api\/models\/((?:[^/]+\/)?[^/]+)\/revision\/(.+)$/.exec(url.pathname);
  if (info) return infoOf(info[1]!, decodeURIComponent(info[2]!), state);
  const tree = /^\/api\/models\/((?:[^/]+\/)?[^/]+)\/tree\/([0-9a-f]{40})$/.exec(url.pathname);
  if (tree) return treeOf(`${tree[1]}@${tree[2]}`, url, state);
  const file = /^\/((?:[^/]+\/)?[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
  return file
    ? fileOf({ repo: file[1]!, commit: state.refs.get(`${file[1]}@${file[2]}`) ?? file[2]!, name: decodeURIComponent(file[3]!) }, state)
    : MISSING;
}

function infoOf(name: string, revision: string, { commits, refs }: State): Answer {
  const known = [...refs.keys()].some((ref) => ref.startsWith(`${name}@`));
  const commit = commits.has(`${name}@${revision}`) ? revision : refs.get(`${name}@${revision}`);
  if (!known) return { status: 401, headers: { "x-error-code": "RepoNotFound" } };
  if (commit === undefined) return { status: 404, headers: { "x-error-code": "RevisionNotFound" } };
  const siblings = Object.keys(commits.get(`${name}@${commit}`)!).map((rfilename) => ({ rfilename }));
  return { json: { _id: "1", id: name, sha: commit, siblings, private: false, gated: false, lastModified: "2026-01-01T00:00:00.000Z" } };
}

function treeOf(key: string, url: URL, { hub, commits }: State): Answer {
  const files = Object.entries(commits.get(key) ?? {});
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const entries = files.slice(from, from + PAGE).map(([path, bytes]) => {
    const pointer = { type: "file", oid: gitSha1(bytes), size: bytes.length, path };
    return hub.list(
      LARGE.test(path) ? { ...pointer, oid: "0".repeat(40), lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : pointer,
    );
  });
  const next = `${hub.endpoint}${url.pathname}?recursive=true&cursor=${from + PAGE}`;
  return { json: entries, headers: from + PAGE < files.length ? { link: `<${next}>; rel="next"` } : {} };
}

function fileOf({ repo, commit, name }: { repo: string; commit: string; name: string }, { commits, cdn }: State): Answer {
  const bytes = commits.get(`${repo}@${commit}`)?.[name];
  if (!bytes) return { status: 404, headers: { "x-error-code": "EntryNotFound" } };
  if (!LARGE.test(name)) return { bytes, headers: { "x-repo-commit": commit, etag: `"${gitSha1(bytes)}"` } };
  const linked = { "x-repo-commit": commit, "x-linked-size": String(bytes.length), "x-linked-etag": `"${sha256(bytes)}"` };
  return { status: 302, headers: { ...linked, location: `${cdn}/${sha256(bytes)}` } };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

function answerOf(hub: FakeHub, host: Asked["host"], { request, response }: Exchange, right: (asked: Asked) => Answer): void {
  const { range, authorization: token } = request.headers;
  const asked = { host, path: request.url ?? "", range, token };
  hub.asked.push(asked);
  const odd = hub.odd(asked) ?? {};
  const answer = right(asked);
  if (odd.status !== undefined) response.writeHead(odd.status, odd.headers ?? {}).end(toBytes(odd.body ?? ""));
  else if (answer.status !== undefined) response.writeHead(answer.status, answer.headers ?? {}).end();
  else send(hub, { response, range, answer, odd });
}

interface Sending {
  readonly response: ServerResponse;
  readonly range: string | undefined;
  readonly answer: Answer;
  readonly odd: Odd;
}

function send(hub: FakeHub, { response, range, answer, odd }: Sending): void {
  const all = odd.body === undefined ? (answer.bytes ?? toBytes(answer.json)) : toBytes(odd.body);
  const from = answer.bytes && range !== undefined && !odd.noRanges ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
  const bytes = all.subarray(from);
  const length = odd.noLength ? {} : { "content-length": bytes.length };
  const ranged = from > 0 ? { "content-range": `bytes ${from}-${all.length - 1}/${all.length}` } : {};
  response.writeHead(from > 0 ? 206 : 200, { ...length, ...answer.headers, ...ranged, ...odd.headers });
  const cut = odd.breakAfter ?? odd.stallAfter;
  hub.sent += Math.min(cut ?? Infinity, bytes.length);
  if (cut === undefined) return void response.end(bytes);
  response.write(bytes.subarray(0, cut), () => {
    if (odd.breakAfter !== undefined) setTimeout(() => response.destroy(), 5);
  });
}

function toBytes(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
}

async function listening(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function address(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
