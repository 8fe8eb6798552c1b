/** `createCluster` from the call to `close`. Uses the build. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createClient } from "flotilla";
import { createCluster } from "flotilla/cluster";
import type { Cluster, ClusterOptions } from "flotilla/cluster";

const open: Cluster[] = [];
const directories: string[] = [];

async function create(options?: ClusterOptions): Promise<Cluster> {
  const cluster = await createCluster(options);
  open.push(cluster);
  return cluster;
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-kept-"));
  directories.push(directory);
  return directory;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((cluster) => cluster.close()));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function isListening(address: string): Promise<boolean> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    const socket = createConnection({ host: host!, port: Number(port) });
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

describe("createCluster", { timeout: 30_000 }, () => {
  it("serves reads and writes of its own clients and of others, in all its ranges", async () => {
    const cluster = await create({ nodes: 3, ranges: 6 });
    const client = cluster.client({ key: "utf8", value: "json" });
    const keys = ["apple", "Hazel", "0", "~tilde", "mango", "zebra"];
    await Promise.all(keys.map((key) => client.put(key, { key })));
    const other = createClient({ endpoints: cluster.endpoints[2]!, key: "utf8", value: "json" });
    const entries = await other.scan().toArray();
    expect(entries.map(({ key }) => key)).toEqual([...keys].sort());
    expect((await other.routes()).ranges).toHaveLength(6 + 1);
    await other.close();
  });

  it("serves a client that knows but one node, when few nodes know where the ranges are", async () => {
    const cluster = await create({ nodes: 3, replicas: 1, ranges: 6 });
    await Promise.all(
      cluster.endpoints.map(async (endpoint) => {
        const client = createClient({ endpoints: endpoint, timeoutMs: 5000 });
        await client.put(endpoint, "");
        expect((await client.routes()).ranges).toHaveLength(6 + 1);
        await client.close();
      }),
    );
    expect(await cluster.client().count()).toBe(3);
  });

  it("runs twice in one process, with nothing in common", async () => {
    const [one, two] = await Promise.all([create(), create()]);
    expect(one.clusterId).not.toBe(two.clusterId);
    expect(one.dataDir).not.toBe(two.dataDir);
    expect(one.endpoints[0]).not.toBe(two.endpoints[0]);
    await one.client().put("key", "one");
    expect(await two.client().get("key")).toBeUndefined();
    await one.close();
    await two.client().put("key", "two");
    expect(Buffer.from((await two.client().get("key"))!).toString()).toBe("two");
  });

  it("leaves neither directory, port nor open client after close, and closed resolves", async () => {
    const cluster = await create({ nodes: 2 });
    const client = cluster.client();
    await client.put("key", "value");
    expect(await isListening(cluster.endpoints[0]!)).toBe(true);
    await Promise.all([cluster.close(), cluster.close()]);
    await cluster.closed;
    expect(existsSync(cluster.dataDir)).toBe(false);
    for (const address of cluster.endpoints) expect(await isListening(address)).toBe(false);
    expect(cluster.nodes.map(({ state }) => state)).toEqual(["stopped", "stopped"]);
    await expect(client.get("key")).rejects.toMatchObject({ code: "Closed" });
    expect(() => cluster.client()).toThrow(expect.objectContaining({ code: "Closed" }));
    await expect(cluster.nodes[0]!.start()).rejects.toMatchObject({ code: "Closed" });
  });

  it("closes at the end of a block that uses it", async () => {
    const cluster = await create();
    await cluster[Symbol.asyncDispose]();
    expect(existsSync(cluster.dataDir)).toBe(false);
  });

  it("keeps a directory that it was given, and opens it again", async () => {
    const dataDir = newDirectory();
    const first = await create({ dataDir, nodes: 2 });
    await first.client().put("kept", "yes");
    await first.close();
    const second = await create({ dataDir });
    expect(second.clusterId).toBe(first.clusterId);
    expect(second.nodes).toHaveLength(2);
    expect(Buffer.from((await second.client().get("kept"))!).toString()).toBe("yes");
  });

  it("refuses a directory that is in use, or holds another number of nodes", async () => {
    const dataDir = newDirectory();
    const cluster = await create({ dataDir });
    await expect(createCluster({ dataDir })).rejects.toMatchObject({ name: "FlotillaError", code: "InUse" });
    await cluster.client().put("still", "works");
    await cluster.close();
    await expect(createCluster({ dataDir, nodes: 2 })).rejects.toMatchObject({ code: "Refused" });
    await create({ dataDir, nodes: 1 });
  });

  it("refuses a directory whose files were damaged, and says which", async () => {
    const dataDir = newDirectory();
    await (await create({ dataDir })).close();
    rmSync(join(dataDir, "node-1", "identity"));
    await expect(createCluster({ dataDir })).rejects.toMatchObject({
      code: "Corruption",
      details: { file: "node-1/identity" },
    });
  });

  it.each<[string, object, string]>([
    ["an unknown option", { node: 3 }, "did you mean nodes?"],
    ["an unknown setting", { settings: { tickMilis: 5 } }, "did you mean tickMs?"],
  ])("refuses %s with the nearest name", async (_, options, hint) => {
    await expect(createCluster(options)).rejects.toMatchObject({ code: "InvalidArgument", hint });
  });

  it.each<[string, ClusterOptions]>([
    ["nodes: 0", { nodes: 0 }],
    ["nodes: 21", { nodes: 21 }],
    ["nodes: 1.5", { nodes: 1.5 }],
    ["more replicas than nodes", { nodes: 2, replicas: 3 }],
    ["ranges: 5000", { ranges: 5000 }],
    ["an empty dataDir", { dataDir: "" }],
    ["settings that do not fit together", { settings: { heartbeatTicks: 20 } }],
    ["a setting out of bounds", { settings: { valueBytesMax: 2 ** 40 } }],
  ])("refuses %s as InvalidArgument", async (_, options) => {
    await expect(createCluster(options)).rejects.toMatchObject({ code: "InvalidArgument", name: "FlotillaError" });
  });

  it("gives its nodes the settings it was given", async () => {
    const cluster = await create({ settings: { valueBytesMax: 1000 } });
    await expect(cluster.client().put("key", new Uint8Array(1001))).rejects.toMatchObject({ code: "ValueTooLarge" });
  });

  it("hands what its nodes log to the logger, with the node", async () => {
    const lines: object[] = [];
    const log = (fields: object, message: string): void => void lines.push({ ...fields, message });
    const cluster = await create({ nodes: 2, logger: { debug: log, info: log, warn: log, error: log } });
    await cluster.close();
    expect(lines).toContainEqual(expect.objectContaining({ nodeId: 1, message: "store opens" }));
    expect(lines).toContainEqual(expect.objectContaining({ nodeId: 2, message: "store opens" }));
  });

  it("gives up after timeoutMs and leaves nothing", async () => {
    const dataDir = newDirectory();
    await expect(createCluster({ dataDir, nodes: 3, timeoutMs: 1 })).rejects.toMatchObject({ code: "Timeout" });
    await create({ dataDir });
  });
});
