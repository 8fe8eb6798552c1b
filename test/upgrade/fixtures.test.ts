/** Directories that earlier releases left behind (make-fixture.mjs) are opened by this build. Uses the build. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { createCluster } from "flotilla/cluster";
import type { Cluster } from "flotilla/cluster";
import { extract } from "tar";
import { sendCommand } from "./session-client.mjs";
import type { Command, Outcome } from "./session-client.mjs";

interface Expected {
  readonly formatNumber: number;
  readonly clusterId: string;
  readonly nodes: number;
  readonly records: readonly { readonly key: string; readonly value: string; readonly version: number }[];
  readonly deleted: readonly string[];
  readonly commands: readonly (Command & { readonly outcome: Outcome })[];
}

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
const releases = readdirSync(fixtures);

let directory: string | undefined;
let cluster: Cluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
  if (directory !== undefined) rmSync(directory, { recursive: true });
  directory = undefined;
});

async function unpack(release: string): Promise<{ dataDir: string; expected: Expected }> {
  const dataDir = (directory = mkdtempSync(join(tmpdir(), "flotilla-fixture-")));
  await extract({ file: join(fixtures, release, "data.tar.gz"), cwd: dataDir });
  const expected = JSON.parse(readFileSync(join(fixtures, release, "expected.json"), "utf8")) as Expected;
  return { dataDir, expected };
}

async function readAll(from: Cluster): Promise<readonly object[]> {
  const entries = await from.client({ key: "utf8", value: "utf8" }).scan().toArray();
  return entries.map(({ key, value, version }) => ({ key, value, version }));
}

const inOrder = ({ records }: Expected): readonly object[] =>
  [...records].sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));

/** Nodes that come back wait an election timeout before they vote: a short one, so that the tests need not wait for it. */
const settings = { tickMs: 30 };

describe.each(releases)("H11 data of release %s", { timeout: 60_000 }, (release) => {
  test("is there with its versions, applies no command again, can be added to, and opens again", async () => {
    const { dataDir, expected } = await unpack(release);
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

  test("is all on the other two, one of them filled by range snapshots, when a node is away", async () => {
    const { dataDir, expected } = await unpack(release);
    cluster = await createCluster({ dataDir, settings });
    await cluster.nodes[0]!.kill();
    expect(await readAll(cluster)).toEqual(inOrder(expected));
  });
});
