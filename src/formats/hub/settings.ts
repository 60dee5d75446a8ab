/**
 * @file Where the hub and its cache are, and who asks: from options, else from the environment variables that Python's `huggingface_hub`
 * reads, else their defaults. Nothing is read but the token's file.
 */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { env } from "node:process";
import { SextantError } from "../../base/errors.js";
import { isThere } from "../files.js";
import { readText } from "../json-file.js";

/** What the caller says about the hub; whatever is left out comes from the environment. */
export interface HubOptions {
  /** The cache's folder, that with `models--ORG--NAME` in it. Default: `HF_HUB_CACHE`, `HF_HOME/hub`, `~/.cache/huggingface/hub`. */
  readonly cache?: string;
  /** The hub's address. Default: `HF_ENDPOINT`, `https://huggingface.co`. */
  readonly endpoint?: string;
  /** Access token. Default: `HF_TOKEN`, the file `HF_TOKEN_PATH`, `HF_HOME/token`. It is sent to the hub's own host only. */
  readonly token?: string;
  /** Ask nobody. Default: `HF_HUB_OFFLINE`. */
  readonly offline?: boolean;
  /** The variables to read. Default: those of the process. */
  readonly environment?: Environment;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Everything that is known before the first request. */
export interface HubSettings {
  readonly cache: string;
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token?: string;
  readonly offline: boolean;
  /** Whether snapshots may be made of symbolic links. */
  readonly symlinks: boolean;
}

const TRUE = new Set(["1", "on", "yes", "true"]);
const MOST_TOKEN_BYTES = 1 << 16;

/** The settings that options and environment make. A token that cannot be sent and an address that is none are `usage` errors. */
export function hubSettings(options: HubOptions = {}): HubSettings {
  const environment = options.environment ?? env;
  const token = options.token ?? tokenOf(environment);
  return {
    cache: cacheOf(options),
    endpoint: checkEndpoint(options.endpoint ?? said(environment, "HF_ENDPOINT") ?? "https://huggingface.co"),
    ...(token !== undefined && { token: checkToken(token) }),
    offline: options.offline ?? (isTrue(environment, "HF_HUB_OFFLINE") || isTrue(environment, "TRANSFORMERS_OFFLINE")),
    symlinks: !isTrue(environment, "HF_HUB_DISABLE_SYMLINKS"),
  };
}

/** The absolute path of the cache's folder. */
export function cacheOf({ cache, environment = env }: HubOptions): string {
  const named = cache ?? said(environment, "HF_HUB_CACHE") ?? said(environment, "HUGGINGFACE_HUB_CACHE");
  return resolve(named === undefined ? join(homeOf(environment), "hub") : withHome(named));
}

function homeOf(environment: Environment): string {
  const caches = said(environment, "XDG_CACHE_HOME") ?? join(homedir(), ".cache");
  return withHome(said(environment, "HF_HOME") ?? join(caches, "huggingface"));
}

function tokenOf(environment: Environment): string | undefined {
  if (isTrue(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN")) return undefined;
  const given = said(environment, "HF_TOKEN") ?? said(environment, "HUGGING_FACE_HUB_TOKEN");
  if (given !== undefined) return given;
  const path = withHome(said(environment, "HF_TOKEN_PATH") ?? join(homeOf(environment), "token"));
  const text = isThere(path) ? readText(path, { maxBytes: MOST_TOKEN_BYTES }).trim() : "";
  return text === "" ? undefined : text;
}

/** The variable's value; undefined where it is empty. */
function said(environment: Environment, name: string): string | undefined {
  const value = environment[name]?.trim();
  return value === "" ? undefined : value;
}

function isTrue(environment: Environment, name: string): boolean {
  return TRUE.has(said(environment, name)?.toLowerCase() ?? "");
}

function withHome(path: string): string {
  return /^~(?=$|[/\\])/.test(path) ? join(homedir(), path.slice(1)) : path;
}

/** A token with a line break in it would end the header that it is sent in. It is not shown. */
function checkToken(token: string): string {
  const text = token.trim();
  if (!/^[\x21-\x7e]+$/.test(text)) throw new SextantError("usage", "the hub's token has characters that no token has");
  return text;
}

function checkEndpoint(text: string): string {
  const wrong = new SextantError("usage", `the hub's address must be like https://huggingface.co, got ${JSON.stringify(text)}`);
  if (!URL.canParse(text)) throw wrong;
  const { protocol, username, password, search, hash } = new URL(text);
  if (!/^https?:$/.test(protocol) || username || password || search || hash) throw wrong;
  return text.replace(/\/+$/, "");
}
