/** @file How sweeps are used: pairs from a file, interruption, wrong use. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { mapText } from "../../src/cli/sweep-map.js";
import { MODEL, sextant } from "./sextant.js";
import { ANSWERS, at, HILL, PAIR, STONE, sweep, textOf, type Nested } from "./sweeping.js";

const folder = mkdtempSync(join(tmpdir(), "sextant-sweeps-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("pairs from a file", () => {
  const PAIRS = [
    {
      clean: "Mira Hill met Anna while Mira",
      corrupted: "Mira Wood met Anna while Mira",
      answer: "Hill",
      wrong: "Wood",
      positions: { surname: 2, other: { clean: "Anna", corrupted: 4 } },
    },
    {
      clean: "the dog saw Tom Stone while the cat sat near Tom",
      corrupted: "the dog saw Tom Hill while the cat sat near Tom",
      answer: ["Stone"],
      wrong: 58,
      positions: { surname: { clean: "Stone", corrupted: "Hill" }, other: [-2] },
    },
  ];

  function pairsFile(name: string, ...lines: readonly unknown[]): string {
    const path = join(folder, name);
    writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
    return path;
  }

  test("may have unequal lengths where positions have names", async () => {
    const argv = ["patch", MODEL, "--pairs", pairsFile("pairs.jsonl", ...PAIRS, ""), "--point", "resid_pre", "--by", "pos"];
    expect(await textOf(...argv, "--positions", "surname,other,end")).toMatchInlineSnapshot(`
      "
      12 runs, of which 4 cannot change anything: …

      logit_diff: clean 8.996, corrupted -8.995 (means of 2 pairs)

      logit_diff of the corrupted runs with patched resid_pre
      layer ↓  pos →

          s
          u
          r   o
          n   t
          a   h   e
          m   e   n
          e   r   d
      0  10*  ·   ·
      1  10*  ·   ·

      tenths of 1 (effect as a share of clean − corrupted)
      -1 [-10 -8 -6 -4 -2  ·  2  4  6  8 10 ] 1
      · within 0.05 of 0, * at least 5% of clean − corrupted

      the largest effects
      layer  pos      logit_diff  normalised  effect     95%  q
      0      surname       8.996           1   17.99  1 to 1  1
      1      surname       8.996           1   17.99  1 to 1  1

      done in …
      "
    `);
    const found = await sweep(...argv, "--positions", "surname,other,end");
    expect(found).toMatchObject({
      pairs: 2,
      ticks: [
        [0, 1],
        ["surname", "other", "end"],
      ],
    });
    expect(found).not.toHaveProperty("tokens");
    const perPair = found["perPair"] as Nested;
    expect((at(perPair, 0, 0, 0)! + at(perPair, 0, 0, 1)!) / 2).toBeCloseTo(at(found.values, 0, 0)!, 10);
    for (const name of ["intervals", "p", "q"]) expect(found[name]).toHaveLength(2);
    expect((await sextant(argv)).err).toContain("a grid by position needs positions by name");
  });

  test("are named by their line where they are wrong", async () => {
    const [first] = PAIRS;
    const broken: readonly (readonly unknown[])[] = [
      [first, "", "{"],
      [first, { ...first, clean: 3 }],
      [first, { ...first, wright: "x" }],
      [first, { ...first, corrupted: undefined }],
      [first, { ...first, answer: undefined }],
      [first, { ...first, answer: "Mira Hill" }],
      [first, { ...first, positions: { other: "Mira" } }],
      [],
    ];
    const said = await Promise.all(
      broken.map((lines, i) =>
        sextant(["patch", MODEL, "--pairs", pairsFile(`broken-${i}.jsonl`, ...lines), "--point", "resid_pre", "--by", "layer"]),
      ),
    );
    expect(said.map(({ code }) => code)).toEqual(broken.map(() => 1));
    expect(`\n${said.map(({ err }) => err.replaceAll(folder, "…").replace(/not JSON: .*/, "not JSON: …")).join("")}`)
      .toMatchInlineSnapshot(`
        "
        sextant patch: …/broken-0.jsonl:3 is not JSON: …
        sextant patch: …/broken-1.jsonl:2: clean: must be a text or a list of token ids, got the number 3
        sextant patch: …/broken-2.jsonl:2: has no field "wright"; it takes clean, corrupted, answer, wrong, positions
        sextant patch: …/broken-3.jsonl:2: needs "corrupted": patching takes values from one run into the other
        sextant patch: …/broken-4.jsonl:2: needs "answer": logit_diff is logit(answer) − logit(wrong), in nats
        sextant patch: …/broken-5.jsonl:2: cannot take "Mira Hill" as one token: it is 2 tokens, "Mira" "Hill". Instead: use a text that is one token, or a token id
        sextant patch: …/broken-6.jsonl:2: position "other" in the clean prompt: 2 tokens (at 1, 6) of it read "Mira"; give an index
        sextant patch: …/broken-7.jsonl has no pairs: it needs one JSON object a line
        "
      `);
  });
});

describe("--state", () => {
  const argv = ["patch", ...PAIR, "--point", "z", "--by", "pos,head", "--work-memory", "51KiB"];

  test("is gone on with after an interruption, and gives what an uninterrupted run gives", async () => {
    const path = join(folder, "patch.journal");
    const controller = new AbortController();
    const linesOf = (): number => (existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0);
    const watch = setInterval(() => void (linesOf() >= 2 && controller.abort()), 0);
    const stopped = await sextant([...argv, "--state", path], { signal: controller.signal });
    clearInterval(watch);
    expect(stopped.code).toBe(130);
    expect(stopped.err).toMatch(/interrupted; \d of \d parts? (?:is|are) kept in .*patch\.journal; the same command goes on from there\n$/);
    const kept = linesOf() - 1;
    const again = await sextant([...argv, "--state", path]);
    expect(again.out).toMatch(new RegExp(`^${kept} of \\d parts taken from `, "m"));
    const [whole, resumed] = [await sweep(...argv), await sweep(...argv, "--state", path)];
    expect(resumed.values).toEqual(whole.values);
  });

  test("of another sweep is refused and left as it is", async () => {
    const path = join(folder, "other.journal");
    await sextant([...argv, "--state", path]);
    const before = readFileSync(path);
    const { code, err } = await sextant([...argv, "--noise", "--state", path]);
    expect([code, err.replace(folder, "…")]).toMatchInlineSnapshot(`
      [
        1,
        "sextant patch: cannot go on from …/other.journal: it was kept by another sweep, or one with other settings. Instead: repeat the command that it was begun with, or name another file
      ",
      ]
    `);
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});

describe("a map too large for a terminal", () => {
  const drawn = (rows: number, columns: number): string => {
    const count = (length: number): string[] => Array.from({ length }, (_, i) => String(i));
    const panels = [{ values: count(rows).map(() => new Float64Array(columns)) }];
    const options = { rowLabels: count(rows), columnLabels: count(columns), title: "logit_diff" };
    return mapText({ panels, options }, { colour: false, columns: 90 });
  };

  test("is left to pictures, whether it is too wide or has too many cells", () => {
    expect(drawn(1, 200)).toContain("tenths of 1");
    expect(drawn(1, 201)).toBe("logit_diff: 201 cells are too many to draw here; --svg and --png draw them");
    expect(drawn(61, 100)).toBe("logit_diff: 6100 cells are too many to draw here; --svg and --png draw them");
  });
});

describe("wrong use", () => {
  const pair = ["MODEL", ...HILL, ...STONE, ...ANSWERS];
  const cases: readonly (readonly string[])[] = [
    ["patch", ...pair],
    ["patch", "MODEL", "--point", "z"],
    ["patch", "MODEL", ...HILL, ...STONE, "--point", "z"],
    ["patch", "MODEL", ...HILL, ...ANSWERS, "--point", "z"],
    ["patch", ...pair, "--answer-token", "3", "--point", "z"],
    ["patch", ...pair, "--point", "rezid_pre"],
    ["patch", ...pair, "--point", "z", "--by", "head,layer"],
    ["patch", ...pair, "--point", "z", "--by", "heads"],
    ["patch", ...pair, "--point", "z", "--by", "key"],
    ["patch", ...pair, "--point", "z", "--keys", "1"],
    ["patch", ...pair, "--point", "z", "--metric", "logits"],
    ["patch", ...pair, "--point", "z", "--ablate", "one"],
    ["patch", ...pair, "--point", "z", "--ablate", "zero", "--basis", "x"],
    ["patch", ...pair, "--point", "edges", "--ablate", "zero"],
    ["patch", ...pair, "--point", "edges", "--units", "1"],
    ["patch", ...pair, "--point", "edges", "--by", "pos,key"],
    ["patch", ...pair, "--point", "z", "--at", "1,2"],
    ["patch", "MODEL", "--clean-tokens", "[1", ...STONE, ...ANSWERS, "--point", "z"],
    ["patch", "MODEL", "--pairs", "x", ...ANSWERS, "--point", "z"],
    ["knockout", ...pair, "--by", "unit"],
    ["knockout", ...pair, "--positions", "1"],
    ["path", ...pair, "--from", "z"],
    ["path", ...pair, "--from", "pattern", "--to", "end"],
    ["path", ...pair, "--from", "z", "--to", "q.1.g2"],
    ["path", ...pair, "--from", "z", "--to", "end,q.1.2"],
    ["path", ...pair, "--from", "z", "--to", "end", "--through", "heads"],
  ];

  test("is said before any model is loaded", async () => {
    const said = await Promise.all(cases.map((argv) => sextant(argv)));
    expect(`\n${said.map(({ err }) => err.split("\n")[0]).join("\n")}\n`).toMatchInlineSnapshot(`
      "
      sextant patch: needs --point
      sextant patch: needs --clean or --clean-tokens or --pairs
      sextant patch: needs --answer: logit_diff is logit(answer) − logit(wrong), in nats
      sextant patch: needs --corrupted: patching takes values from one run into the other
      sextant patch: takes only one of --answer and --answer-token
      sextant patch: --point must be one of edges, resid_pre, ln1_scale, ln1_normalized, q, k, v, rot_q, rot_k, attn_scores, pattern, z, head_out, attn_out_raw, attn_out, resid_mid, ln2_scale, ln2_normalized, mlp_pre, mlp_gate, mlp_up, router_logits, experts, expert_weights, mlp_post, mlp_out_raw, mlp_out, resid_post; got "rezid_pre"; did you mean resid_pre?
      sextant patch: --by: the layer comes first, got "head,layer"
      sextant patch: --by takes layer, pos, head, unit, query, key with commas between, each once; got "heads"
      sextant patch: --by of z takes layer, pos, head, unit, got "key"
      sextant patch: --keys with --point z: z has positions, not keys
      sextant patch: --metric takes logit_diff, log_prob, prob, rank, kl, accuracy with commas between, each once; got "logits"
      sextant patch: --ablate must be one of zero, mean, got "one"
      sextant patch: takes only one of --basis and --ablate
      sextant patch: --ablate with --point edges: edges are cut, nothing is put in their place
      sextant patch: --units with --point edges: edges have no units
      sextant patch: --by: pos of edges is the key, which is there already, got "pos,key"
      sextant patch: --at must be one position, got "1,2"
      sextant patch: --clean-tokens must be JSON such as [1,2,3], or @FILE, got "[1"
      sextant patch: --answer is for one pair, those of --pairs have theirs in the file
      sextant knockout: --by of edges takes layer, head, query, key, got "unit"
      sextant knockout: unknown option --positions
      sextant path: needs --to
      sextant path: --from pattern: a sender is a value at a position; z is what its edges lead to
      sextant path: --to must be q.LAYER.HEAD, k.LAYER.HEAD, v.LAYER.HEAD, k.LAYER.gGROUP, v.LAYER.gGROUP, mlp.LAYER or end, got "q.1.g2"
      sextant path: --to: end stands alone, got "end,q.1.2"
      sextant path: --through must be one of residual, mlps, got "heads"
      "
    `);
    expect(said.map(({ code }) => code)).toEqual(cases.map(() => 2));
  });

  test("of memory is said, too", async () => {
    const { code, err } = await sextant(["patch", ...PAIR, "--point", "z", "--work-memory", "0MiB"]);
    expect([code, err.split("\n")[0]]).toEqual([
      2,
      'sextant patch: --work-memory must be a size above 0 with its unit, such as 2GiB or 500MB, got "0MiB"',
    ]);
  });
});
