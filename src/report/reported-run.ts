/** @file A run as a report shows it: plain data from its folder, with what its study says of itself. */
import type { Finding } from "../store/finding.js";
import type { RunManifest } from "../store/manifest.js";
import type { Figure } from "../store/step-output.js";
import type { Table } from "../store/table.js";

/** What a step was for and what it left. */
export interface ReportedStep {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly notes: readonly string[];
  readonly skipped?: string;
  readonly findings: readonly Finding[];
  readonly tables: readonly Table[];
  /** A figure's table is one of the step's. */
  readonly figures: readonly Figure[];
}

/** A whole run. */
export interface ReportedRun {
  readonly manifest: RunManifest;
  readonly about: {
    readonly title: string;
    readonly question: string;
    /** What the study is after, such as a paper. */
    readonly source: string;
    /** What was found, a sentence a line. */
    readonly summary: readonly string[];
    /** Ids of the findings that stand on top. Default: those with a control or a published number; all where there are none. */
    readonly key?: readonly string[];
  };
  /** In the order in which they ran. */
  readonly steps: readonly ReportedStep[];
  /** What runs the study again, as a line for a shell. */
  readonly command: string;
}
