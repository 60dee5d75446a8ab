/** @file A model of the hub → its snapshot in the cache: what is missing is planned, told, downloaded two files at a time, then put in place. */
import { accessSync, constants, mkdirSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeBytes } from "../../base/bytes.js";
import { refuse, SextantError } from "../../base/errors.js";
import { fileError, isThere } from "../files.js";
import { readJson } from "../json-file.js";
import { placeInSnapshot, placesOf, writeRef, type ModelPlaces } from "./cache.js";
import { downloadBlob, isWhole } from "./download.js";
import { listRepository, type Listing, type RemoteFile } from "./listing.js";
import { describeModelId, needModelId, type ModelId } from "./model-id.js";
import { entryToWeights, neededBesideWeights, noModel, shardsOf, WEIGHTS_INDEX } from "./needed-files.js";
import { partialBytes } from "./partial-file.js";
import type { Access } from "./request.js";
import { hubSettings, type HubOptions, type HubSettings } from "./settings.js";

/** How a model is downloaded. */
export interface PullOptions extends HubOptions {
  /** Files beside those that a model needs, such as `*.md`: `*` stands for any characters, `?` for one. */
  readonly include?: readonly string[];
  /** Told before the first file of weights: what will be downloaded, and how much that is. */
  readonly onPlan?: (plan: PullPlan) => void;
  /** Told as bytes come: how many of `total` bytes are there, of all files that were missing. */
  readonly onProgress?: (progress: { readonly stage: string; readonly done: number; readonly total: number }) => void;
  /** Ends the download; what is there stays, and the next one goes on from it. */
  readonly signal?: AbortSignal;
  /** How long, in seconds, nothing may come before the connection counts as broken. Default: 30. */
  readonly silence?: number;
  /** The wait before something is tried again, in seconds; it doubles from one attempt to the next, of which there are six. Default: 1. */
  readonly firstWait?: number;
}

/** What a download consists of. */
export interface PullPlan {
  readonly name: string;
  readonly revision: string;
  readonly commit: string;
  /** The snapshot's folder in the cache. */
  readonly folder: string;
  /** The hub's address. */
  readonly endpoint: string;
  readonly files: readonly PlannedFile[];
  /** Bytes of all files, and how many of them are still to come. */
  readonly bytes: number;
  readonly missing: number;
}

export interface PlannedFile {
  readonly path: string;
  readonly bytes: number;
  /** Whether it is in the cache already. */
  readonly cached: boolean;
}

/** Files that are downloaded at once. */
const AT_ONCE = 2;
const SECOND = 1000;
const MOST_INDEX_BYTES = 64 << 20;

/** All that the steps of one download share. */
interface Pull {
  readonly id: ModelId;
  readonly settings: HubSettings;
  readonly access: Access;
  readonly places: ModelPlaces;
  readonly listing: Listing;
  readonly options: PullOptions;
}

/**
 * Asks the hub which commit the revision (`main` by default) is of, downloads what a model needs and the cache lacks, and gives the plan that
 * was carried out; `folder` has the model. Ends with a `SextantError` of kind `file` (network, disk, access), `format` (wrong bytes),
 * `unsupported` (no safetensors), `usage` or `interrupted`; nothing that was downloaded is lost then.
 */
export async function pullModel(model: string, options: PullOptions = {}): Promise<PullPlan> {
  const id = needModelId(model);
  const settings = hubSettings(options);
  if (settings.offline)
    throw refuse({ what: `cannot download ${model}`, why: "the hub is not to be asked", instead: "unset HF_HUB_OFFLINE" }, "usage");
  const access = accessOf(settings, options);
  const places = placesOf(settings.cache, id.name);
  const listing = await listRepository(id, access);
  const pull = { id, settings, access, places, listing, options };
  const files = await neededFiles(pull);
  const plan = planOf(pull, files);
  options.onPlan?.(plan);
  const missing = missingOf(pull, files);
  if (missing.length > 0) {
    prepareDisk(pull, plan.missing);
    await downloadAll(pull, missing);
  }
  // After the last download, so that a snapshot is there with all its files or, but for an instant, not at all.
  for (const file of files.toSorted((a, b) => Number(a.path === "config.json") - Number(b.path === "config.json"))) place(pull, file);
  writeRef(settings.cache, id, listing.commit);
  return plan;
}

function accessOf({ endpoint, token }: HubSettings, { signal, silence = 30, firstWait = 1 }: PullOptions): Access {
  return { endpoint, ...(token !== undefined && { token }), signal, silence: silence * SECOND, firstWait: firstWait * SECOND };
}

