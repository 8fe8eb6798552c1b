/** What a program can do to the nodes of its cluster, and what they do to the program. Uses the build. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createCluster } from "flotilla/cluster";
import type { Cluster } from "flotilla/cluster";
import { TemporaryPlace, runProgram } from "../cluster/run-program.ts";

const signals = ["SIGTERM", "SIGKILL"] as const;

let cluster: Cluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

describe("nodes of an embedded cluster", { timeout: 30_000 }, () => {
  it("may be killed one after the other, and nothing acknowledged is lost", async () => {
    cluster = await createCluster({ nodes: 3 });
    const client = cluster.client({ key: "utf8", value: "json" });
    for (const [index, node] of cluster.nodes.entries()) {
      await node.kill();
      expect(node.state).toBe("stopped");
      await client.put(`while node ${index + 1} is down`, index);
      await node.start();
      expect(node.state).toBe("running");
    }
    const entries = await client.scan({ prefix: "while" }).toArray();
    expect(entries.map(({ value }) => value)).toEqual([0, 1, 2]);
  });

  it("may be stopped and started, at the same address, and twice is once", async () => {
    cluster = await createCluster();
    const [node] = cluster.nodes;
    const client = cluster.client({ key: "utf8", value: "utf8" });
    await client.put("key", "before");
    const { address } = node!;
    await Promise.all([node!.stop(), node!.stop()]);
    await node!.stop();
    expect(node!.state).toBe("stopped");
    await expect(client.get("key", { timeoutMs: 200 })).rejects.toMatchObject({ retryable: true });
    await Promise.all([node!.start(), node!.start()]);
    await node!.start();
    expect(node!.address).toBe(address);
    expect(await client.get("key")).toBe("before");
  });

  it("start again right after a stop or a kill that was not waited for", async () => {
    cluster = await createCluster();
    const [node] = cluster.nodes;
    for (let round = 0; round < 3; round++) {
      const ended = round % 2 === 0 ? node!.kill() : node!.stop();
      await node!.start();
      await ended;
      expect(node!.state).toBe("running");
    }
    await cluster.client().put("key", "value");
  });

  it("I6 a store whose disk fails halts: closed rejects, the program and the other nodes go on", async () => {
    cluster = await createCluster({ nodes: 3, settings: { logSegmentBytes: 1024 * 1024 } });
    const client = cluster.client({ key: "utf8" });
    const halted = cluster.nodes[0]!;
    rmSync(join(halted.dataDir, "log"), { recursive: true });
    // Until the log needs its next segment, for which there is no directory any more.
    const value = new Uint8Array(256 * 1024);
    for (let i = 0; i < 40 && halted.state === "running"; i++) await client.put(`key ${i}`, value);
    await expect(cluster.closed).rejects.toMatchObject({
      name: "FlotillaError",
      code: "Internal",
      message: expect.stringContaining("node 1 halted") as string,
    });
    expect(cluster.nodes.map(({ state }) => state)).toEqual(["halted", "running", "running"]);
    await client.put("afterwards", value);
    // What its files hold is not known any more.
    await expect(halted.start()).rejects.toMatchObject({ code: "Refused" });
    await cluster.close();
    await expect(cluster.closed).rejects.toMatchObject({ code: "Internal" });
  });

  it("I6 a halted store is nobody's unhandled rejection", async () => {
    const place = new TemporaryPlace();
    const program = `
      import { rmSync } from "node:fs";
      import { createCluster } from "flotilla/cluster";
      const cluster = await createCluster({ settings: { logSegmentBytes: 1024 * 1024 } });
      rmSync(cluster.nodes[0].dataDir + "/log", { recursive: true });
      const client = cluster.client({ timeoutMs: 500 });
      const value = new Uint8Array(256 * 1024);
      for (let i = 0; cluster.nodes[0].state === "running"; i++) await client.put("key", value).catch(() => {});
      setTimeout(() => console.log(cluster.nodes[0].state), 100);`;
    try {
      expect(await runProgram(program, place)).toMatchObject({ exitCode: 0, out: "halted\n", errors: "" });
      expect(place.leftovers()).toEqual([]);
    } finally {
      place.remove();
    }
  });

  it.each(signals)("I10 %s of the program loses no acknowledged write", async (signal) => {
    const place = new TemporaryPlace();
    const dataDir = mkdtempSync(join(tmpdir(), "flotilla-kept-"));
    const program = `
      import { createCluster } from "flotilla/cluster";
      const cluster = await createCluster({ dataDir: ${JSON.stringify(dataDir)} });
      const client = cluster.client({ key: "utf8", value: "json" });
      for (let i = 1; ; i++) {
        await client.put("last", i);
        process.stdout.write(i + "\\n");
      }`;
    try {
      const { out } = await runProgram(program, place, (text, child) => {
        if (text.split("\n").length > 50) child.kill(signal);
      });
      const acknowledged = Number(out.trim().split("\n").at(-1));
      cluster = await createCluster({ dataDir });
      const last = await cluster.client({ key: "utf8", value: "json" }).get("last");
      // One more may have been written and not yet told.
      expect([acknowledged, acknowledged + 1]).toContain(last);
    } finally {
      await cluster?.close();
      rmSync(dataDir, { recursive: true });
      place.remove();
    }
  });
});
