/** @file `sextant lens`: the logit lens as a table, layers down and positions across. */
import { logitLens, type LensRow } from "../../analyses/lens.js";
import type { TokenStanding } from "../../analyses/probabilities.js";
import type { Tokenizer } from "../../formats/tokenizer.js";
import { defineCommand } from "../command.js";
import {
  EDIT_OPTIONS,
  givenPrompt,
  MODEL_ARGUMENT,
  PROMPT_OPTIONS,
  readEdits,
  readToken,
  rowsOf,
  RUN_OPTIONS,
  tokenText,
  unscheduled,
  withModel,
} from "../inputs.js";
import { parseIndices } from "../lists.js";
import { usage } from "../parse.js";
import { lensTable, shown, targetTable, type Look } from "../tables.js";

const OPTIONS = {
  ...PROMPT_OPTIONS,
  top: { type: "integer", placeholder: "K", default: 1, meaning: "how many tokens to show in each cell" },
  layers: { type: "text", placeholder: "LIST", meaning: "layers such as 0,3..5,-1; all of them by default" },
  positions: { type: "text", placeholder: "LIST", meaning: "positions such as 0,-1, negative ones from the end; all of them by default" },
  target: { type: "text", placeholder: "TOKEN", meaning: "a token, or #ID: its rank and probability at each layer" },
  ...EDIT_OPTIONS,
  ...RUN_OPTIONS,
} as const;

export const lensCommand = defineCommand({
  name: "lens",
  summary: "Shows what each layer would predict if it were the last (the logit lens).",
  arguments: [MODEL_ARGUMENT],
  options: OPTIONS,
  oneOf: [["text", "tokens"]],
  examples: [
    'lens models/induction --text "the cat sat near Mira Stone while the dog saw Mira" --target Stone --positions -1',
    "lens MODEL --tokens '[[1,2,3]]' --top 3 --layers 0..5 --json",
  ],
  async run(call) {
    const { top, target } = call.options;
    if (top < 1) throw usage("--top must be 1 or more");
    const [layers, positions] = [parseIndices(call.options.layers, "--layers"), parseIndices(call.options.positions, "--positions")];
    const prompt = givenPrompt(call.options);
    const edits = unscheduled(await readEdits(call));
    return withModel(call, async (opened) => {
      const request = {
        tokens: await rowsOf(prompt, opened),
        top,
        edits,
        ...(layers && { layers }),
        ...(positions && { positions }),
        ...(target !== undefined && { target: await readToken(target, opened) }),
        beyondContext: call.options["beyond-context"],
      };
      const rows = await logitLens(opened.model, request, call);
      const tokenizer = await opened.tokenizer();
      const look = { name: (id: number) => tokenText(tokenizer, id), colour: call.colour, columns: call.columns };
      const text = rows.map((row, i) => describeRow(row, rows.length > 1 ? i : undefined, look)).join("\n\n");
      return { json: { rows: rows.map((row) => jsonRow(row, tokenizer)) }, text };
    });
  },
});

function describeRow(row: LensRow, index: number | undefined, look: Look): string {
  const title = index === undefined ? [] : [`row ${index}`];
  const target = row.layers[0]?.cells[0]?.target;
  const targets = target ? ["", `rank and probability of ${shown(target, look)}`, targetTable(row, look)] : [];
  return [...title, lensTable(row, look), ...targets].join("\n");
}

function jsonRow({ tokens, positions, layers }: LensRow, tokenizer: Tokenizer | undefined): object {
  const standing = ({ token, ...rest }: TokenStanding): object => ({ token, ...(tokenizer && { text: tokenizer.token(token) }), ...rest });
  return {
    tokens,
    ...(tokenizer && { text: tokens.map((id) => tokenizer.token(id)) }),
    positions,
    layers: layers.map(({ layer, cells }) => ({
      layer,
      cells: cells.map(({ position, top, target }) => ({ position, top: top.map(standing), ...(target && { target: standing(target) }) })),
    })),
  };
}