/** The files that the model needs. Where weights are in several, their index is downloaded for its list. Without a model that we know, those asked for. */
async function neededFiles(pull: Pull): Promise<readonly RemoteFile[]> {
  const { id, listing, options } = pull;
  const { include = [] } = options;
  const beside = neededBesideWeights(listing.files, include, id);
  const entry = entryToWeights(listing.files);
  if (!entry && include.length === 0) throw noModel(listing.files, id);
  if (!entry) return beside;
  const shards = entry.path === WEIGHTS_INDEX ? shardsOf(await readIndex(pull, entry), listing.files, id) : [];
  return [...new Set([...beside, entry, ...shards])];
}

async function readIndex(pull: Pull, index: RemoteFile): Promise<unknown> {
  if (index.bytes > MOST_INDEX_BYTES)
    throw new SextantError("format", `cannot download ${pull.id.name}: its ${index.path} has ${index.bytes} bytes`);
  if (!isHere(pull, index)) {
    makeFolder(dirname(pull.places.blob(index.hash)));
    await download(pull, index, () => undefined);
  }
  const blob = pull.places.blob(index.hash);
  return readJson(isThere(blob) ? blob : inSnapshot(pull, index));
}

function planOf(pull: Pull, needed: readonly RemoteFile[]): PullPlan {
  const { id, settings, places, listing } = pull;
  return {
    ...id,
    commit: listing.commit,
    folder: places.snapshot(listing.commit),
    endpoint: settings.endpoint,
    files: needed.map((file) => ({ path: file.path, bytes: file.bytes, cached: isHere(pull, file) })),
    bytes: needed.reduce((sum, { bytes }) => sum + bytes, 0),
    missing: missingOf(pull, needed).reduce((sum, { bytes, hash }) => sum + Math.max(0, bytes - partialBytes(places.blob(hash))), 0),
  };
}

/** What is not in the cache; of files with the same bytes one. */
function missingOf(pull: Pull, files: readonly RemoteFile[]): RemoteFile[] {
  return [...new Map(files.filter((file) => !isHere(pull, file)).map((file) => [file.hash, file])).values()];
}

/** Whether the blob is there, or, where links are not allowed, the file itself. */
function isHere(pull: Pull, file: RemoteFile): boolean {
  return isWhole(pull.places.blob(file.hash), file.bytes) || isWhole(inSnapshot(pull, file), file.bytes);
}

function inSnapshot({ places, listing }: Pull, { path }: RemoteFile): string {
  return join(places.snapshot(listing.commit), ...path.split("/"));
}

function place(pull: Pull, file: RemoteFile): void {
  const blob = pull.places.blob(file.hash);
  if (isThere(blob)) placeInSnapshot(blob, inSnapshot(pull, file), pull.settings.symlinks);
}

/** Makes the folder for blobs. A disk that would be full at the end of an hour is refused at its beginning. */
function prepareDisk({ id, places, listing }: Pull, missing: number): void {
  const blobs = dirname(places.blob("x"));
  for (const folder of [blobs, dirname(places.snapshot(listing.commit))]) makeFolder(folder);
  const { bavail, bsize } = statfsSync(blobs);
  const free = bavail * bsize;
  // Some network disks do not know, and say 0.
  if (free === 0 || missing <= free) return;
  const why = `it takes ${describeBytes(missing)}, and there are ${describeBytes(free)} free in ${blobs}`;
  throw refuse(
    { what: `cannot download ${describeModelId(id)}`, why, instead: "make room, or name another disk's folder in HF_HUB_CACHE" },
    "file",
  );
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw fileError("cannot write to the cache's folder", folder, error);
  }
}

/** Downloads the files, two at a time. The first failure stops the other, and is thrown once both have ended. */
async function downloadAll(pull: Pull, missing: readonly RemoteFile[]): Promise<void> {
  const { access, options } = pull;
  const queue = missing.toSorted((a, b) => a.bytes - b.bytes);
  const total = queue.reduce((sum, { bytes }) => sum + bytes, 0);
  const there = new Map<string, number>();
  const failure = new AbortController();
  const signal = access.signal ? AbortSignal.any([access.signal, failure.signal]) : failure.signal;
  const stopping = { ...pull, access: { ...access, signal } };
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const { hash } = file;
      await download(stopping, file, (bytes) => {
        there.set(hash, bytes);
        options.onProgress?.({ stage: "download", done: [...there.values()].reduce((sum, part) => sum + part, 0), total });
      });
    }
  };
  await Promise.allSettled(
    Array.from({ length: AT_ONCE }, () =>
      work().catch((error: unknown) => {
        failure.abort(error);
        throw error;
      }),
    ),
  );
  if (failure.signal.aborted) throw failure.signal.reason;
}

function download({ id, listing, places, access }: Pull, file: RemoteFile, onBytes: (bytes: number) => void): Promise<void> {
  return downloadBlob({ id, commit: listing.commit, file, path: places.blob(file.hash) }, access, onBytes);
}
