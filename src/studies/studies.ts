/** @file The table of studies. A new one is a folder beside this file and a row here. */
import { SextantError } from "../base/errors.js";
import { selfVerification } from "./self-verification/study.js";
import type { Study } from "./study.js";

/** All studies. Their parameters differ, so what is common to all is what a caller may use. */
export const STUDIES: readonly Study[] = [selfVerification as unknown as Study];

/** The study of a name. */
export function studyNamed(name: string): Study {
  const found = STUDIES.find((study) => study.name === name);
  if (found) return found;
  throw new SextantError("usage", `there is no study ${JSON.stringify(name)}; there are ${STUDIES.map((study) => study.name).join(", ")}`);
}
