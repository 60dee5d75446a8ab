/** @file What `verify-model --dump` prints: a line a tensor, what was recognised, what was left out. */
import { table } from "../charts/terminal.js";
import type { DumpReport } from "../runtime/verify/dump.js";
import { plainLine } from "../store/plain-line.js";
import { counted } from "./wording.js";

/** The comparison as text. */
export function dumpText({ compared, left, ok }: DumpReport, { colour }: { colour: boolean }): string {
  const rows = compared.map(({ name, address, verdict, absolute, relative, explanation = "" }) =>
    [name, address, verdict, absolute.toExponential(1), relative.toExponential(1), explanation].map((text) => ({ text: plainLine(text) })),
  );
  const header = ["in the dump", "address", "verdict", "max |Δ|", "relative", "differs by"];
  const align = ["left", "left", "left", "right", "right", "left"] as const;
  const parts = [
    ...(rows.length > 0 ? [table(rows, { header, align, colour, columns: Infinity, widest: 100 })] : []),
    ...(left.length > 0
      ? [[`${counted(left.length, "tensor")} left out:`, ...left.map(({ name, why }) => plainLine(`  ${name}: ${why}`))].join("\n")]
      : []),
    ...adviceOf(compared),
    verdictOf(compared, ok),
  ];
  return parts.join("\n\n");
}

function adviceOf(compared: DumpReport["compared"]): string[] {
  if (!compared.some(({ verdict }) => verdict === "explained")) return [];
  return [
    "What is explained is the same model written otherwise: TransformerLens folds and centres weights unless it is loaded with from_pretrained_no_processing.",
  ];
}

/** The first to differ in the dump's order is where to look: those behind it differ for it. */
function verdictOf(compared: DumpReport["compared"], ok: boolean): string {
  if (compared.length === 0) return "Nothing could be compared.";
  if (ok) return `${counted(compared.length, "tensor")} compared, none differs.`;
  const differing = compared.filter(({ verdict }) => verdict === "differs");
  return `${differing.length} of ${counted(compared.length, "tensor")} ${differing.length === 1 ? "differs" : "differ"}, the first is ${plainLine(differing[0]!.name)}.`;
}
