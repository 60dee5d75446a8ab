/** @file Both formats: what is asked, what counts as in the format and as right, where the target's mentions end, and worked examples. */
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../src/formats/tokenizer.js";
import { formatNamed } from "../../../src/studies/self-verification/formats/table.js";
import { verdictsOf } from "../../../src/studies/self-verification/verdicts.js";
import { distinctTasks } from "../../../src/tasks/countdown/rows.js";
import { isHeldOut, taskKey } from "../../../src/tasks/countdown/task.js";
import { encodeText } from "../../../src/tasks/countdown/vocabulary.js";
import { temporaryFolder } from "../../formats/folder.js";
import { TINY, goldenOf } from "./tiny.js";

const { refusal } = temporaryFolder();
const own = formatNamed("countdown");
const paper = formatNamed("qwen-countdown");
const both = [own, paper];

/** The paper's prompt, typed from its notes. */
const PAPER_PROMPT = `A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first thinks about the reasoning process in the mind and then provides the user with the answer.\nUser: Using the numbers [11, 5, 68], create an equation that equals 62. You can use basic arithmetic operations (+, -, *, /) and each number can only be used once. Show your work in <think> </think> tags. And return the final answer in <answer> </answer> tags, for example <answer> (1 + 2) / 3 </answer>.\nAssistant: Let me solve this step by step.\n<think>`;

/** An output of the trained model, as published. */
const PUBLISHED = `We have the numbers 12, 90, 60, and 67. We need to use all of them to make an equation that equals 49. Let's try different combinations:
- 90 - 67 - 60 + 12 = -15 (not 49)
- 67 + 60 + 12 - 90 = 49 (this works)
So, the equation that equals 49 is 67 + 60 + 12 - 90. </think>
<answer> (67 + 60 + 12) - 90 </answer>`;
const TASK = { numbers: [12, 90, 60, 67], target: 49 };

describe("tasks", () => {
  test("of the repository's format are the held-out ones of the seed, with their prompts", () => {
    const options = { counts: [3], largestNumber: 9 };
    const prompts = formatNamed("countdown", { tasks: options }).prompts(20, 5);
    expect(prompts.map(({ task }) => task)).toEqual(distinctTasks(5, 20, options, true).map(({ task }) => task));
    for (const { task, text } of prompts) {
      expect(isHeldOut(task as never)).toBe(true);
      expect(text).toBe(`numbers ${task.numbers.join(" ")} target ${task.target}\n`);
    }
  });

  test("of the paper's format are within its bounds, and no two alike", () => {
    const tasks = paper.prompts(300, 3).map(({ task }) => task);
    expect(new Set(tasks.map(taskKey)).size).toBe(300);
    const targets = tasks.map(({ target }) => target);
    expect(Math.min(...targets)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...targets)).toBeLessThanOrEqual(100);
    expect(new Set(tasks.map(({ numbers }) => numbers.length))).toEqual(new Set([3, 4]));
    expect(Math.max(...tasks.flatMap(({ numbers }) => numbers))).toBeGreaterThan(90);
    expect(Math.max(...tasks.flatMap(({ numbers }) => numbers))).toBeLessThanOrEqual(99);
  });

  test.each(both)("$name: are the same for a seed and others for another", (format) => {
    expect(format.prompts(10, 4, { examples: 1 })).toEqual(format.prompts(10, 4, { examples: 1 }));
    expect(format.prompts(10, 4)).not.toEqual(format.prompts(10, 5));
  });

  test("that are given are asked, without repeats", () => {
    const rows = [{ numbers: [11, 5, 68], target: 62 }, { numbers: [68, 11, 5], target: 62 }, TASK];
    const prompts = formatNamed("qwen-countdown", { rows }).prompts(2, 1);
    expect(prompts.map(({ task }) => task.target).toSorted((a, b) => a - b)).toEqual([49, 62]);
    expect(refusal(() => formatNamed("qwen-countdown", { rows }).prompts(3, 1))).toBe(
      "usage: cannot ask 3 distinct tasks: the given rows have 2. Instead: ask for fewer, or give more rows",
    );
  });
});

describe("the paper's prompt", () => {
  test("is the released one to the letter", () => {
    const format = formatNamed("qwen-countdown", { rows: [{ numbers: [11, 5, 68], target: 62 }] });
    expect(format.prompts(1, 1)).toEqual([{ task: { numbers: [11, 5, 68], target: 62 }, text: PAPER_PROMPT }]);
  });

  test("keeps mentions of the target up to the end of the restatement", () => {
    const text = PAPER_PROMPT + PUBLISHED;
    expect(text.slice(0, paper.contextEnd(text))).toMatch(/an equation that equals 49\.$/);
    expect(paper.contextEnd(`${PAPER_PROMPT}Hm, 62 is`)).toBe(PAPER_PROMPT.length);
  });
});

test("mentions of the target end with what was asked in the repository's format", () => {
  const text = "numbers 3 5 7 target 15\n- 3 + 5 + 7 = 15 (this works)\n";
  expect(text.slice(own.contextEnd(text))).toBe("- 3 + 5 + 7 = 15 (this works)\n");
  expect(own.contextEnd("nothing of the kind")).toBe(0);
});

