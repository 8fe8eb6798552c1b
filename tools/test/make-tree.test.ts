import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeTree } from "../make-tree.mjs";
import { scratchTree } from "./scratch-tree.ts";

interface Found {
  readonly path: string;
  readonly size: number;
  readonly hash: string;
}

function readTree(root: string): Found[] {
  return readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const content = readFileSync(path);
      const hash = createHash("sha256").update(content).digest("hex");
      return { path: path.slice(root.length + 1), size: content.length, hash };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function tree(files: number, seed: number): Found[] {
  const root = scratchTree({});
  const made = makeTree(root, { files, seed });
  const found = readTree(root);
  expect(made).toEqual({ files: found.length, bytes: found.reduce((sum, { size }) => sum + size, 0) });
  return found;
}

test("the same seed gives the same tree, another seed another one", () => {
  const first = tree(60, 1);
  expect(first).toHaveLength(60);
  expect(tree(60, 1)).toEqual(first);
  expect(tree(60, 2)).not.toEqual(first);
});

test("a tree of another machine is the same: its hash is known", () => {
  const text = tree(60, 1).map(({ path, size, hash }) => `${path} ${size} ${hash}`);
  expect(createHash("sha256").update(text.join("\n")).digest("hex")).toMatchInlineSnapshot(
    `"81fbb0fde9cf620263aba6c46b9ce897af2842381e0400eb58fdb0c2d3e961fa"`,
  );
});

test("a small tree already holds every kind of file that an import must meet", () => {
  const found = tree(60, 1);
  const has = (condition: (file: Found) => boolean): boolean => found.some(condition);
  expect(has(({ size }) => size === 0)).toBe(true);
  expect(has(({ size }) => size === 1024 * 1024)).toBe(true);
  expect(has(({ path }) => path.split("/").length === 12)).toBe(true);
  expect(has(({ path }) => /\/[^/]* [^/]*$/.test(path))).toBe(true);
  expect(has(({ path }) => /[^\0-\x7f][^/]*$/.test(path))).toBe(true);
  expect(has(({ path }) => /\/\.[^/.][^/]*$/.test(path))).toBe(true);
});

test("a path fits a key of 4 KiB, and no file is larger than a value of 1 MiB", () => {
  for (const { path, size } of tree(200, 3)) {
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(4096);
    expect(size).toBeLessThanOrEqual(1024 * 1024);
  }
});
