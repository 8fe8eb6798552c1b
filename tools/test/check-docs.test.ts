import { expect, test } from "vitest";
import { checkDocs } from "../check-docs/check-docs.ts";
import { scratchTree } from "./scratch-tree.ts";

function messages(rows: string[], files: Record<string, string> = {}): string[] {
  const table = ["| id | claim | evidence |", "|---|---|---|", ...rows].join("\n");
  const found = checkDocs(scratchTree({ "docs/failure-modes.md": table, ...files }));
  return found.map(({ path, line, message }) => `${path}:${line} ${message}`);
}

const voteTest =
  'import { test } from "vitest";\ntest("A1 one vote a term", () => {});\ntest(\n  "A2 fsync first",\n);';

test("rows whose tests exist, and rows that say why none is needed, are accepted", () => {
  const rows = [
    "| A1 | one vote a term | `a.test.ts` |",
    "| A2 | a vote is synced before it is sent | `a.test.ts`, `b.txt` |",
    "| B3 | never two at once | Impossible: there is one slot. |",
  ];
  expect(messages(rows, { "a.test.ts": voteTest, "b.txt": "# A2 a vote waits for the disk" })).toEqual([]);
});

test("a listed test that is gone is found", () => {
  expect(messages(["| A1 | one vote a term | `a.test.ts` |"])).toEqual([
    "docs/failure-modes.md:3 A1 names a.test.ts, which does not exist",
  ]);
});

test("a file without a test of that id is found, even when the id stands elsewhere in it", () => {
  const files = { "a.test.ts": `// A3 and A10\n${voteTest}\ntest("A10 x", () => {});` };
  expect(messages(["| A3 | x | `a.test.ts` |", "| A10 | y | `a.test.ts` |"], files)).toEqual([
    "docs/failure-modes.md:3 a.test.ts has no test named A3",
  ]);
});

test("a row without evidence, without a claim, or out of form is found", () => {
  const rows = [
    "| A1 | one vote a term | soon |",
    "| A2 |  | Impossible: no. |",
    "| A3 | x |",
    "| A2 | y | Impossible: z. |",
  ];
  expect(messages(rows)).toEqual([
    'docs/failure-modes.md:3 A1 names neither a test\'s path in backticks nor "Impossible: " and why',
    "docs/failure-modes.md:4 A2 claims nothing",
    "docs/failure-modes.md:5 this row does not have the form | id | claim | evidence |",
    "docs/failure-modes.md:6 A2 stands here twice",
  ]);
});

test("a link to a document that is not there is found", () => {
  const files = { "README.md": "[a](docs/failure-modes.md#x) [b](https://example.org) [c](docs/gone.md)" };
  expect(messages([], files)).toEqual(["README.md:1 the link to docs/gone.md leads nowhere"]);
});

test("a missing list of failure modes is found", () => {
  expect(checkDocs(scratchTree({ "README.md": "x" })).map(({ message }) => message)).toEqual(["is missing"]);
});
