/** @file `sextant attend`: attention patterns as text or SVG, and what kind of key each head looks at. */
import { scoreHeads, type ScoredHead } from "../../analyses/heads.js";
import { SextantError } from "../../base/errors.js";
import { attentionPattern } from "../../charts/attention-pattern.js";
import { writeAtomic } from "../../formats/atomic.js";
import { defineCommand } from "../command.js";
import {
  EDIT_OPTIONS,
  givenRow,
  MODEL_ARGUMENT,
  PROMPT_OPTIONS,
  readEdits,
  rowsOf,
  RUN_OPTIONS,
  tokenText,
  unscheduled,
  withModel,
} from "../inputs.js";
import { usage } from "../parse.js";
import { headName, patternText, scoreTable } from "../tables.js";

export const attendCommand = defineCommand({
  name: "attend",
  summary: "Shows where attention heads look: scores of all heads, and the patterns of those named.",
  arguments: [MODEL_ARGUMENT],
  options: {
    ...PROMPT_OPTIONS,
    layer: { type: "integer", placeholder: "L", meaning: "draw the heads of this layer" },
    head: { type: "integer", placeholder: "H", meaning: "draw only this head of the layer" },
    svg: { type: "text", placeholder: "FILE", meaning: "also write the head's pattern as SVG; needs --layer and --head" },
    ...EDIT_OPTIONS,
    ...RUN_OPTIONS,
  },
  oneOf: [["text", "tokens"]],
  examples: [
    'attend models/induction --text "Tom Hill met Anna Wood while Tom"',
    'attend models/induction --text "Tom Hill met Anna Wood while Tom" --layer 1 --head 2 --svg head.svg',
  ],
  async run(call) {
    const { layer, head, svg } = call.options;
    if (head !== undefined && layer === undefined) throw usage("--head without --layer");
    if (svg !== undefined && head === undefined) throw usage("--svg needs --layer and --head");
    const prompt = givenRow(call.options);
    const edits = unscheduled(await readEdits(call));
    return withModel(call, async (opened) => {
      const [tokens = []] = await rowsOf(prompt, opened);
      const heads = await scoreHeads(opened.model, { tokens, edits, beyondContext: call.options["beyond-context"] }, call);
      const chosen = choose(heads, layer, head);
      const tokenizer = await opened.tokenizer();
      const labels = tokens.map((id) => tokenText(tokenizer, id));
      if (svg !== undefined) writeAtomic(svg, [attentionPattern(chosen[0]!.pattern, { tokens: labels, title: headName(chosen[0]!) })]);
      const pictures = chosen.map((one) => `${headName(one)}\n${patternText(one.pattern, labels, call)}`);
      const text = [
        scoreTable(layer === undefined ? heads : chosen, call),
        ...pictures,
        ...(svg === undefined ? [] : [`written to ${svg}`]),
      ].join("\n\n");
      return {
        json: {
          tokens,
          ...(tokenizer && { text: labels }),
          heads: heads.map(({ layer: at, head: index, scores }) => ({ layer: at, head: index, ...scores })),
          patterns: chosen.map(jsonPattern),
        },
        text,
      };
    });
  },
});

function choose(heads: readonly ScoredHead[], layer: number | undefined, head: number | undefined): ScoredHead[] {
  if (layer === undefined) return [];
  const found = heads.filter((one) => one.layer === layer && (head === undefined || one.head === head));
  if (found.length > 0) return found;
  const layers = Math.max(...heads.map((one) => one.layer)) + 1;
  const own = heads.filter((one) => one.layer === layer).length;
  const range = own > 0 ? `layer ${layer} has heads 0 to ${own - 1}, got ${head}` : `the model has layers 0 to ${layers - 1}, got ${layer}`;
  throw new SextantError("request", range);
}

function jsonPattern({ layer, head, pattern }: ScoredHead): object {
  const width = pattern.shape[1]!;
  const rows = Array.from({ length: pattern.shape[0]! }, (_, query) => [...pattern.data.subarray(query * width, (query + 1) * width)]);
  return { layer, head, pattern: rows };
}
