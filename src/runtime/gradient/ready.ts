/** @file A gradient request held against the model: what is asked, what the metric reads, and what cannot have a gradient, with the reason. */
import { refuse, SextantError } from "../../base/errors.js";
import { expandAddresses, inForwardOrder, type Place } from "../../models/address.js";
import { pointRow } from "../../models/points.js";
import type { ModelSpec } from "../../models/spec.js";
import { checkTokens } from "../check-request.js";
import { makePass, type Pass } from "../pass.js";
import { prepareEdits, type PreparedEdit } from "../prepare-edits.js";
import { readyMetric, type ReadyMetric } from "./metric.js";
import { logitRowsOf, type LogitRow } from "./readout.js";
import type { GradientRequest } from "./request.js";

/** A request, checked and prepared. */
export interface Ready {
  readonly metric: ReadyMetric;
  readonly at: readonly Place[];
  readonly reads: readonly Place[];
  readonly edits: readonly PreparedEdit[];
  readonly pass: Pass;
  readonly lengths: readonly number[];
  /** Rows of logits that the metric reads. */
  readonly logitRows: readonly LogitRow[];
}

/** The request, ready to run. */
export function readyRequest(spec: ModelSpec, request: GradientRequest): Ready {
  checkTokens(spec, request.tokens, { beyondContext: request.beyondContext });
  const lengths = request.tokens.map((row) => row.length);
  const metric = readyMetric(spec, request.of, request.tokens);
  const at = expandAddresses(spec, request.at ?? []).filter((place) => !isLeftOut(place, request.at ?? []));
  const reads = expandAddresses(spec, request.read ?? []);
  for (const place of [...at, ...reads]) refusePlace(place, at.includes(place));
  if (at.length === 0 && !request.parameters) throw new SextantError("request", "at: nothing is asked for; name points or parameters");
  const ready = { metric, at, reads, lengths, logitRows: logitRowsOf(metric, lengths), pass: makePass(request.tokens) };
  const last = lastPlace(ready);
  for (const place of at) if (last && inForwardOrder(place, last) > 0) throw behind(place, last);
  return { ...ready, edits: prepareEdits(spec, request.edits ?? [], { lengths, limits: lengths }) };
}

/** `all` and `*` leave out what has no gradient; named alone it is refused. */
function isLeftOut({ address, point }: Place, asked: readonly string[]): boolean {
  const isNamed = asked.some((text) => text.trim() === address);
  return !isNamed && (point === "logits" || point === "experts");
}

function refusePlace({ address, point }: Place, isAsked: boolean): void {
  const what = `there is no gradient at ${address}`;
  if (isAsked && pointRow(point).dtype === "int32")
    throw refuse({ what, why: "it holds indices, and a choice has no slope", instead: "router_logits or expert_weights" }, "request");
  if (point !== "logits") return;
  const why = "the metric is made of the logits directly, nothing lies between";
  throw refuse(
    isAsked
      ? { what, why, instead: "final_normalized" }
      : { what: "logits are not read here", why: "a metric may need few of them", instead: "forward" },
    "request",
  );
}

/** The last place that the metric reads; undefined for the logits. */
function lastPlace({ metric, logitRows }: Pick<Ready, "metric" | "logitRows">): Place | undefined {
  return logitRows.length > 0 ? undefined : placesOf(metric).toSorted(inForwardOrder).at(-1);
}

/** Where in the model the metric reads values. */
export function placesOf(metric: ReadyMetric): Place[] {
  if (metric.kind === "seeds") return metric.seeds.map(({ place }) => place);
  if (metric.kind === "cross_entropy") return [];
  return metric.rows.flatMap((terms) => terms.flatMap((term) => (term.reading === "place" ? [term.place] : [])));
}

function behind(place: Place, last: Place): SextantError {
  const what = `the gradient at ${place.address} is 0 everywhere`;
  return refuse({ what, why: `the metric is read at ${last.address}, in front of it`, instead: "ask for earlier points" }, "request");
}
