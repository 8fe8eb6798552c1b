import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { scratchTree } from "./scratch-tree.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const oxlint = `${root}tools/node_modules/oxlint/bin/oxlint`;
const configuration = JSON.parse(readFileSync(`${root}.oxlintrc.json`, "utf8")) as { options?: unknown };
// Rules that need types are left out: they would need a whole project.
delete configuration.options;

function brokenRules(files: Readonly<Record<string, string>>): string[] {
  const directory = scratchTree({ ".oxlintrc.json": JSON.stringify(configuration), ...files });
  const { stdout } = spawnSync(process.execPath, [oxlint, "-f", "unix"], { cwd: directory, encoding: "utf8" });
  const found = [...stdout.matchAll(/^(\S+?):(\d+):\d+: .*\/(.*)\]$/gm)];
  return found.map(([, path, line, rule]) => `${path}:${line} ${rule}`).sort();
}

test("a pure package that reaches for clock, randomness, timers, files or output is found", () => {
  const source = `import { readFileSync } from "node:fs";
export const a = [
  Date.now(),
  Math.random(),
  setTimeout,
  process.pid,
  performance.now(),
  readFileSync,
  Buffer,
  globalThis,
];
console.log(["b"].sort((x, y) => x.localeCompare(y)));
`;
  const expected = [
    ":1 eslint(no-restricted-imports)",
    ":10 eslint(no-restricted-globals)",
    ":12 eslint(no-console)",
    ":12 eslint(no-restricted-globals)",
    ":12 eslint(no-restricted-properties)",
    ":3 eslint(no-restricted-globals)",
    ":4 eslint(no-restricted-properties)",
    ":5 eslint(no-restricted-globals)",
    ":6 eslint(no-restricted-globals)",
    ":7 eslint(no-restricted-globals)",
    ":9 eslint(no-restricted-globals)",
  ];
  for (const path of ["base/src/a.ts", "raft/src/deep/a.ts", "store/src/a.ts", "transport/src/a.ts"]) {
    expect(brokenRules({ [`packages/${path}`]: source })).toEqual(expected.map((each) => `packages/${path}${each}`));
  }
});

test("the ways to the world may reach it", () => {
  const source =
    'import { readFileSync } from "node:fs";\nexport const a = [Date.now(), setTimeout, Buffer, readFileSync];\n';
  const paths = ["storage/src/leveldb/a.ts", "transport/src/grpc/a.ts", "platform/src/a.ts", "raft/test/a.test.ts"];
  expect(brokenRules(Object.fromEntries(paths.map((path) => [`packages/${path}`, source])))).toEqual([]);
});

test("a circle of imports, any, a skipped test, and a file over 600 lines are found", () => {
  const files = {
    "packages/client/src/a.ts": 'import { b } from "./b.ts";\nexport const a = (): number => b();\n',
    "packages/client/src/b.ts": 'import { a } from "./a.ts";\nexport const b = (): number => a();\n',
    "packages/client/src/c.ts": "export let c: any;\n",
    "packages/client/src/d.ts": `${"export {};\n".repeat(601)}`,
    "packages/client/test/e.test.ts":
      'import { expect, test } from "vitest";\ntest.skip("x", () => expect(1).toBe(1));\n',
  };
  expect(brokenRules(files)).toEqual([
    "packages/client/src/a.ts:1 import(no-cycle)",
    "packages/client/src/b.ts:1 import(no-cycle)",
    "packages/client/src/c.ts:1 typescript(no-explicit-any)",
    "packages/client/src/d.ts:601 eslint(max-lines)",
    "packages/client/test/e.test.ts:2 vitest(no-disabled-tests)",
  ]);
});
