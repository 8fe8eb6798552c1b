/** `flotilla debug bundle` when it is needed most: with nodes that are down or stand still. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { extract } from "tar";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters } from "../cluster/harness.ts";

afterEach(closeAllClusters);

interface Bundle {
  readonly exitCode: number | null;
  readonly elapsedMs: number;
  readonly unreached: readonly { readonly nodeId: number | null; readonly httpAddress: string }[];
  readonly failures: readonly { readonly name: string }[];
  read(name: string): string;
}

async function bundle(cluster: RealCluster, name: string): Promise<Bundle> {
  const { exitCode, out, elapsedMs, notes } = await cluster.run([
    ...["debug", "bundle", "--file", `${name}.tar.gz`, "--timeout", "10s", "-o", "json"],
  ]);
  if (out === "") throw new Error(notes);
  const directory = join(cluster.directory, `unpacked-${name}`);
  mkdirSync(directory);
  await extract({ file: join(cluster.directory, `${name}.tar.gz`), cwd: directory });
  const { unreached, failures } = JSON.parse(out) as Bundle;
  console.log(`${name}: ${Math.round(elapsedMs)} ms, ${failures.length} failures`);
  return {
    exitCode,
    elapsedMs,
    unreached,
    failures,
    read: (path) => readFileSync(join(directory, name, path), "utf8"),
  };
}

test("debug bundle names the nodes that are missing, and holds all that the others and the directories know", async () => {
  const cluster = await RealCluster.start();
  await cluster.untilEven(9);
  const http = cluster.entries().map(({ httpAddress }) => httpAddress);
  const metrics = (node: number): string => `http/${http[node - 1]!.replace(":", "_")}/metrics.txt`;
  const everyDirectory = [1, 2, 3].map((number) => `directories/${number}/log.jsonl`);

  const whole = await bundle(cluster, "whole");
  expect(whole).toMatchObject({ exitCode: 0, unreached: [], failures: [] });

  cluster.kill(2);
  const oneDown = await bundle(cluster, "one-down");
  expect(oneDown.exitCode).toBe(1);
  expect(oneDown.unreached).toEqual([{ nodeId: 2, httpAddress: http[1] }]);
  expect(oneDown.failures.every(({ name }) => name.includes(http[1]!.replace(":", "_")))).toBe(true);
  for (const node of [1, 3]) expect(oneDown.read(metrics(node))).toContain("flotilla_leaders");
  for (const name of everyDirectory) expect(oneDown.read(name)).toContain('"msg"');

  // No majority is left, and one of the two that are missing accepts connections and says nothing.
  cluster.pause(3);
  const noQuorum = await bundle(cluster, "no-quorum");
  expect(noQuorum.exitCode).toBe(1);
  expect(noQuorum.unreached.map(({ nodeId }) => nodeId).sort()).toEqual([2, 3]);
  expect(noQuorum.read(metrics(1))).toContain("flotilla_leaders");
  const nodes = JSON.parse(noQuorum.read("cluster/node-list.json")) as { nodeId: number }[];
  expect(nodes.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
  for (const name of everyDirectory) expect(noQuorum.read(name)).toContain('"msg"');
  expect(noQuorum.elapsedMs).toBeLessThan(25_000);

  cluster.resume(3);
  for (const node of [1, 3]) cluster.kill(node);
  const allDown = await bundle(cluster, "all-down");
  expect(allDown.exitCode).toBe(1);
  expect(allDown.unreached.map(({ nodeId }) => nodeId).sort()).toEqual([1, 2, 3]);
  expect(allDown.failures.map(({ name }) => name)).toContain("cluster/cluster-status.json");
  for (const name of everyDirectory) expect(allDown.read(name)).toContain('"msg"');
});
