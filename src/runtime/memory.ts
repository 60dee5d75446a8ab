/** @file How much memory there is for weights and results, unless the caller sets a limit. */
import { freemem, platform, totalmem } from "node:os";

/** Bytes that the system can give: on Linux what is free or can be freed; elsewhere, where `freemem` leaves the latter out, all it has. */
export function memoryLeft(): number {
  return platform() === "linux" ? freemem() : totalmem();
}
