/** @file Ids of models on the hub, `ORG/NAME@REVISION`: read, told from paths, and as names of folders in the cache. */
import { SextantError } from "../../base/errors.js";
import { quote } from "../json.js";

/** A model on the hub. */
export interface ModelId {
  /** `ORG/NAME`, or `NAME` for the few old ones that have no organisation. */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const PREFIX = "models--";
const MOST_CHARACTERS = 96;
const MOST_REVISION_CHARACTERS = 255;
const PART = /^\w(?:[\w.-]*\w)?$/;

/** What files of weights end in: a path to one that is not there is no id. */
const FILE = /\.(?:gguf|safetensors|bin)$/i;

/** The id that the text is; undefined where it is none, such as for most paths. */
export function parseModelId(text: string): ModelId | undefined {
  const at = text.indexOf("@");
  const name = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? "main" : text.slice(at + 1);
  return isName(name) && !FILE.test(name) && isRevision(revision) ? { name, revision } : undefined;
}

/** As `parseModelId`; a `usage` error for what is no id. */
export function needModelId(text: string): ModelId {
  const id = parseModelId(text);
  if (!id) throw new SextantError("usage", `a model of the hub is ORG/NAME or ORG/NAME@REVISION, got ${quote(text)}`);
  return id;
}

/** `ORG/NAME@REVISION`, without the revision where it is `main`. */
export function describeModelId({ name, revision }: ModelId): string {
  return revision === "main" ? name : `${name}@${revision}`;
}

/** The model's folder in the cache: `models--ORG--NAME`. */
export function cacheFolderName(name: string): string {
  return PREFIX + name.replaceAll("/", "--");
}

/** The name of the model that a folder of the cache is of; undefined for folders of other things. */
export function nameOfCacheFolder(folder: string): string | undefined {
  if (!folder.startsWith(PREFIX)) return undefined;
  const name = folder.slice(PREFIX.length).replace("--", "/");
  return isName(name) ? name : undefined;
}

/** Whether the revision is a whole commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** As Python's `validate_repo_id`: what it refuses cannot be told from paths, or would be another folder in the cache. */
function isName(name: string): boolean {
  const parts = name.split("/");
  if (parts.length > 2 || /--|\.\.|\.git$/.test(name)) return false;
  return parts.every((part) => part.length <= MOST_CHARACTERS && PART.test(part));
}

/** As git's rules for names of branches, so that `refs/REVISION` stays in its folder. */
function isRevision(revision: string): boolean {
  if (revision.length > MOST_REVISION_CHARACTERS || !/^[\w.+/=,-]+$/.test(revision)) return false;
  return revision.split("/").every((part) => part !== "" && !/^\.|\.$|\.\.|\.lock$|^-/.test(part));
}
