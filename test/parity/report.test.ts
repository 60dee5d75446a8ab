/** @file The bounds of `docs/parity.md`: neither broken nor idle, and no churn between machines. `parity.test.ts` checks the page itself. */
import { describe, expect, it } from "vitest";
import type { Difference } from "../reference/compare.js";
import type { Measured } from "./measure.js";
import { renderParity, type ParityReport } from "./report.js";

describe("a bound", () => {
  const page = renderParity(reportOf(3e-6));

  it("is a power of ten with room for a factor of two, or the limit of the tests", () => {
    expect(lineOf(page)).toBe("| toy | gpt2 | < 1e-5 | 1 | `q.0` < 1e-5 | < 1e-12 |  |  | 4 of 4 |  |  |");
    expect(lineOf(renderParity(reportOf(6e-6)))).toContain("| < 1e-4 | 1 | `q.0` < 2e-5 |");
  });

  it("is kept while it holds, whatever would be written anew", () => {
    expect(renderParity(reportOf(9e-6), page)).toBe(page);
    expect(renderParity(reportOf(3e-7), page)).toBe(page);
  });

  it("is written anew when it is broken or more than an order too wide", () => {
    expect(lineOf(renderParity(reportOf(1.1e-5), page))).toContain("| < 1e-4 |");
    expect(lineOf(renderParity(reportOf(3e-8), page))).toContain("| < 1e-7 |");
  });
});

function lineOf(page: string): string | undefined {
  return page.split("\n").find((line) => line.startsWith("| toy"));
}

/** A report of one model whose logits and only point are off by `error`. */
function reportOf(error: number): ParityReport {
  const off = (address: string): Difference => ({ address, maxAbs: error, relative: error, cosine: 1, at: [0], ours: 1, theirs: 1 });
  const clean = [{ agrees: true, message: "", differences: [off("q.0"), off("logits")] }];
  const toy: Measured = { name: "toy", family: "gpt2", clean, edited: [], greedy: { equal: 4, total: 4 } };
  return { groups: [{ title: "Toys", rows: [toy] }], versions: ["transformers 5"] };
}
