import { expect, test } from "vitest";
import { checkImports } from "../check-imports/check-imports.ts";
import { scratchTree } from "./scratch-tree.ts";

function manifest(name: string, dependencies: string[] = [], subpaths: string[] = []): string {
  const exported = Object.fromEntries([".", ...subpaths].map((subpath) => [subpath, "./dist/index.js"]));
  const versions = Object.fromEntries(dependencies.map((dependency) => [dependency, "1.0.0"]));
  return JSON.stringify({ name, exports: exported, dependencies: versions });
}

const packages = {
  "packages/base/package.json": manifest("@flotilla/base"),
  "packages/platform/package.json": manifest("@flotilla/platform", ["@flotilla/base"]),
  "packages/raft/package.json": manifest("@flotilla/raft", ["@flotilla/base", "@flotilla/store"]),
  "packages/store/package.json": manifest("@flotilla/store", ["@flotilla/base", "@flotilla/raft"]),
  "packages/storage/package.json": manifest("@flotilla/storage", ["classic-level"], ["./leveldb"]),
};

function messages(files: Record<string, string>): string[] {
  const found = checkImports(scratchTree({ ...packages, ...files }));
  return found.map(({ path, line, message }) => `${path}:${line} ${message}`);
}

test("imports that go down, to what is exported and declared, are accepted", () => {
  const files = {
    "packages/store/src/index.ts":
      'import { x } from "@flotilla/raft";\nexport type { Y } from "@flotilla/base";\nx();',
    "packages/store/test/a.test.ts":
      'import { test } from "vitest";\nimport { x } from "../src/index.ts";\ntest("x", x);',
    "packages/storage/src/leveldb/a.ts":
      'import { open } from "node:fs";\nimport { L } from "classic-level";\nopen(L);',
    "packages/storage/src/leveldb/b.ts": 'import { x } from "../engine.ts";\nx();',
    "packages/storage/src/engine.ts": "export function x(): void {}",
  };
  expect(messages(files)).toEqual([]);
});

test("an import that goes up is found, declared or not, and in tests too", () => {
  const source = 'import type { S } from "@flotilla/store";\nexport type T = S;';
  const files = { "packages/raft/src/a.ts": `\n${source}`, "packages/raft/test/a.test.ts": source };
  expect(messages(files)).toEqual([
    "packages/raft/src/a.ts:2 raft may not import store (tools/check-imports/layers.ts)",
    "packages/raft/test/a.test.ts:1 raft may not import store (tools/check-imports/layers.ts)",
  ]);
});

test("the Node implementations are refused in a pure package and accepted in its tests when declared", () => {
  const source = 'import { nodeClock } from "@flotilla/platform";\nnodeClock();';
  const withPlatform = JSON.stringify({
    name: "@flotilla/raft",
    devDependencies: { "@flotilla/platform": "workspace:*" },
  });
  const files = { "packages/raft/src/a.ts": source, "packages/raft/test/a.test.ts": source };
  expect(messages({ ...files, "packages/raft/package.json": withPlatform })).toEqual([
    "packages/raft/src/a.ts:1 raft may not import platform (tools/check-imports/layers.ts)",
  ]);
});

test("an import of another package's files is found, by name and by path", () => {
  const byName = 'export * from "@flotilla/base/dist/key.js";';
  const byPath = 'export { x } from "../../base/src/key.ts";';
  expect(messages({ "packages/store/src/a.ts": `${byName}\n${byPath}` })).toEqual([
    'packages/store/src/a.ts:1 @flotilla/base does not export "./dist/key.js"',
    'packages/store/src/a.ts:2 "../../base/src/key.ts" leaves the package; import the other one by its name',
  ]);
});

test("a package's tests may import it by its name, its sources may not", () => {
  const source = 'import { x } from "@flotilla/store";\nx();';
  expect(messages({ "packages/store/src/a.ts": source, "packages/store/test/a.test.ts": source })).toEqual([
    "packages/store/src/a.ts:1 the package imports itself by its name; use a relative path",
  ]);
});

test("an import of tests from sources is found", () => {
  expect(messages({ "packages/store/src/a.ts": 'import "../test/a.ts";' })).toEqual([
    'packages/store/src/a.ts:1 "../test/a.ts" leaves src',
  ]);
});

test("an import that package.json does not declare is found, a dynamic one too", () => {
  const files = {
    "packages/store/src/a.ts": 'export const load = () => import("@flotilla/storage/leveldb");',
    "packages/store/src/b.ts": 'import { pack } from "msgpackr";\npack(1);',
  };
  expect(messages(files)).toEqual([
    "packages/store/src/a.ts:1 @flotilla/storage is not among the dependencies of packages/store/package.json",
    "packages/store/src/b.ts:1 msgpackr is not among the dependencies of packages/store/package.json",
  ]);
});

test("a way to the world is found in code that must not have one", () => {
  const files = {
    "packages/raft/src/a.ts": 'import { readFileSync } from "node:fs";\nreadFileSync("x");',
    "packages/raft/src/b.ts": 'import { readFileSync } from "fs";\nreadFileSync("x");',
    "packages/storage/src/engine.ts": 'export * from "./leveldb/a.ts";',
    "packages/storage/src/leveldb/a.ts": "export const a = 1;",
  };
  expect(messages(files)).toEqual([
    'packages/raft/src/a.ts:1 "node:fs": this code reaches the world only through the interfaces of base',
    'packages/raft/src/b.ts:1 "fs" is part of Node: write "node:fs"',
    'packages/storage/src/engine.ts:1 "./leveldb/a.ts" is a way to the world; code that is handed its interfaces must not import it',
  ]);
});

test("a package that the layers do not know is found", () => {
  expect(messages({ "packages/extra/package.json": manifest("@flotilla/extra") })).toEqual([
    "packages/extra/package.json:1 package extra has no place in tools/check-imports/layers.ts",
  ]);
});