describe("worked examples", () => {
  test.each(both)("$name: stand in front, solve other tasks, show both verdicts, and are in the format", (format) => {
    const plain = format.prompts(12, 9);
    const shown = formatNamed(format.name, { mostSearch: 120 }).prompts(12, 9, { examples: 2 });
    const asked = new Set(plain.map(({ task }) => taskKey(task)));
    for (const [i, { task, text }] of shown.entries()) {
      expect(task).toEqual(plain[i]!.task);
      const question = format === own ? plain[i]!.text : plain[i]!.text.slice(plain[i]!.text.indexOf("User: Using"));
      expect(text.endsWith(question)).toBe(true);
      const examples = examplesOf(text.slice(0, -question.length), format.name);
      expect(examples).toHaveLength(2);
      for (const { task: other, search } of examples) {
        expect(asked.has(taskKey(other))).toBe(false);
        expect(other.target).not.toBe(task.target);
        expect(format.judge(other, search)).toEqual({ inFormat: true, solved: true });
        const verdicts = verdictsOf(search, other);
        expect(verdicts.map(({ verdict }) => verdict)).toEqual(["not", "works"]);
        expect(verdicts.map(({ isRight }) => isRight)).toEqual([false, true]);
      }
      expect(format.contextEnd(text)).toBe(text.length);
    }
  });

  test("fit into the small model's context, or are refused", () => {
    const text = own.prompts(50, 2, { examples: 1 }).map((prompt) => 1 + encodeText(prompt.text).length);
    expect(Math.max(...text) + 128).toBeLessThanOrEqual(320);
    expect(refusal(() => own.prompts(5, 2, { examples: 8 }))).toMatch(
      /^usage: cannot ask with 8 worked examples: a prompt has \d+ tokens and a search needs 128, the model's context is 320\. Instead: /,
    );
  });

  function examplesOf(text: string, name: string): { task: { numbers: number[]; target: number }; search: string }[] {
    const pattern =
      name === "countdown"
        ? /numbers ([\d ]+) target (\d+)\n([^n].*?answer [^\n]*\n)/gs
        : /numbers \[([\d, ]+)\], create an equation that equals (\d+)\..*?<think>(We have.*?<\/answer>)/gs;
    return [...text.matchAll(pattern)].map(([, numbers, target, search]) => ({
      task: { numbers: numbers!.split(/,? /).map(Number), target: Number(target) },
      search: search!,
    }));
  }
});

describe("judging", () => {
  test("a published search keeps to the format and is right", () => {
    expect(paper.judge(TASK, PUBLISHED)).toEqual({ inFormat: true, solved: true });
  });

  test.each([
    ["another target in a verdict", PUBLISHED.replace("(not 49)", "(not 48)"), { inFormat: false, solved: true }],
    ["a wrong answer", PUBLISHED.replace("(67 + 60 + 12) - 90", "67 + 60 + 12 + 90"), { inFormat: true, solved: false }],
    ["a number twice", PUBLISHED.replace("(67 + 60 + 12) - 90", "67 + 60 + 12 - 90 + 12 - 12"), { inFormat: true, solved: false }],
    ["going on behind success", PUBLISHED.replace("(not 49)", "(this works)"), { inFormat: false, solved: true }],
    ["nothing behind the attempts", PUBLISHED.split("\nSo,")[0]!, { inFormat: false, solved: false }],
    ["an answer that is not on the last line", `${PUBLISHED}\n`, { inFormat: false, solved: false }],
    ["two answers, of which the last counts", `${PUBLISHED} <answer> 1 </answer>`, { inFormat: false, solved: false }],
    ["nothing", "", { inFormat: false, solved: false }],
  ])("%s", (_, response, judged) => {
    expect(paper.judge(TASK, response)).toEqual(judged);
  });

  test("searches of the repository's format by its own rules", () => {
    const task = { numbers: [3, 5, 7], target: 15 };
    expect(own.judge(task, "- 3 + 5 + 7 = 15 (this works)\nanswer 3 + 5 + 7\n")).toEqual({ inFormat: true, solved: true });
    expect(own.judge(task, "- 3 + 5 + 7 = 15 (this works)\nanswer 3 + 5 * 7\n")).toEqual({ inFormat: true, solved: false });
    expect(own.judge(task, "- 3 + 5 + 7 = 15 (this works)\n")).toEqual({ inFormat: false, solved: false });
  });
});

describe("bad input", () => {
  test.each([
    ["an unknown format", () => formatNamed("toString")],
    ["no tasks", () => own.prompts(0, 1)],
    ["half a task", () => paper.prompts(1.5, 1)],
    ["half an example", () => paper.prompts(1, 1, { examples: 0.5 })],
    ["too many examples", () => own.prompts(1, 1, { examples: 17 })],
    ["rows and options", () => formatNamed("countdown", { rows: [TASK], tasks: {} })],
    ["a row that is none", () => formatNamed("countdown", { rows: [TASK, { numbers: [1.5, 2], target: 3 }] })],
    ["no tokens for a search", () => formatNamed("countdown", { mostSearch: 0 })],
    ["no such target", () => formatNamed("qwen-countdown", { tasks: { largestTarget: 9 } }).prompts(1, 1)],
  ])("%s", (_, action) => {
    expect(refusal(action)).toMatchSnapshot();
  });
});

describe("the tiny Qwen 2", () => {
  const tokenizer = loadTokenizer(TINY);

  test("spells the paper's prompt as `tokenizers` does, and back", () => {
    const { prompt, ids, greedy, text } = goldenOf();
    expect(tokenizer.encode(prompt).ids).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(prompt);
    expect(tokenizer.decode(greedy)).toBe(text);
    expect(paper.prompts(1, 1)[0]!.text.replace(/\[.*?\]|equals \d+/g, "")).toBe(prompt.replace(/\[.*?\]|equals \d+/g, ""));
  });
});
