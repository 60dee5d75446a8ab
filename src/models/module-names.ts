/**
 * @file Paths of transformers' modules, which nnsight's users name tensors by (`model.layers.5.output`), as nnterp's names of the same modules (`layers_output.5`),
 * whose table says what they are.
 */

const LAYER = String.raw`^(?:\w+\.){0,3}(?:layers|h)(?:\.(-?\d+|\*)|\[(-?\d+|\*)\])`;
const ROOT = String.raw`^(?:\w+\.){0,3}`;

/** The modules inside a layer, and those outside. nnsight gives an output that is a tuple as such, and `[0]` is its first part. */
const IN_LAYER: readonly (readonly [path: string, input: string, output: string])[] = [
  ["", "layers_input", "layers_output"],
  [String.raw`\.(?:self_attn|attn|attention|self_attention)`, "attentions_input", "attentions_output"],
  [String.raw`\.(?:mlp|feed_forward)`, "mlps_input", "mlps_output"],
];
const OUTSIDE: readonly (readonly [path: string, input: string | undefined, output: string])[] = [
  ["(?:embed_tokens|wte|embed_in|word_embeddings)", undefined, "token_embeddings"],
  ["(?:norm|ln_f|final_layer_norm|final_layernorm)", "ln_final.input", "ln_final.output"],
  ["(?:lm_head|embed_out)", "lm_head.input", "lm_head.output"],
];

/** nnterp's name of a module's input or output; the name itself where it is no such path. */
export function moduleName(name: string): string {
  const plain = name.replace(/(?:\[0\]|\.0)$/, "");
  if (!/\.(?:input|output)$/.test(plain)) return name;
  const isInput = plain.endsWith(".input");
  const end = isInput ? String.raw`\.input$` : String.raw`\.output$`;
  for (const [path, input, output] of IN_LAYER) {
    const found = new RegExp(`${LAYER}${path}${end}`).exec(plain);
    if (found) return `${isInput ? input : output}.${found[1] ?? found[2]}`;
  }
  const [, input, output] = OUTSIDE.find(([path]) => new RegExp(`${ROOT}${path}${end}`).test(plain)) ?? [];
  return (isInput ? input : output) ?? name;
}
