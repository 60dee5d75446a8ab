/** @file Errors as data, so that one that was thrown in a worker is thrown by the caller: kind, message, refusal and causes are kept. */
import { SextantError, type ErrorKind, type Refusal } from "../../base/errors.js";

/** An error that can be cloned. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** Of a `SextantError`. */
  readonly kind?: ErrorKind;
  readonly refusal?: Refusal;
  readonly cause?: SentError;
}

/** Causes of causes that are kept. */
const MOST_CAUSES = 8;

/** The errors of the language, which the caller gets as what they were. */
const OWN_KINDS: Readonly<Record<string, ErrorConstructor>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** What was thrown, as data; of what is no error only its text. */
export function sentError(thrown: unknown, causes = MOST_CAUSES): SentError {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown) };
  const { name, message, stack, cause } = thrown;
  return {
    name,
    message,
    ...(stack !== undefined && { stack }),
    ...(cause !== undefined && causes > 0 && { cause: sentError(cause, causes - 1) }),
    ...(thrown instanceof SextantError && { kind: thrown.kind, ...(thrown.refusal && { refusal: thrown.refusal }) }),
  };
}

/** The error that was sent. */
export function receivedError(sent: SentError): Error {
  const error = made(sent, sent.cause && receivedError(sent.cause));
  if (sent.stack !== undefined) error.stack = sent.stack;
  return error;
}

function made({ name, message, kind, refusal }: SentError, cause: Error | undefined): Error {
  if (kind !== undefined) return new SextantError(kind, message, { ...(refusal && { refusal }), cause });
  const Kind = Object.hasOwn(OWN_KINDS, name) ? OWN_KINDS[name] : undefined;
  const error = new (Kind ?? Error)(message, cause && { cause });
  if (!Kind) error.name = name;
  return error;
}
