/** @file Probes of one place at one moment, by layer. */
import type { LayerProbe, ProbeKind } from "../../analyses/probes/request.js";
import type { Moment } from "./judged.js";

/** What was probed: a name, and its probes, one a layer (or a head). */
export interface Probed {
  readonly site: string;
  readonly moment: Moment;
  readonly method: ProbeKind;
  readonly probes: readonly LayerProbe[];
}
