/** `flotilla dev` and `flotilla start` as a user meets them. */
import { createServer } from "node:net";
import { mkdir, readdir, rm } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { RealCluster, closeAllClusters, isFree, isOurs, until } from "./harness.ts";

afterEach(closeAllClusters);

const readyLine = /^ready {2}(.+) nodes, (\d+) ranges, ([\d.]+) s$/m;

describe("flotilla dev", () => {
  test("starts three nodes, says where they are, and serves put, get and scan; Ctrl-C ends all with exit code 0", async () => {
    const cluster = await RealCluster.start();
    const { out } = cluster.dev;
    for (const node of [1, 2, 3]) {
      const { pid, address, httpAddress } = cluster.entries()[node - 1]!;
      expect([address, httpAddress]).toEqual([
        `127.0.0.1:${cluster.port + node - 1}`,
        `127.0.0.1:${cluster.port + 79 + node}`,
      ]);
      expect(out).toContain(`node ${node}  ${address}  http ${httpAddress}  pid ${pid}  .flotilla/node-${node}\n`);
    }
    expect(readyLine.exec(out)?.slice(1, 3)).toEqual(["3", "9"]);
    expect(await cluster.run(["put", "hello", "world"])).toMatchObject({ exitCode: 0 });
    expect(await cluster.run(["put", "Ärger", "x"])).toMatchObject({ exitCode: 0 });
    expect(await cluster.run(["get", "hello"])).toMatchObject({ exitCode: 0, out: "world", notes: "" });
    expect(await cluster.run(["get", "nope"])).toMatchObject({ exitCode: 1, out: "" });
    const scanned = (await cluster.run(["scan", "-o", "jsonl"])).out
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { key: string }).key);
    expect(scanned).toEqual(["hello", "Ärger"]);
    expect(JSON.parse((await cluster.run(["cluster", "status", "-o", "json"])).out)).toMatchObject({
      health: "ok",
      nodes: { total: 3, live: 3 },
      ranges: { total: 9, led: 9 },
    });
    const pids = cluster.entries().map(({ pid }) => pid!);
    expect(await cluster.stop()).toMatchObject({ exitCode: 0 });
    expect(pids.filter((pid) => isOurs(pid, cluster.directory))).toEqual([]);
    expect(cluster.entries().map(({ pid }) => pid)).toEqual([null, null, null]);
  });

  test("a node that is killed is told with its signal, the others go on, and the printed command brings it back", async () => {
    const cluster = await RealCluster.start();
    const client = cluster.client();
    await client.put("before", "1");
    const pid = cluster.pid(2);
    cluster.kill(2);
    await cluster.dev.line(/^node 2 {2}died of SIGKILL {2}pid \d+$/m);
    await cluster.dev.line(/^start it again: npx flotilla start --config \.flotilla\/node-2\/flotilla\.toml$/m);
    await until("cluster.json says so", () => cluster.entries()[1]!.pid === null);
    await client.put("while away", "2");
    await until("the death shows", async () => (await cluster.run(["cluster", "health"])).exitCode === 1);
    const started = await cluster.restart(2);
    await cluster.dev.line(/^node 2 {2}is back {2}pid \d+$/m);
    expect(cluster.pid(2)).toBe(started.pid);
    expect(started.pid).not.toBe(pid);
    await until("the cluster is whole", async () => (await cluster.run(["cluster", "health"])).exitCode === 0);
    expect(Buffer.from((await client.get("while away"))!).toString()).toBe("2");
    // What was started by hand stops with the rest.
    expect((await cluster.stop()).exitCode).toBe(0);
    expect((await started.ended).exitCode).toBe(0);
  });

  test("a port that is in use is named, and nothing is started: exit code 2", async () => {
    const cluster = await RealCluster.prepare();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(cluster.port + 81, "127.0.0.1", resolve));
    const dev = cluster.spawnDev();
    expect(await dev.ended).toMatchObject({
      exitCode: 2,
      notes: expect.stringContaining(`port ${cluster.port + 81} is in use`),
    });
    await new Promise((resolve) => server.close(resolve));
    expect(await isFree(cluster.port)).toBe(true);
  });

  test("one node is a cluster too", async () => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 3 });
    expect(readyLine.exec(cluster.dev.out)?.slice(1, 3)).toEqual(["1", "4"]);
    const [range] = JSON.parse((await cluster.run(["range", "list", "-o", "json"])).out) as { replicas: unknown[] }[];
    expect(range!.replicas).toHaveLength(1);
  });
});

describe("an emptied directory", () => {
  test("A8 of a node that is down does not bring the old store back, whatever of it is left", async () => {
    const cluster = await RealCluster.start();
    const start = (): ReturnType<RealCluster["run"]> =>
      cluster.run(["start", "--config", cluster.path("node-2", "flotilla.toml")]);
    cluster.kill(2);
    await cluster.dev.line(/^node 2 {2}died of SIGKILL/m);
    for (const name of ["log", "data"]) await rm(cluster.path("node-2", name), { recursive: true });
    const forgotten = await start();
    expect(forgotten).toMatchObject({ exitCode: 2, notes: expect.stringContaining("forgotten its votes") });
    expect(forgotten.notes).toContain("put the directory back");
    for (const name of await readdir(cluster.path("node-2"))) {
      if (name !== "flotilla.toml") await rm(cluster.path("node-2", name), { recursive: true });
    }
    expect(await start()).toMatchObject({ exitCode: 2, notes: expect.stringContaining("put the directory back") });
    expect(await readdir(cluster.path("node-2"))).not.toContain("identity");
    expect((await cluster.run(["put", "k", "v"])).exitCode).toBe(0);
  });

  test("is no node: start says what to run, exit code 2, and leaves it empty", async () => {
    const cluster = await RealCluster.prepare();
    await mkdir(cluster.path("node-9"), { recursive: true });
    const { exitCode, notes } = await cluster.run([
      "start",
      "--data-dir",
      cluster.path("node-9"),
      "--address",
      `127.0.0.1:${cluster.port}`,
      "--http-address",
      "127.0.0.1:0",
    ]);
    expect(exitCode).toBe(2);
    expect(notes).toMatch(/this node has no cluster/);
    expect(notes).toContain("flotilla dev");
    expect(await readdir(cluster.path("node-9"))).toEqual([]);
  });
});

describe("flotilla start", () => {
  test("tells metrics and health over HTTP", async () => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 2 });
    const { httpAddress, pid } = cluster.entries()[0]!;
    expect(await (await fetch(`http://${httpAddress}/healthz`)).json()).toMatchObject({ status: "ok", nodeId: 1, pid });
    expect((await fetch(`http://${httpAddress}/readyz`)).status).toBe(200);
    const before = await cluster.metric(1, "flotilla_log_fsyncs_total");
    await cluster.run(["put", "k", "v"]);
    expect(await cluster.metric(1, "flotilla_log_fsyncs_total")).toBeGreaterThan(before);
    expect(await cluster.metric(1, "flotilla_commands_applied_total")).toBe(1);
    expect(await cluster.metric(1, "flotilla_replicas")).toBe(3);
  });
});
