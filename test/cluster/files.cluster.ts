/** Files into a cluster and out again, by the command. */
import { execFileSync } from "node:child_process";
import { lstatSync } from "node:fs";
import { cp, mkdir, readFile, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, isLong } from "./harness.ts";
import type { CommandResult } from "./harness.ts";
import { leavesOf, linksIn, missingIn } from "./tree-diff.ts";
import type { ImportReport } from "./tree-diff.ts";

afterEach(closeAllClusters);

/** Imports a directory and exports it again. `left`: what `diff` misses in the export; it must find no other difference. */
async function throughTheCluster(
  cluster: RealCluster,
  tree: string,
): Promise<{ imported: CommandResult; exported: CommandResult; left: string[] }> {
  const imported = await cluster.run(["import", "dir", tree, "--prefix", "tree/", "-o", "json"]);
  const out = join(cluster.directory, "out");
  const exported = await cluster.run(["export", "dir", out, "--prefix", "tree/", "-o", "json"]);
  return { imported, exported, left: missingIn(tree, out) };
}

const mebibyte = 1024 * 1024;

/** The folder of links, and the packages that hold files over the limit and little more. */
async function copyPart(all: string, tree: string): Promise<void> {
  for (const name of await readdir(all)) {
    const path = join(all, name);
    const sizes = leavesOf(all, name).map((leaf) => lstatSync(join(all, leaf)).size);
    const large = sizes.filter((size) => size > mebibyte).length;
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    if (name === "node_modules" || (large > 0 && bytes < 12 * mebibyte && sizes.length < 300))
      await cp(path, join(tree, name), { recursive: true, verbatimSymlinks: true });
  }
}

const makeTreeFiles = isLong ? 5000 : 300;
const lines = isLong ? 200_000 : 20_000;
const makeTree: string = fileURLToPath(new URL("../../tools/make-tree.mjs", import.meta.url));

test("a directory comes out of the cluster as it went in", async () => {
  const cluster = await RealCluster.start();
  const tree = join(cluster.directory, "tree");
  execFileSync(process.execPath, [makeTree, tree, "--files", String(makeTreeFiles), "--seed", "1"]);
  const { imported, exported, left } = await throughTheCluster(cluster, tree);
  expect([imported.exitCode, exported.exitCode]).toEqual([0, 0]);
  expect(JSON.parse(imported.out)).toMatchObject({ records: makeTreeFiles, skipped: 0, failed: 0, failures: [] });
  expect(JSON.parse(exported.out)).toMatchObject({ records: makeTreeFiles, skipped: 0, failed: 0 });
  expect(left).toEqual([]);
});

test("of a real directory with links and large files exactly these are left out, and told", async () => {
  const cluster = await RealCluster.start();
  const all = fileURLToPath(new URL("../../node_modules/.pnpm", import.meta.url));
  const tree = isLong ? all : join(cluster.directory, "tree");
  if (!isLong) await copyPart(all, tree);
  const { imported, exported, left } = await throughTheCluster(cluster, tree);
  expect([imported.exitCode, exported.exitCode]).toEqual([1, 0]);
  const report = JSON.parse(imported.out) as ImportReport;
  const links = linksIn(tree);
  expect(links.length).toBeGreaterThan(100);
  expect(report.failures.length).toBeGreaterThan(5);
  expect(report).toMatchObject({ skipped: links.length, failed: report.failures.length });
  expect(left).toEqual([...links, ...report.failures.map(({ name }) => name)].sort());
  for (const { name, code, sizeBytes, limitBytes } of report.failures) {
    expect([code, sizeBytes, limitBytes]).toEqual(["ValueTooLarge", lstatSync(join(tree, name)).size, mebibyte]);
  }
});

