/**
 * @file From text to ids, and for each id the stretch of text that it stands for. The steps are those of every fast tokenizer:
 * cut out added tokens, normalize, cut out the added tokens that are looked for in normalized text, cut the rest into
 * vocabulary entries, put the post-processor's tokens around it.
 */
import { must } from "../../base/errors.js";
import { makeSplitter, type Section } from "./added-tokens.js";
import { alignedText, type AlignedText } from "./aligned-text.js";
import type { Detokenizer } from "./detokenize.js";
import { makeNormalizer } from "./normalizer.js";
import { traceTokens, type Spelling, type TextRange } from "./trace.js";
import type { TokenizerEngine } from "./engine.js";

/** One token of a text. */
interface Piece {
  readonly id: number;
  readonly range: TextRange;
}

/** Cuts a text into ids. */
export type Encode = (text: string, addSpecialTokens: boolean) => Piece[];

/** The encoder of a tokenizer whose `normalizer` is configured so. */
export function makeEncoder(normalizer: unknown, engine: TokenizerEngine, detokenizer: Detokenizer): Encode {
  const normalize = makeNormalizer(normalizer);
  const spelling = makeSpelling(engine, detokenizer);
  const asGiven = makeSplitter(
    engine.added.filter((token) => !token.normalized),
    (token) => token.content,
  );
  const normalized = makeSplitter(
    engine.added.filter((token) => token.normalized),
    (token) => normalize(alignedText(token.content)).text,
  );
  const idsOf = (tokens: readonly string[]): number[] => tokens.map((token) => must(engine.idOf(token), `the id of token ${token}`));
  const cutSection = ({ text, added }: Section): Piece[] => {
    if (added) return [{ id: added.id, range: [text.from[0]!, text.to.at(-1)!] }];
    return cutText(text, engine, spelling);
  };
  return (given, addSpecialTokens) => {
    const source = alignedText(given.replace(/\p{Surrogate}/gu, "\ufffd"));
    const sections = asGiven(source).flatMap((section) => (section.added ? [section] : normalized(normalize(section.text))));
    const pieces = sections.flatMap(cutSection);
    if (!addSpecialTokens) return pieces;
    const around = (tokens: readonly string[], at: number): Piece[] => idsOf(tokens).map((id) => ({ id, range: [at, at] }));
    return [...around(engine.prefix, 0), ...pieces, ...around(engine.suffix, given.length)];
  };
}

function cutText(section: AlignedText, engine: TokenizerEngine, spelling: Spelling): Piece[] {
  const { text, tokens } = engine.cut(section);
  const ranges = traceTokens(text, tokens, spelling);
  return tokens.map((token, i) => ({ id: must(engine.idOf(token), `the id of token ${token}`), range: ranges[i]! }));
}

function makeSpelling(engine: TokenizerEngine, { bytesOf }: Detokenizer): Spelling {
  return {
    bytesOf: (token) => (token === engine.unknown ? undefined : bytesOf(token)),
    metaspace: !engine.byteLevel,
    fusesUnknown: engine.fusesUnknown,
    wholeWords: engine.wholeWords,
    dropsSpace: engine.dropsSpace,
    isKnown: (character) => engine.idOf(character === " " ? "▁" : character) !== undefined,
  };
}
