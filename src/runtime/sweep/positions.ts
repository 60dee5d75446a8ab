/** @file Positions that an edit of a sweep selects in one pair: by index, by name, and for a patch where they are in the other prompt. */
import { must, refuse, SextantError } from "../../base/errors.js";
import type { PreparedPair, Side } from "./pairs.js";
import type { NamedPositions, Patch } from "./request.js";

/** Positions of the edited run, ascending, and for each the position in the run that a patch takes it from. */
export interface SelectedPositions {
  readonly positions: Int32Array;
  readonly from: Int32Array;
}

interface Selection {
  readonly where: string;
  readonly positions: NamedPositions | undefined;
  readonly patch: Patch | undefined;
  readonly isEdges: boolean;
}

/** What is selected; positions that the prompt lacks, or that come too late to matter, are refused. */
export function resolvePositions(pair: PreparedPair, selection: Selection): SelectedPositions {
  const { where, positions, patch } = selection;
  const entries = entriesOf(pair.baseSide, positions, where);
  for (const position of entries.flat()) refuseLate(pair, position, where);
  const own = entries.flat();
  const from = patch === undefined || patch.run === "base" ? own : sourcePositions(pair, selection, entries);
  const order = [...new Map(own.map((position, i) => [position, from[i]!]))].toSorted(([a], [b]) => a - b);
  return { positions: Int32Array.from(order, ([position]) => position), from: Int32Array.from(order, ([, other]) => other) };
}

function isList(positions: NamedPositions | undefined): positions is readonly (number | string)[] {
  return Array.isArray(positions);
}

/** One list of positions for each entry of a selection. */
function entriesOf({ tokens, names, at }: Side, positions: NamedPositions | undefined, where: string): number[][] {
  if (positions === undefined) return Array.from({ length: at + 1 }, (_, position) => [position]);
  if (!isList(positions)) {
    const { every, from = 0, to = Infinity } = positions;
    const [first, end] = [from, to].map((bound) => (bound < 0 ? bound + tokens.length : bound)) as [number, number];
    return Array.from({ length: at + 1 }, (_, position) => position)
      .filter((position) => position >= first && position < end && (position - first) % every === 0)
      .map((position) => [position]);
  }
  if (positions.length === 0) throw new SextantError("request", `${where}: an empty list selects nothing; leave it out to select all`);
  return positions.map((entry) => entryOf({ tokens, names }, entry, where));
}

function entryOf({ tokens, names }: Pick<Side, "tokens" | "names">, entry: number | string, where: string): number[] {
  if (typeof entry === "string") {
    const span = names.get(entry);
    if (span) return [...span];
    throw new SextantError(
      "request",
      `${where}: there is no position ${JSON.stringify(entry)}; this pair has ${[...names.keys()].join(", ")}`,
    );
  }
  const index = entry < 0 ? entry + tokens.length : entry;
  if (Number.isInteger(entry) && index >= 0 && index < tokens.length) return [index];
  throw new SextantError("request", `${where}: ${entry} is outside the prompt, which has ${tokens.length} tokens`);
}

function refuseLate({ base }: PreparedPair, position: number, where: string): void {
  if (position < base.length) return;
  throw new SextantError(
    "request",
    `${where}: position ${position} comes behind the one that is measured (${base.length - 1}), so it changes nothing there`,
  );
}

function sourcePositions(pair: PreparedPair, { where, positions, patch, isEdges }: Selection, entries: readonly number[][]): number[] {
  const { sourceSide } = pair;
  if (!sourceSide) {
    const instead = 'give the pair a corrupted prompt, or patch from the "base"';
    throw refuse({ what: `${where}: cannot patch`, why: "the pair has no other prompt to take values from", instead }, "request");
  }
  const written = isList(positions) ? positions : [];
  const own = entries.flat();
  const there = patch?.from
    ? patch.from.flatMap((entry) => entryOf(sourceSide, entry, `${where} in the other prompt`))
    : entries.flatMap((span, i) => counterpart(pair, { where, entry: written[i], span }));
  if (there.length !== own.length)
    throw new SextantError("request", `${where}: ${own.length} positions take values from ${there.length}; give one for each`);
  if (isEdges && there.some((position, i) => position !== own[i])) throw unaligned(where, pair, "patch q, k or z");
  return there;
}

/** Where an entry of a selection is in the other prompt: what has a name, or is counted from the end, is found there by that. */
function counterpart(pair: PreparedPair, at: { where: string; entry: number | string | undefined; span: readonly number[] }): number[] {
  const { where, entry, span } = at;
  const { sourceSide, baseSide } = pair;
  const side = must(sourceSide, "the other prompt");
  if (typeof entry === "string" || (entry !== undefined && entry < 0)) {
    const found = entryOf(side, entry, `${where} in the other prompt`);
    if (found.length !== span.length) throw unaligned(where, pair, `give ${JSON.stringify(entry)} as many tokens in both`);
    return found;
  }
  if (side.tokens.length !== baseSide.tokens.length) throw unaligned(where, pair, "select positions by name, or from the end");
  return [...span];
}

function unaligned(where: string, { baseSide, sourceSide }: PreparedPair, instead: string): SextantError {
  const [own, other] = [baseSide.tokens.length, sourceSide?.tokens.length ?? 0];
  const why =
    own === other
      ? "its positions differ between the two prompts"
      : `the prompts have ${own} and ${other} tokens, so their positions do not correspond`;
  return refuse({ what: `${where}: cannot take values from the other prompt`, why, instead }, "request");
}
