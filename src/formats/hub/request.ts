/**
 * @file One GET to the hub or to where it sends us: the only door to the network. Redirects are followed by hand, so that the token goes
 * to the hub's own host and to no other; nobody is waited for without end; answers to be held in memory have a bound.
 */
import { SextantError } from "../../base/errors.js";
import { patience, throwIfAborted, Transient } from "./patience.js";
import { refusalOf, type Subject } from "./refusals.js";

/** Who asks, and how patiently. */
export interface Access {
  readonly endpoint: string;
  readonly token?: string;
  readonly signal?: AbortSignal | undefined;
  /** How long, in ms, nothing may come before the connection counts as broken. */
  readonly silence: number;
  /** The wait before the second attempt, in ms. */
  readonly firstWait: number;
}

/** An answer of status 200 or 206 whose body is still to come. */
export interface Opened {
  readonly status: number;
  readonly headers: Headers;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface Wanted {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly subject: Subject;
}

const MOST_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Codes of `fetch` that say that nobody is there, or not who should be. */
const UNREACHED = /^(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ERR_TLS_\w+|CERT_\w+|\w*SELF_SIGNED\w*|UNABLE_TO_\w+)$/;

/** Asks for `url` and hands the answer to `use`, which reads it to its end. What may pass by itself is thrown as a `Transient`. */
export async function withAnswer<T>(access: Access, wanted: Wanted, use: (answer: Opened) => Promise<T>): Promise<T> {
  const watch = patience(access.silence, access.signal);
  try {
    const response = await followed(access, wanted, watch.signal);
    return await use({ status: response.status, headers: response.headers, chunks: chunksOf(response, watch.heard) });
  } catch (error) {
    throwIfAborted(access.signal);
    throw error;
  } finally {
    watch.end();
  }
}

/** The answer's body as text; one of more than `maxBytes` is a `format` error. */
export async function textOf({ chunks }: Opened, url: string, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > maxBytes) throw new SextantError("format", `${url.split("?")[0]} answered more than ${maxBytes} bytes`);
    parts.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(parts));
}

async function followed(access: Access, { url, headers = {}, subject }: Wanted, signal: AbortSignal): Promise<Response> {
  let at = new URL(url);
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    // A compressed answer has no length to hold it against, and ranges of it mean other bytes.
    const sent = { "accept-encoding": "identity", "user-agent": "sextant", ...headers, ...credentials(access, at) };
    const response = await fetch(at, { headers: sent, redirect: "manual", signal }).catch((error: unknown) => {
      throw broken(at, error);
    });
    const to = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
    if (response.status === 200 || response.status === 206) return response;
    await response.body?.cancel();
    if (to === null) throw refusalOf({ status: response.status, headers: response.headers, host: at.host }, subject);
    at = redirected(at, to);
  }
  throw new SextantError("file", `cannot download: ${new URL(url).host} redirects more than ${MOST_REDIRECTS} times`);
}

function credentials({ endpoint, token }: Access, { origin }: URL): Record<string, string> {
  return token !== undefined && origin === new URL(endpoint).origin ? { authorization: `Bearer ${token}` } : {};
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to && (to.protocol === "https:" || to.protocol === from.protocol)) return to;
  throw new SextantError(
    "file",
    `cannot download: ${from.host} redirects to ${JSON.stringify(location.slice(0, 200))}, which is not followed`,
  );
}

async function* chunksOf({ body, url }: Response, heard: () => void): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw broken(new URL(url), error);
      });
      if (done) return;
      heard();
      yield value;
    }
  } finally {
    // Also when the consumer wants no more: an error of a stream that is given up is nobody's.
    await reader.cancel().catch(() => undefined);
  }
}

/** `fetch` says "fetch failed" or "terminated", and the reason in the cause. */
function broken({ host }: URL, error: unknown): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException).code;
  const why = cause instanceof Error ? cause.message || code || cause.name : String(cause);
  const unreached = code !== undefined && UNREACHED.test(code);
  const what = `${unreached ? "cannot reach" : "the connection broke to"} ${host}: ${why}`;
  const advice = unreached
    ? "without a network, set HF_HUB_OFFLINE=1 to use what is in the cache"
    : "what is there is kept, try again later";
  return new Transient(new SextantError("file", `${what}; ${advice}`, { cause: error }), { unreached });
}
