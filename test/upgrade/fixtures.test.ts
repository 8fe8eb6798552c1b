/** Directories that earlier releases left behind (make-fixture.mjs) are opened by this build. Uses the build. */
import { rmSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { createCluster } from "flotilla/cluster";
import type { Cluster } from "flotilla/cluster";
import { inOrder, readAll, releases, settings, unpack } from "./fixture-directory.ts";
import { sendCommand } from "./session-client.mjs";

let directory: string | undefined;
let cluster: Cluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
  if (directory !== undefined) rmSync(directory, { recursive: true });
  directory = undefined;
});

describe.each(releases)("H11 data of release %s", { timeout: 60_000 }, (release) => {
  test("is there with its versions, applies no command again, can be added to, and opens again", async () => {
    const { dataDir, expected } = await unpack(release);
    directory = dataDir;
    cluster = await createCluster({ dataDir, settings });
    expect(cluster.clusterId).toBe(expected.clusterId);
    expect(cluster.nodes).toHaveLength(expected.nodes);
    expect(await readAll(cluster)).toEqual(inOrder(expected));
    const client = cluster.client({ key: "utf8", value: "utf8" });
    for (const key of expected.deleted) expect(await client.get(key)).toBeUndefined();

    // Sent again, none is applied again: each is answered as it was, or refused, because a range remembers commands for
    // ten minutes and these are older.
    expect(expected.commands.length).toBeGreaterThan(0);
    for (const { outcome, ...command } of expected.commands) {
      const answer = await sendCommand(cluster.endpoints, command).catch((error: Error) => error.message);
      if (typeof answer === "string")
        expect(answer).toMatch(/^Refused: the command was first sent more than 10 minutes/);
      else expect(answer).toEqual(outcome);
    }
    expect(await readAll(cluster)).toEqual(inOrder(expected));

    await client.put("\u{10ffff}", "written by this build");
    await cluster.close();
    cluster = await createCluster({ dataDir, settings });
    const entries = await readAll(cluster);
    expect(entries.slice(0, -1)).toEqual(inOrder(expected));
    expect(entries.at(-1)).toMatchObject({ value: "written by this build" });
  });
});
