/** @file Chat templates, made and real. */
import { describe, expect, test } from "vitest";
import { encodeChat, renderChat } from "../../src/formats/chat.js";
import { loadTokenizer } from "../../src/formats/tokenizer.js";
import { hasShared, sharedPath } from "../shared.js";
import { temporaryFolder } from "./folder.js";

const { path, write, refusal } = temporaryFolder();
const ask = [{ role: "user", content: "hi" }];

function folder(name: string, config: object, files: Record<string, string> = {}): ReturnType<typeof loadTokenizer> {
  write(`${name}/tokenizer.json`, JSON.stringify({ model: { type: "BPE", vocab: { h: 0, i: 1 }, merges: [] }, decoder: { type: "Fuse" } }));
  write(`${name}/tokenizer_config.json`, JSON.stringify(config));
  for (const [file, content] of Object.entries(files)) write(`${name}/${file}`, content);
  return loadTokenizer(path(name));
}

const LINES =
  "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

test("a template sees messages, special tokens and variables", () => {
  const tokenizer = folder("plain", { chat_template: LINES + "{{ date_string }}", bos_token: { content: "<s>" } });
  expect(renderChat(tokenizer, ask)).toBe("<s>user:hi\nassistant:");
  expect(renderChat(tokenizer, ask, { addGenerationPrompt: false, variables: { date_string: "now" } })).toBe("<s>user:hi\nnow");
});

test("named templates: tools choose tool_use, an unknown name is refused", () => {
  const chat_template = [
    { name: "default", template: "plain" },
    { name: "tool_use", template: "{{ tools | length if tools else 0 }} tools" },
  ];
  const tokenizer = folder("named", { chat_template });
  expect(renderChat(tokenizer, ask)).toBe("plain");
  expect(renderChat(tokenizer, ask, { tools: [{}, {}] })).toBe("2 tools");
  expect(renderChat(tokenizer, ask, { template: "tool_use" })).toBe("0 tools");
  expect(refusal(() => renderChat(tokenizer, ask, { template: "rag" }))).toMatchInlineSnapshot(
    `"request: cannot write a chat for TMP/named: it has no chat template "rag". Instead: one of default, tool_use"`,
  );
});

test("chat_template.jinja comes before the configuration", () => {
  const tokenizer = folder("file", { chat_template: "old" }, { "chat_template.jinja": "new" });
  expect(renderChat(tokenizer, ask)).toBe("new");
});

test("refusals: no template, a template that raises, one that does not parse", () => {
  expect(refusal(() => renderChat(folder("none", {}), ask))).toMatchInlineSnapshot(
    `"request: cannot write a chat for TMP/none: its tokenizer has no chat template, so it is not a chat model. Instead: give the prompt as plain text"`,
  );
  const strict = folder("strict", { chat_template: "{{ raise_exception('roles must alternate') }}" });
  expect(refusal(() => renderChat(strict, ask))).toMatchInlineSnapshot(
    `"request: the chat template of TMP/strict does not take these messages: roles must alternate"`,
  );
  expect(refusal(() => renderChat(folder("broken", { chat_template: "{% if %}" }), ask))).toMatch(
    /^request: the chat template of TMP\/broken/,
  );
});

describe.skipIf(!hasShared)("real templates", () => {
  test("Llama 3 writes its own beginning of text, once", () => {
    const tokenizer = loadTokenizer(sharedPath("tokenizers/llama3"));
    const { text, ids } = encodeChat(tokenizer, ask);
    expect(text).toMatchInlineSnapshot(`
      "<|begin_of_text|><|start_header_id|>user<|end_header_id|>

      hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>

      "
    `);
    expect(ids.filter((id) => id === tokenizer.bosId)).toHaveLength(1);
  });

  test("Qwen 2.5", () => {
    expect(renderChat(loadTokenizer(sharedPath("tokenizers/qwen2_5")), ask)).toMatchInlineSnapshot(`
      "<|im_start|>system
      You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>
      <|im_start|>user
      hi<|im_end|>
      <|im_start|>assistant
      "
    `);
  });
});