test("links, pipes and empty directories are counted, and nothing that a link leads to comes in", async () => {
  const cluster = await RealCluster.start({ nodes: 1, ranges: 1 });
  const tree = join(cluster.directory, "tree");
  for (const path of ["empty", "links/below", "deep/er/empty", "a b"])
    await mkdir(join(tree, path), { recursive: true });
  await symlink("../..", join(tree, "links/below/up"));
  await symlink("nowhere", join(tree, "links/dangling"));
  execFileSync("mkfifo", [join(tree, "pipe")]);
  await writeFile(join(tree, "a b/at the limit"), Buffer.alloc(mebibyte, 7));
  await writeFile(join(tree, "a b/over the limit"), Buffer.alloc(mebibyte + 1, 7));
  await writeFile(join(tree, ".nothing"), "");
  const { imported, exported, left } = await throughTheCluster(cluster, tree);
  expect([imported.exitCode, exported.exitCode]).toEqual([1, 0]);
  const over = {
    name: "a b/over the limit",
    line: null,
    code: "ValueTooLarge",
    sizeBytes: mebibyte + 1,
    limitBytes: mebibyte,
  };
  expect(JSON.parse(imported.out)).toMatchObject({ records: 2, skipped: 5, failed: 1, failures: [over] });
  expect(left).toEqual(["a b/over the limit", "deep/er/empty", "empty", "links/below/up", "links/dangling", "pipe"]);
});

test(
  "lines of JSON come out in the order of keys' bytes, once each, with the values that went in",
  { timeout: 120_000 },
  async () => {
    const cluster = await RealCluster.start();
    const keys = Array.from(
      { length: lines },
      (_, i) => `${String.fromCodePoint(i % 97 === 0 ? 0x1f600 + (i % 50) : 0x21 + (i % 94))}${i}`,
    );
    await writeFile(
      join(cluster.directory, "in.jsonl"),
      keys.map((key) => JSON.stringify({ key, value: `value of ${key}` }) + "\n").join(""),
    );
    const imported = await cluster.run(["import", "jsonl", "in.jsonl", "-o", "json"]);
    expect(imported).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(imported.out)).toMatchObject({ records: lines, failed: 0 });
    const bytes = keys.map((key) => Buffer.from(key)).sort((a, b) => Buffer.compare(a, b));
    const inOrder = bytes.map((key) => key.toString());
    const records = (text: string): { key: string; value: string }[] =>
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { key: string; value: string });
    expect((await cluster.run(["export", "jsonl", "out.jsonl"])).exitCode).toBe(0);
    for (const text of [
      (await cluster.run(["scan", "-o", "jsonl"])).out,
      await readFile(join(cluster.directory, "out.jsonl"), "utf8"),
    ]) {
      const found = records(text);
      expect(found.map(({ key }) => key)).toEqual(inOrder);
      expect(found.every(({ key, value }) => value === `value of ${key}`)).toBe(true);
    }
    const withA = keys.filter((key) => key.startsWith("A")).length;
    expect((await cluster.run(["delete", "--prefix", "A"])).out).toBe(`deleted ${withA}\n`);
    expect((await cluster.run(["scan", "--count"])).out).toBe(`${lines - withA}\n`);
  },
);

test("values at the limit go in, values over it are refused with size and limit", async () => {
  const cluster = await RealCluster.start({ nodes: 1, ranges: 1 });
  expect((await cluster.run(["put", "at", "--value-file", "-"], Buffer.alloc(mebibyte, 1))).exitCode).toBe(0);
  const over = await cluster.run(["put", "over", "--value-file", "-", "-o", "json"], Buffer.alloc(mebibyte + 1, 1));
  expect(over.exitCode).toBe(2);
  expect(JSON.parse(over.notes)).toMatchObject({ error: { code: "ValueTooLarge", details: { limitBytes: mebibyte } } });
  // The cluster checks for itself as well.
  const sent = await cluster.run(
    ["put", "over", "--value-file", "-", "--value-limit", "8MiB", "-o", "json"],
    Buffer.alloc(mebibyte + 1, 1),
  );
  expect([sent.exitCode, JSON.parse(sent.notes).error.code]).toEqual([2, "ValueTooLarge"]);
  expect((await cluster.run(["put", "k".repeat(4097), "v"])).exitCode).toBe(2);
});
