/** @file The formats by name. */
import { refuse } from "../../../base/errors.js";
import { quote } from "../../../formats/json.js";
import type { VerificationFormat } from "../format.js";
import type { FormatOptions } from "./asked.js";
import { countdownFormat } from "./countdown.js";
import { qwenCountdownFormat } from "./qwen-countdown.js";

const FORMATS: Readonly<Record<string, (options: FormatOptions) => VerificationFormat>> = {
  countdown: countdownFormat,
  "qwen-countdown": qwenCountdownFormat,
};

/** The names of the formats. */
export const FORMAT_NAMES: readonly string[] = Object.keys(FORMATS);

/** The format of that name; an unknown one is refused. */
export function formatNamed(name: string, options: FormatOptions = {}): VerificationFormat {
  if (Object.hasOwn(FORMATS, name)) return FORMATS[name]!(options);
  const why = "there is no such format of searches";
  throw refuse({ what: `cannot ask for ${quote(name)}`, why, instead: `take ${FORMAT_NAMES.join(" or ")}` }, "usage");
}
