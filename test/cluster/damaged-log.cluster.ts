/** What a real store makes of its log when the end is missing, and when a bit of it has changed. */
import { cp, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { CorruptionError, randomBelow } from "@flotilla/base";
import { seededRandom } from "../../packages/raft-log/test/harness.ts";
import { RealCluster, closeAllClusters, isLong, until } from "./harness.ts";
import { StoreLog, flipBit, textOf } from "./store-log.ts";
import { Writers } from "./writers.ts";

afterEach(closeAllClusters);

const smallLog: Readonly<Record<string, string>> = {
  FLOTILLA_LOG_SEGMENT_BYTES: "1MiB",
  FLOTILLA_LOG_BYTES_TARGET: "64MiB",
};
const framesCut = 3;
const flips = isLong ? 500 : 40;
const realStarts = 3;

/** The numbers n of all "value-n;" in the text, without repetition, in order. */
function numbersIn(text: string): number[] {
  const found = [...text.matchAll(/value-(\d+);/g)].map((match) => Number(match[1]));
  return [...new Set(found)].sort((a, b) => a - b);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** Every byte, or the places where something may go wrong. */
function placesIn(offset: number, end: number, headerBytes: number): number[] {
  if (isLong) return upTo(end - offset).map((n) => offset + n);
  const middle = Math.floor((offset + end) / 2);
  return [offset, offset + 1, offset + headerBytes - 1, offset + headerBytes, middle, end - 512, end - 1];
}

test(
  "F2 a newest segment cut anywhere in its last three frames gives exactly the writes before the cut",
  { timeout: 60_000 + (isLong ? 300_000 : 0) },
  async ({ annotate }) => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 1, environment: smallLog });
    const client = cluster.client();
    let acknowledged = 0;
    // One after the other: each is a frame of its own, and is acknowledged before the next one begins.
    while (acknowledged < 40) await client.put(`key-${acknowledged}`, `value-${acknowledged++};`);
    cluster.kill(1);
    await until("it has ended", () => cluster.entries()[0]!.pid === null);
    const log = await StoreLog.read(cluster.path("node-1"), join(cluster.directory, "copy"));
    const { path, frames } = log.newest;
    const content = (cut: number | undefined): Promise<number[]> =>
      log.openCopy(
        async (copy) => {
          if (cut !== undefined) await copy.cut(path, cut);
        },
        (opened) => numbersIn(textOf(opened)),
      );
    expect(await content(undefined)).toEqual(upTo(acknowledged));
    const written = frames.filter(({ header }) => !header.closing);
    let cuts = 0;
    for (let back = 1; back <= framesCut; back++) {
      const { offset, end } = written.at(-back)!;
      const before = (await content(end)).length;
      const expected = await content(offset);
      expect(expected, "each of the last frames has one write").toEqual(upTo(before - 1));
      for (const place of placesIn(offset, end, 48)) {
        expect(await content(place), `cut at ${place} of ${path}`).toEqual(expected);
        cuts++;
      }
    }
    await annotate(`${cuts} cuts`);
    // The same by a real start: the store takes part with the writes before the cut, and goes on behind them.
    await truncate(cluster.path("node-1", path), written.at(-2)!.offset + 100);
    await cluster.restart(1, smallLog);
    const again = cluster.client({ timeoutMs: 15_000 });
    expect(await again.count()).toBe(acknowledged - 2);
    await again.put("after", "1");
    expect(await again.count()).toBe(acknowledged - 1);
  },
);

test(
  `F3 one bit flipped anywhere in what a store knows to be durable is refused with file, offset and advice, ${flips} of ${flips} times`,
  { timeout: 120_000 },
  async () => {
    const cluster = await RealCluster.start({ environment: smallLog });
    const client = cluster.client({ timeoutMs: 20_000 });
    const writers = new Writers(client, 100);
    await until(
      "there are some segments",
      async () => (await cluster.metric(2, "flotilla_log_segments")) >= 2 && writers.acknowledged.length > 1500,
    );
    cluster.kill(2);
    // Their last writes wait for other leaders, and nothing here waits for them.
    const stopped = writers.stop();
    await until("it has ended", () => cluster.entries()[1]!.pid === null);
    const directory = cluster.path("node-2");
    const log = await StoreLog.read(directory, join(cluster.directory, "copy"));
    const random = seededRandom(500);
    // The last frame of a store that was killed may not have been synced: nothing behind it says so. A segment that was
    // begun just before may hold no other.
    const durable = log.segments
      .map((segment) => {
        const frames = segment.frames.filter(({ header }) => !header.closing);
        const isOpen = segment === log.newest && frames.length === segment.frames.length;
        return { segment, known: isOpen ? frames.slice(0, -1) : frames };
      })
      .filter(({ known }) => known.length > 0);
    expect(durable.length).toBeGreaterThan(0);
    const place = (): { path: string; frameOffset: number; at: number; bit: number } => {
      const { segment, known } = durable[randomBelow(random, durable.length)]!;
      const at = randomBelow(random, known.at(-1)!.end);
      const frame = known.find(({ offset, end }) => offset <= at && at < end);
      return { path: segment.path, frameOffset: frame?.offset ?? 0, at, bit: randomBelow(random, 8) };
    };
    for (let flip = 0; flip < flips; flip++) {
      const { path, frameOffset, at, bit } = place();
      const error: unknown = await log
        .openCopy(
          (copy) => copy.flipBit(path, at, bit),
          () => "it was opened",
        )
        .catch((caught: unknown) => caught);
      expect(error, `bit ${bit} of byte ${at} of ${path}`).toBeInstanceOf(CorruptionError);
      const { file, offset, hint } = error as CorruptionError;
      expect(file).toBe(path);
      if (frameOffset > 0) expect(offset, `byte ${at} of ${path}`).toBe(frameOffset);
      expect(hint).toContain("start a new store in an empty directory");
    }
    const sound = cluster.path("sound");
    await cp(directory, sound, { recursive: true });
    for (let start = 0; start < realStarts; start++) {
      const { path, frameOffset, at, bit } = place();
      await flipBit(join(directory, path), at, bit);
      const { exitCode, notes } = await cluster.run(["start", "--config", join(directory, "flotilla.toml")]);
      expect(exitCode, notes).toBe(2);
      expect(notes).toContain(frameOffset > 0 ? `${path} at byte ${frameOffset}` : path);
      expect(notes).toContain("start a new store in an empty directory");
      expect(notes).not.toContain('"msg":"listening"');
      await rm(directory, { recursive: true });
      await cp(sound, directory, { recursive: true });
    }
    await stopped;
    // Undamaged it comes back.
    await cluster.restart(2, smallLog);
    expect((await cluster.run(["put", "k", "v"])).exitCode).toBe(0);
  },
);
