/** Several commands make one cluster at once. */
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "../cluster/fleet.ts";

afterEach(closeAllFleets);

test("B13 five empty nodes, told by five commands at once, become one cluster", async () => {
  const fleet = await Fleet.prepare(5);
  const nodes = [1, 2, 3, 4, 5].map((node) => fleet.startNode(node));
  await fleet.untilAllSay(nodes, "has no cluster yet");
  const results = await Promise.all(
    fleet.addresses.map((address) => fleet.run(["cluster", "init", "--endpoints", address, "-o", "json"])),
  );
  expect(results.filter(({ exitCode }) => exitCode === 0).length).toBeLessThanOrEqual(1);
  expect(results.filter(({ exitCode }) => exitCode === 1).length).toBeGreaterThanOrEqual(4);
  for (const { exitCode, notes } of results) if (exitCode === 1) expect(notes).toContain("hint");
  // On a machine that is slow enough nobody may get through; then one command alone does.
  const made =
    results.find(({ exitCode }) => exitCode === 0) ??
    (await fleet.run(["cluster", "init", "--endpoints", fleet.addresses[0]!, "-o", "json"]));
  expect(made).toMatchObject({ exitCode: 0 });
  const { clusterId } = JSON.parse(made.out) as { clusterId: string };
  await fleet.untilAllSay(nodes, '"msg":"listening"');
  for (const { notes } of nodes) {
    const ids = [...notes.matchAll(/"clusterId":"([0-9a-f]{32})".*"msg":"listening"/g)].map((match) => match[1]);
    expect(ids).toEqual([clusterId]);
  }
  await fleet.client().put("k", "v");
});
