/**
 * @file The one error type of Sextant. A message says where, what was demanded and what came; a refusal says what cannot
 * be done, why, and what to do instead. `kind` is for callers that act on an error, the sentence is for people.
 */

/** What sort of thing went wrong; the command line turns `usage` into exit code 2 and the rest into 1. */
export type ErrorKind =
  | "usage" // the command line or a call was written wrongly
  | "file" // a file is missing or cannot be read or written
  | "format" // bytes do not follow the format they claim
  | "unsupported" // a family, setting, point or edit that cannot be honoured
  | "request" // tokens, addresses or edits that do not fit the model
  | "weights" // values in the checkpoint that cannot be computed with
  | "memory" // the machine has not enough of it
  | "interrupted" // the caller aborted the work
  | "internal"; // a broken invariant of Sextant itself

/** What cannot be done, why, and what to do instead. */
export interface Refusal {
  readonly what: string;
  readonly why: string;
  readonly instead?: string;
}

/** An error of Sextant: `kind` to act on, `message` to read, `refusal` where something was refused. */
export class SextantError extends Error {
  override readonly name = "SextantError";
  readonly kind: ErrorKind;
  readonly refusal?: Refusal;

  constructor(kind: ErrorKind, message: string, options: { refusal?: Refusal; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    if (options.refusal) this.refusal = options.refusal;
  }
}

/** Whether `error` is a `SextantError`, and of that kind when one is given. */
export function isSextantError(error: unknown, kind?: ErrorKind): error is SextantError {
  return error instanceof SextantError && (kind === undefined || error.kind === kind);
}

/** An error that refuses something: `what: why. Instead: instead.` */
export function refuse(refusal: Refusal, kind: ErrorKind = "unsupported"): SextantError {
  const instead = refusal.instead ? `. Instead: ${refusal.instead}` : "";
  return new SextantError(kind, `${refusal.what}: ${refusal.why}${instead}`, { refusal });
}

/** An error for a broken invariant: never the user's fault. */
export function internal(message: string): SextantError {
  return new SextantError("internal", `internal: ${message}`);
}

/** `value`, or an internal error naming what was missing. */
export function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw internal(`${what} is missing`);
  return value;
}
