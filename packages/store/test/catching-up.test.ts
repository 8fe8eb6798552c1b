/** A replica that was away while its range went on under load. */
import { describe, expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestClusterOptions, TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

/** Every write to a log takes so long, so that a store can do six a second. */
const flushMs = 160;
/** And gets five a second: four fifths of that. */
const putEveryMs = 200;

async function slowLogs(options: TestClusterOptions): Promise<{ cluster: TestCluster; slow: { on: boolean } }> {
  const slow = { on: false };
  const cluster = await TestCluster.start({
    ...options,
    wrapLog: (log, store) =>
      wrapped(log, "flush", async () => {
        if (slow.on) await store.disk.wait(flushMs);
        await log.flush();
      }),
  });
  return { cluster, slow };
}

describe("a replica that was away for 30 s under a constant load", () => {
  const MiB = 1024 * 1024;
  for (const [how, options] of [
    [
      "from the log",
      { log: { segmentBytes: MiB / 4, shortSegmentBytes: MiB / 4, logBytesTarget: 64 * MiB, cacheBytes: 16 * 1024 } },
    ],
    ["by a range snapshot", { settings: { flushBytes: 8 * 1024 }, engine: { writeBufferBytes: 8 * 1024 } }],
  ] satisfies [string, TestClusterOptions][]) {
    test(`H10 catches up ${how} while the load goes on`, async () => {
      const { cluster, slow } = await slowLogs(options);
      const leader = await cluster.leader();
      const away = cluster.others(leader)[0]!;
      const client = await cluster.connect(leader);
      let sent = 0;
      /** Sent at its time, whatever the answers do. */
      const load = async (ms: number, end: () => boolean = () => false): Promise<void> => {
        for (const untilMs = cluster.world.nowMs + ms; cluster.world.nowMs < untilMs && !end();) {
          sent++;
          client.send(client.batch(firstRange, [put(sent, `k${sent % 50}`, new Uint8Array(1000))]));
          await cluster.runFor(putEveryMs);
        }
      };
      const lastIndex = (store: TestStore): number => store.log!.group(firstRange)!.lastIndex;
      slow.on = true;
      await load(1000);
      away.crash();
      await load(30_000);
      const missed = lastIndex(leader);
      await away.start();
      const startedMs = cluster.world.nowMs;
      // Level: no further behind than what is under way.
      await load(30_000, () => lastIndex(away) > missed && lastIndex(away) >= lastIndex(leader) - 3);
      expect(cluster.world.nowMs - startedMs).toBeLessThan(10_000);
      await load(2000);
      expect(lastIndex(away)).toBeGreaterThanOrEqual(lastIndex(leader) - 3);
      slow.on = false;
      await cluster.runFor(1000);
      const applied = client.all("command-results").flatMap(({ results }) => results);
      expect(applied.filter(({ status }) => status === "applied")).toHaveLength(sent);
      const sentWhole = leader
        .logged("sending a range snapshot")
        .filter(({ fields }) => fields["rangeId"] === firstRange);
      expect(sentWhole).toHaveLength(how === "from the log" ? 0 : 1);
    });
  }
});
