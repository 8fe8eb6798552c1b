/** A cluster of nodes that are started one by one and made into one by `flotilla cluster init`. */
import { rm } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "./fleet.ts";
import { until } from "./harness.ts";

afterEach(closeAllFleets);

test("nodes without a cluster say what to run; init makes it once; a killed node comes back; an emptied one is refused", async () => {
  const fleet = await Fleet.prepare(3);
  const [first, second, third] = fleet.addresses as [string, string, string];
  // The order of the addresses does not matter.
  const nodes = [
    fleet.startNode(1),
    fleet.startNode(2, [], [third, second, first]),
    fleet.startNode(3, [], [second, third, first]),
  ];
  await fleet.untilAllSay(nodes, `flotilla cluster init --endpoints`);
  const health = (await (await fetch(`http://${fleet.httpAddresses[0]}/healthz`)).json()) as { status: string };
  expect(health.status).toBe("waiting");
  expect((await fetch(`http://${fleet.httpAddresses[0]}/readyz`)).status).toBe(503);

  const get = await fleet.run(["get", "k", "--endpoints", first]);
  expect(get).toMatchObject({ exitCode: 1, notes: expect.stringContaining("has no cluster yet") });
  expect(get.notes).toContain(`flotilla cluster init --endpoints ${first}`);
  // Long before its timeout.
  expect(get.elapsedMs).toBeLessThan(6000);

  const made = await fleet.run(["cluster", "init", "--endpoints", second, "--ranges", "4", "--wait", "-o", "json"]);
  expect(made).toMatchObject({ exitCode: 0 });
  const { clusterId } = JSON.parse(made.out) as { clusterId: string };
  const again = await fleet.run(["cluster", "init", "--endpoints", third]);
  expect(again).toMatchObject({ exitCode: 1, notes: expect.stringContaining(clusterId) });

  const client = fleet.client();
  await client.put("k", "v");
  nodes[2]!.signal("SIGKILL");
  await nodes[2]!.ended;
  await client.put("k2", "v");
  await fleet.untilAllSay([fleet.startNode(3)], '"msg":"listening"');
  await until("it is whole", async () => (await fleet.run(["cluster", "health", "--endpoints", first])).exitCode === 0);

  nodes[1]!.signal("SIGTERM");
  expect(await nodes[1]!.ended).toMatchObject({ exitCode: 0 });
  await rm(fleet.dataDir(2), { recursive: true });
  const emptied = await fleet.startNode(2).ended;
  expect(emptied).toMatchObject({ exitCode: 2, notes: expect.stringContaining("forgotten the votes") });
  expect(Buffer.from((await client.get("k2"))!).toString()).toBe("v");
});

test("a node that waits for a cluster stops at once when it is told, with exit code 0", async () => {
  const fleet = await Fleet.prepare(1);
  const node = fleet.startNode(1);
  await fleet.untilAllSay([node], "has no cluster yet");
  node.signal("SIGTERM");
  const { exitCode, notes } = await node.ended;
  expect([exitCode, notes]).toEqual([0, expect.not.stringContaining('"level":50')]);
});

test("an address beyond loopback needs --insecure, and is warned of wherever somebody looks; others find it by --peers", async () => {
  const fleet = await Fleet.prepare(1);
  const [address] = fleet.addresses as [string];
  const everywhere = ["--address", address.replace("127.0.0.1", "0.0.0.0"), "--http-address", "0.0.0.0:0"];
  const refused = await fleet.startNode(1, everywhere).ended;
  expect(refused).toMatchObject({ exitCode: 2, notes: expect.stringContaining("--insecure") });
  const node = fleet.startNode(1, [...everywhere, "--insecure"]);
  await fleet.untilAllSay([node], "has no cluster yet");
  expect(node.notes).toContain("can be reached from other machines, without TLS and users");
  expect(await fleet.run(["cluster", "init", "--endpoints", address, "--wait"])).toMatchObject({ exitCode: 0 });
  const status = await fleet.run(["cluster", "status", "--endpoints", address, "-o", "json"]);
  const { warnings } = JSON.parse(status.out) as { warnings: string[] };
  expect(warnings).toEqual([expect.stringContaining("without TLS and users")]);
  const [row] = JSON.parse((await fleet.run(["node", "list", "--endpoints", address, "-o", "json"])).out) as {
    address: string;
    httpAddress: string;
  }[];
  expect(row!.address).toBe(address);
  const port = row!.httpAddress.split(":")[1]!;
  const health = (await (await fetch(`http://127.0.0.1:${port}/healthz`)).json()) as { warnings: string[] };
  expect(health.warnings).toHaveLength(2);
});
