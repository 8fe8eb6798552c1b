/** A directory of an earlier release, opened by this build, of which a node is away at once. Uses the build. */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import { createCluster } from "flotilla/cluster";
import { inOrder, readAll, releases, settings, unpack } from "../upgrade/fixture-directory.ts";

test.each(releases)(
  "H11 data of release %s is all on the other two, one of them filled by range snapshots, when a node is away",
  async (release) => {
    const { dataDir, expected } = await unpack(release);
    const cluster = await createCluster({ dataDir, settings });
    try {
      await cluster.nodes[0]!.kill();
      expect(await readAll(cluster)).toEqual(inOrder(expected));
    } finally {
      await cluster.close();
      rmSync(dataDir, { recursive: true });
    }
  },
);
