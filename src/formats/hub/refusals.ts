/** @file What an answer of the hub that is no success means, in words: who is missing, who may not, and what to do about it. */
import { refuse, SextantError, type Refusal } from "../../base/errors.js";
import { quote } from "../json.js";
import { describeModelId, type ModelId } from "./model-id.js";
import { Transient } from "./patience.js";

/** Of what is asked, and where. */
export interface Subject {
  readonly id: ModelId;
  readonly endpoint: string;
  /** A file of the repository. */
  readonly file?: string;
  readonly hasToken: boolean;
}

/** Status and headers of an answer, and the host that gave it. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly host: string;
}

const HOW_TO_GIVE_A_TOKEN = "give a token of an account that may read it in HF_TOKEN, or log in with `hf auth login`";

/** The error for an answer that is no success; a `Transient` where it may pass by itself. */
export function refusalOf(answer: Answer, subject: Subject): Error {
  const { status, host } = answer;
  if (status === 429 || status === 408 || status >= 500) return busy(answer);
  const reason = REASONS[answer.headers.get("x-error-code") ?? ""] ?? BY_STATUS[status];
  if (reason) return refuse({ what: `cannot download ${describeModelId(subject.id)}`, ...reason(subject) }, "file");
  const said = answer.headers.get("x-error-message");
  return new SextantError(
    "file",
    `cannot download ${describeModelId(subject.id)}: ${host} answered ${status}${said ? `, ${quote(said)}` : ""}`,
  );
}

type Reason = (subject: Subject) => Omit<Refusal, "what">;

const missingModel: Reason = ({ id, endpoint, hasToken }) => ({
  why: `${hostOf(endpoint)} has no model ${id.name}${hasToken ? " that your token may see" : ", or it is private"}`,
  instead: hasToken ? "check the name" : `check the name, or ${HOW_TO_GIVE_A_TOKEN}`,
});

const missingRevision: Reason = ({ id, endpoint }) => ({
  why: `${id.name} has no revision ${quote(id.revision)}`,
  instead: `its branches, tags and commits are listed at ${endpoint}/${id.name}/commits/main`,
});

const missingFile: Reason = ({ id, file = "" }) => ({ why: `${id.name} has no file ${quote(file)} at that commit` });

const gated: Reason = ({ id, endpoint, hasToken }) => ({
  why: `access to ${id.name} is granted by its owners${hasToken ? ", and your account does not have it yet" : ""}`,
  instead: `accept its licence at ${endpoint}/${id.name}${hasToken ? "" : ` and ${HOW_TO_GIVE_A_TOKEN}`}`,
});

const unknownToken: Reason = (subject) =>
  subject.hasToken
    ? { why: "the hub refuses the token, or there is no such model", instead: `check the name, or ${HOW_TO_GIVE_A_TOKEN}` }
    : missingModel(subject);

/** By the hub's own `X-Error-Code`. */
const REASONS: { readonly [code: string]: Reason } = {
  RepoNotFound: missingModel,
  RevisionNotFound: missingRevision,
  EntryNotFound: missingFile,
  GatedRepo: gated,
};

const BY_STATUS: { readonly [status: number]: Reason } = {
  401: unknownToken,
  403: ({ endpoint, id }) => ({
    why: "the hub does not allow it to this account",
    instead: `see ${endpoint}/${id.name}, or ${HOW_TO_GIVE_A_TOKEN}`,
  }),
  404: (subject) => (subject.file === undefined ? missingModel(subject) : missingFile(subject)),
};

function busy({ status, headers, host }: Answer): Transient {
  const seconds = Number(headers.get("retry-after") ?? NaN);
  const wait = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
  const why = status === 429 ? "it gets too many requests" : "it is out of order";
  const asked = wait === undefined ? "" : `, and asks to wait ${seconds} s`;
  const error = new SextantError(
    "file",
    `cannot download: ${host} answered ${status} (${why})${asked}; what is there is kept, try again later`,
  );
  return new Transient(error, wait === undefined ? {} : { wait });
}

function hostOf(endpoint: string): string {
  return new URL(endpoint).host;
}
